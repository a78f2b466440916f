package rollcall

import (
	"cmp"
	"context"
	"flag"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/report"
)

// Consent is what the operator decided about telemetry. The zero value is Unset, which acts as Denied.
type Consent int

// The states of consent.
const (
	Unset Consent = iota
	Granted
	Denied
)

// String is "unset", "granted" or "denied".
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

// MarshalText gives [Consent.String].
func (c Consent) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// A Decision is a state of consent and what decided it.
type Decision struct {
	State Consent `json:"state"`
	// Source names the policy file, environment variable or config key in words.
	Source string `json:"source"`
}

// Decisions are all that the operator decided.
type Decisions struct {
	// Telemetry is about heartbeats; without it nothing leaves.
	Telemetry Decision `json:"telemetry"`
	// Health is about health reports, besides.
	Health Decision `json:"health"`
	// Schema is the version of the report's fields, and Facts that of the host's facts, which the consent covers: what
	// was added later is withheld until the operator grants it again.
	Schema int `json:"schema"`
	Facts  int `json:"facts"`
}

// consentTimeout bounds a look at the operator's decisions; what is not known by then is denied.
const consentTimeout = 2 * time.Second

// The variables that can deny consent, and cannot grant it, besides Config.DenyVariable.
const (
	// doNotTrack denies with any value but the empty one, 0, false, no and off; an informal standard of console programs.
	doNotTrack = "DO_NOT_TRACK"
	// telemetryVariable denies with 0, false, no and off.
	telemetryVariable = "ROLLCALL_TELEMETRY"
)

// consentKeys are the config's keys of the operator's decisions. They stand beside the key of the consent itself.
type consentKeys struct{ enabled, health, schema, facts configfile.Key }

func newConsentKeys(enabled configfile.Key) consentKeys {
	beside := func(name string) configfile.Key {
		return append(append(configfile.Key(nil), enabled[:len(enabled)-1]...), name)
	}
	return consentKeys{enabled, beside("health_enabled"), beside("granted_schema"), beside("granted_facts")}
}

func (k consentKeys) all() []configfile.Key {
	return []configfile.Key{k.enabled, k.health, k.schema, k.facts}
}

// decisions reads what the operator decided, as it stands at this moment. An error, a torn file or a time-out reads as
// denied. It waits no longer than ctx and consentTimeout.
func (s *Service) decisions(ctx context.Context) Decisions {
	ctx, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	d := s.decide(ctx)
	s.decided.Store(&d)
	return d
}

func (s *Service) decide(ctx context.Context) Decisions {
	no := func(source string) Decisions {
		return Decisions{Telemetry: Decision{Denied, source}, Health: Decision{Denied, source}}
	}
	if source, denied := deniedByEnvironment(os.Getenv, s.config.DenyVariable); denied {
		return no(source)
	}
	policy, err := s.policy(ctx)
	if err != nil {
		return no(unreadPolicy)
	}
	if s.config.Consent != nil {
		return s.decideByHost(ctx, policy)
	}
	values, err := s.records.ReadValues(ctx, s.keys.all())
	s.keeper.NoteEnabled(valueAtOrAbsent(values), err)
	if err != nil {
		return no(unreadConfig)
	}
	d := Decisions{
		Telemetry: decision(policy[0], values[0], s.keys.enabled),
		Health:    decision(policy[1], values[1], s.keys.health),
		Schema:    version(values[2], report.SchemaVersion),
		Facts:     version(values[3], max(s.facts.declaration.Version(), 1)),
	}
	if d.Telemetry.State != Granted {
		d.Health = d.Telemetry
	}
	return d
}

// decideByHost asks the host for the decisions.
func (s *Service) decideByHost(ctx context.Context, policy []configfile.Value) Decisions {
	type answer struct{ telemetry, health Consent }
	a, err := flight.Do(ctx, &s.asking, "ask the host for the consent", func(ctx context.Context) (a answer, err error) {
		a.telemetry, a.health, err = s.config.Consent(ctx)
		return a, err
	})
	if err != nil {
		a = answer{Denied, Denied}
	}
	s.keeper.NoteEnabled(asValue(a.telemetry), err)
	d := Decisions{
		Telemetry: decision(policy[0], asValue(a.telemetry), s.keys.enabled),
		Health:    decision(policy[1], asValue(a.health), s.keys.health),
		Schema:    report.SchemaVersion,
		Facts:     max(s.facts.declaration.Version(), 1),
	}
	if d.Telemetry.State != Granted {
		d.Health = d.Telemetry
	}
	return d
}

