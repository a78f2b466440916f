package rollcall

import (
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/internal/consent"
)

// Consent is the state of an operator's decision. The zero value is Unset,
// which acts as Denied.
type Consent int

// The states of consent.
const (
	Unset Consent = iota
	Granted
	Denied
)

// String returns "unset", "granted" or "denied".
func (c Consent) String() string {
	switch c {
	case Granted:
		return "granted"
	case Denied:
		return "denied"
	default:
		return "unset"
	}
}

// MarshalText returns the text of [Consent.String].
func (c Consent) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText parses the text of [Consent.String].
func (c *Consent) UnmarshalText(text []byte) error {
	for _, state := range []Consent{Unset, Granted, Denied} {
		if state.String() == string(text) {
			*c = state
			return nil
		}
	}
	return fmt.Errorf("consent %q is not unset, granted or denied", text)
}

// A Decision is the state of a consent and what decided it.
type Decision struct {
	State  Consent `json:"state"`
	Source Source  `json:"source"`
	// Setting is what the config, the consent file or the host's settings
	// say, and Unset if they cannot be read. It differs from State if a policy,
	// a variable, a denial in this process or a withdrawal takes precedence.
	Setting Consent `json:"setting"`
	// CannotGrant and CannotDeny report that the host alone can do so, in the
	// settings that [Config.Consent] reads: [Service.SetConsent] would fail
	// with [ErrHostDecides]. Where then says where, if the host does.
	CannotGrant bool   `json:"cannot_grant,omitempty"`
	CannotDeny  bool   `json:"cannot_deny,omitempty"`
	Where       string `json:"where,omitempty"`
}

// Decisions are everything that the operator decided.
type Decisions struct {
	// Telemetry is the consent to heartbeats. Nothing is sent without it.
	Telemetry Decision `json:"telemetry"`
	// Health is the consent to health reports, which also need Telemetry.
	Health Decision `json:"health"`
	// UpdateCheck is the consent to the update check, which does not need
	// Telemetry.
	UpdateCheck Decision `json:"update_check"`
	// Schema is the version of a report's fields that the consent covers, and
	// Facts that of the host's facts. What was added later is withheld until
	// the operator grants again.
	Schema int `json:"schema"`
	Facts  int `json:"facts"`
}

// A Source is what made a [Decision]. It is comparable; branch on it, and show
// its String to people.
type Source struct {
	Kind SourceKind `json:"kind"`
	// Name is the path of a policy file, a consent file or a recorded
	// withdrawal, the name of an environment variable, the key in a config, or
	// Consent.Where of the host's settings. It is empty for the other kinds, and
	// for a config that cannot be read.
	Name string `json:"name,omitempty"`
	// Problem is why the source denies although it does not say so; empty if
	// it says so.
	Problem SourceProblem `json:"problem,omitempty"`
	// Since is when the operator withdrew, in UTC, and By who ordered it, such
	// as "rollcall disable" or "page". Both are zero for the other kinds.
	Since time.Time `json:"since,omitzero"`
	By    string    `json:"by,omitempty"`
}

// A SourceKind is the kind of a [Source].
type SourceKind string

// The kinds of sources. The first ones take precedence.
const (
	SourcePolicy      SourceKind = "policy"       // the machine-wide policy file
	SourceEnvironment SourceKind = "environment"  // an environment variable
	SourceProcess     SourceKind = "process"      // a denial in this process that could not be saved
	SourceWithdrawal  SourceKind = "withdrawal"   // what the operator withdrew through Rollcall
	SourceConfig      SourceKind = "config"       // a key of the host's config
	SourceConsentFile SourceKind = "consent_file" // consent.json in the state directory
	SourceHost        SourceKind = "host"         // the host's settings
	SourceNobody      SourceKind = "nobody"       // nobody has decided
)

// A SourceProblem is why a [Source] denies although it does not say so.
type SourceProblem string

// The problems of sources.
const (
	ProblemUnreadable SourceProblem = "unreadable" // it could not be read, or not in time
	ProblemInvalid    SourceProblem = "invalid"    // its value is neither true nor false
	ProblemNotRead    SourceProblem = "not_read"   // it has not been read yet
	ProblemRetired    SourceProblem = "retired"    // the installation ID was reset or forgotten
)

// String describes the source in words, such as "config key
// telemetry.enabled" or "environment variable DO_NOT_TRACK".
func (s Source) String() string {
	var place, named string
	if s.Problem == ProblemRetired {
		return "the installation ID was reset or forgotten: " + s.Name
	}
	switch s.Kind {
	case SourcePolicy:
		place, named = "the policy file", "policy file "+s.Name
	case SourceEnvironment:
		place, named = "the environment", "environment variable "+s.Name
	case SourceProcess:
		return "denied in this process; that could not be saved"
	case SourceWithdrawal:
		place, named = "the record of withdrawals", "withdrawn"
		if s.By != "" {
			named += " by " + s.By
		}
		if !s.Since.IsZero() {
			named += " on " + s.Since.Format(time.RFC3339)
		}
		named += "; to grant again, use rollcall enable, the operator's page or SetConsent, or remove " + s.Name
	case SourceConfig:
		place, named = "the config", "config key "+s.Name
	case SourceConsentFile:
		place, named = "the consent file", "consent file "+s.Name
	case SourceHost:
		place, named = "the host's settings", "the host's settings"+suffixed(": ", s.Name)
	default:
		return "not decided"
	}
	suffix := suffixed(": ", s.Name)
	switch s.Problem {
	case ProblemUnreadable:
		return place + " could not be read" + suffix
	case ProblemNotRead:
		return place + " was not read yet" + suffix
	case ProblemInvalid:
		return named + " is neither true nor false"
	default:
		return named
	}
}

// decisionOf returns a decision of package consent as a public one.
func (s *Service) decisionOf(d consent.Decision) Decision {
	public := Decision{
		State:   Consent(d.State),
		Source:  Source{SourceKind(d.Source.Kind), d.Source.Name, SourceProblem(d.Source.Problem), d.Source.Since, d.Source.By},
		Setting: Consent(d.Setting),
	}
	if s.config.Consent.Load != nil && s.config.Consent.Save == nil {
		public.CannotGrant = d.Setting != consent.Granted
		public.CannotDeny = s.files.Denial == ""
		public.Where = s.place.Name
	}
	return public
}
