package rollcall

import (
	"fmt"

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
	// say. It differs from State if a policy, a variable or a denial in this
	// process takes precedence.
	Setting Consent `json:"setting"`
}

// Decisions are everything that the operator decided.
type Decisions struct {
	// Telemetry is the consent to heartbeats. Nothing is sent without it.
	Telemetry Decision `json:"telemetry"`
	// Health is the consent to health reports, which also need Telemetry.
	Health Decision `json:"health"`
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
	// Name is the path of a policy file or a consent file, the name of an
	// environment variable, or the key in a config. It is empty for the other
	// kinds, and for a config that cannot be read.
	Name string `json:"name,omitempty"`
	// Problem is why the source denies although it does not say so; empty if
	// it says so.
	Problem SourceProblem `json:"problem,omitempty"`
}

// A SourceKind is the kind of a [Source].
type SourceKind string

// The kinds of sources. The first ones take precedence.
const (
	SourcePolicy      SourceKind = "policy"       // the machine-wide policy file
	SourceEnvironment SourceKind = "environment"  // an environment variable
	SourceProcess     SourceKind = "process"      // a denial in this process that could not be saved
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
)

// String describes the source in words, such as "config key
// telemetry.enabled" or "environment variable DO_NOT_TRACK".
func (s Source) String() string {
	var place, named string
	switch s.Kind {
	case SourcePolicy:
		place, named = "the policy file", "policy file "+s.Name
	case SourceEnvironment:
		place, named = "the environment", "environment variable "+s.Name
	case SourceProcess:
		return "denied in this process; that could not be saved"
	case SourceConfig:
		place, named = "the config", "config key "+s.Name
	case SourceConsentFile:
		place, named = "the consent file", "consent file "+s.Name
	case SourceHost:
		place, named = "the host's settings", "the host's settings"
	default:
		return "not decided"
	}
	suffix := ""
	if s.Name != "" {
		suffix = ": " + s.Name
	}
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
func decisionOf(d consent.Decision) Decision {
	return Decision{
		State:   Consent(d.State),
		Source:  Source{SourceKind(d.Source.Kind), d.Source.Name, SourceProblem(d.Source.Problem)},
		Setting: Consent(d.Setting),
	}
}