// asValue is the value that a config would have for a decision.
func asValue(c Consent) configfile.Value {
	switch c {
	case Granted:
		return configfile.Value{Kind: configfile.Bool, Text: "true"}
	case Unset:
		return configfile.Value{}
	default:
		return configfile.Value{Kind: configfile.Bool, Text: "false"}
	}
}

const (
	notDecided   = "not decided"
	unreadPolicy = "the policy file cannot be read"
	unreadConfig = "the config could not be read"
)

func valueAtOrAbsent(values []configfile.Value) configfile.Value {
	if len(values) == 0 {
		return configfile.Value{}
	}
	return values[0]
}

// policy reads the machine-wide policy.
func (s *Service) policy(ctx context.Context) ([]configfile.Value, error) {
	policy, err := s.records.ReadPolicy(ctx, s.keys.all())
	if err != nil {
		policy = nil
	}
	s.lastPolicy.Store(&policy)
	return policy, err
}

// consent tells the effective consent without a look at the disk: from what was read last.
func (s *Service) consent(st installid.Status) Decision {
	if source, denied := deniedByEnvironment(os.Getenv, s.config.DenyVariable); denied {
		return Decision{Denied, source}
	}
	if st.Unread {
		return Decision{Denied, unreadConfig}
	}
	var policy configfile.Value
	switch last := s.lastPolicy.Load(); {
	case last == nil:
	case *last == nil:
		return Decision{Denied, unreadPolicy}
	default:
		policy = (*last)[0]
	}
	return decision(policy, st.Enabled, s.keys.enabled)
}

// settledConsent is consent at the end of a start, for which the policy is read if it matters.
func (s *Service) settledConsent(st installid.Status) Decision {
	if s.config.Consent != nil {
		return s.decisions(context.Background()).Telemetry
	}
	if isTrue(st.Enabled) {
		ctx, cancel := context.WithTimeout(context.Background(), consentTimeout)
		defer cancel()
		s.policy(ctx) // an error is kept as well, and denies
	}
	return s.consent(st)
}

// mayCreate tells whether consent allows to make an ID, from the config's key as it was just read.
func (s *Service) mayCreate(enabled configfile.Value) bool {
	return s.settledConsent(installid.Status{Enabled: enabled}).State == Granted
}

// decision weighs a policy, which can only deny, and a config.
func decision(policy, config configfile.Value, key configfile.Key) Decision {
	switch {
	case policy.Kind != configfile.Absent && !isTrue(policy):
		return Decision{Denied, "policy file"}
	case config.Kind == configfile.Absent:
		return Decision{Unset, notDecided}
	case isTrue(config):
		return Decision{Granted, "config key " + key.String()}
	case config.Kind == configfile.Bool:
		return Decision{Denied, "config key " + key.String()}
	default:
		return Decision{Denied, "config key " + key.String() + " is neither true nor false"}
	}
}

func isTrue(v configfile.Value) bool { return v.Kind == configfile.Bool && v.Text == "true" }

// version reads which version a consent covers. One that does not say covers the first, and none covers more than there
// is; what is not a number covers nothing.
func version(v configfile.Value, latest int) int {
	if v.Kind == configfile.Absent {
		return 1
	}
	n, err := strconv.Atoi(v.Text)
	if v.Kind != configfile.Number || err != nil || n < 0 {
		return 0
	}
	return min(n, latest)
}

// deniedByEnvironment names the variable that denies consent, if one does.
func deniedByEnvironment(getenv func(string) string, own string) (source string, denied bool) {
	const variable = "environment variable "
	if v := getenv(doNotTrack); v != "" && !isNo(v) {
		return variable + doNotTrack, true
	}
	for _, name := range []string{own, telemetryVariable} {
		if name != "" && isNo(getenv(name)) {
			return variable + name, true
		}
	}
	return "", false
}

func isNo(value string) bool {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "0", "false", "no", "off":
		return true
	}
	return false
}

// notReal names what makes this process one that is not to be counted: a test, a build of CI, or a development version.
func notReal(version string, getenv func(string) string) (what string, ok bool) {
	for _, name := range []string{"CI", "BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION", "TF_BUILD"} {
		if v := getenv(name); v != "" && !isNo(v) {
			return "environment variable " + name, true
		}
	}
	switch {
	case flag.Lookup("test.v") != nil:
		return "a test binary", true
	case report.IsDevelopment(version):
		return "development version " + cmp.Or(version, "(none)"), true
	}
	return "", false
}
