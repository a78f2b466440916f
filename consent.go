package rollcall

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
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

// The variables that can deny consent, and cannot grant it, besides Config.Consent.DenyVariable.
const (
	// doNotTrack denies with any value but the empty one, 0, false, no and off; an informal standard of console programs.
	doNotTrack = "DO_NOT_TRACK"
	// telemetryVariable denies with 0, false, no and off.
	telemetryVariable = "ROLLCALL_TELEMETRY"
)

// What decides, besides the variables and the keys.
const (
	noService    = "no service"
	notDecided   = "not decided"
	hostSettings = "the host's settings"
	unreadHost   = "the host's settings could not be read"
	unreadConfig = "the config could not be read"
	notSaved     = "denied in this process; that could not be saved"
	inPolicy     = "policy file "
	unreadPolicy = "the policy file could not be read: "
	policyToRead = "the policy file was not read yet: "
)

// consentKeys are the config's keys of the operator's decisions. They stand beside the key of the consent itself.
type consentKeys struct{ enabled, health, schema, facts jsonedit.Key }

func newConsentKeys(enabled jsonedit.Key) consentKeys {
	beside := func(name string) jsonedit.Key {
		return append(append(jsonedit.Key(nil), enabled[:len(enabled)-1]...), name)
	}
	return consentKeys{enabled, beside("health_enabled"), beside("granted_schema"), beside("granted_facts")}
}

func (k consentKeys) all() []jsonedit.Key {
	return []jsonedit.Key{k.enabled, k.health, k.schema, k.facts}
}

// policyKeys are the keys of a policy: telemetry and health reports, as any program has them, and those of a host that
// keeps them elsewhere.
func (k consentKeys) policyKeys() []jsonedit.Key {
	common := jsonedit.Key{"telemetry", "enabled"}
	return []jsonedit.Key{common, newConsentKeys(common).health, k.enabled, k.health}
}

// A reading is what the places of the operator's decisions held when they were read. Nil values were not read.
type reading struct {
	policy    []jsonedit.Value // at policyKeys
	policyErr error
	values    []jsonedit.Value // at all, of the config or of the host's settings
	err       error            // of the values
}

// Decisions reads what the operator decided, as it stands at this moment. An error, a torn file or a time-out reads as
// denied. It waits no longer than ctx and two seconds.
func (s *Service) Decisions(ctx context.Context) Decisions {
	if s == nil {
		no := Decision{Unset, noService}
		return Decisions{Telemetry: no, Health: no}
	}
	return s.decide(ctx, true)
}

// decide reads what the operator decided; the policy, which can only deny, also where nothing is granted if that is to be
// known.
func (s *Service) decide(ctx context.Context, thoroughly bool) Decisions {
	limited, cancel := context.WithTimeout(ctx, consentTimeout)
	defer cancel()
	var r reading
	for changes, again := uint64(0), true; again && limited.Err() == nil; again = changes != s.changes.Load() {
		changes = s.changes.Load() // so that what was read before a change is not taken for what stands after it
		r = s.read(limited, thoroughly)
	}
	if limited.Err() != nil && r.err == nil {
		r.err = limited.Err()
	}
	if ctx.Err() == nil { // else it says nothing about the disk
		s.remember(&r)
	}
	return s.weigh(&r)
}

// read reads the config and then the policy, which goes before it, but is left alone while a hung disk is waited for.
func (s *Service) read(ctx context.Context, thoroughly bool) (r reading) {
	var policyKeys []jsonedit.Key
	if thoroughly {
		policyKeys = s.keys.policyKeys()
	}
	if s.config.Consent.Load != nil {
		r.values, r.err = s.askHost(ctx)
	} else {
		d := s.records.ReadDecisions(ctx, s.keys.all(), policyKeys)
		r = reading{d.Policy, d.PolicyErr, d.Config, d.ConfigErr}
	}
	if r.policy == nil && r.policyErr == nil && ctx.Err() == nil && (thoroughly || isTrue(at(r.values, 0))) {
		d := s.records.ReadDecisions(ctx, nil, s.keys.policyKeys())
		r.policy, r.policyErr = d.Policy, d.PolicyErr
	}
	return r
}

// askHost asks the host for the decisions.
func (s *Service) askHost(ctx context.Context) ([]jsonedit.Value, error) {
	a, err := flight.Do(ctx, &s.asking, "ask the host for the consent", s.config.Consent.Load)
	values := make([]jsonedit.Value, len(s.keys.all()))
	values[0], values[1] = asValue(a.Telemetry), asValue(a.Health)
	values[2], values[3] = asNumber(report.SchemaVersion), asNumber(max(s.facts.declaration.Version(), 1))
	return values, err
}

// asValue is the value that a config would have for a decision.
func asValue(c Consent) jsonedit.Value {
	switch c {
	case Granted:
		return jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
	case Unset:
		return jsonedit.Value{}
	default:
		return jsonedit.Value{Kind: jsonedit.Bool, Text: "false"}
	}
}

func asNumber(n int) jsonedit.Value {
	return jsonedit.Value{Kind: jsonedit.Number, Text: strconv.Itoa(n)}
}

// remember keeps what was read, for the status, and starts counting faults anew when health reports are granted or
// withdrawn: what happens without consent is never sent.
func (s *Service) remember(r *reading) {
	s.lastRead.Store(r)
	if s.storeReadsConsent {
		s.keeper.NoteEnabled(at(r.values, 0), r.err)
	}
	if r.err != nil || r.policyErr != nil {
		return // denied for now, which nobody decided
	}
	s.faults.setGranted(s.weigh(r).Health.State == Granted)
}

// at gives a value, Absent where none was read.
func at(values []jsonedit.Value, i int) jsonedit.Value {
	if i >= len(values) {
		return jsonedit.Value{}
	}
	return values[i]
}

// known is what was decided as far as that is known without a look at the disk.
func (s *Service) known(st keeper.Status) Decisions {
	var r reading
	if last := s.lastRead.Load(); last != nil {
		r = *last
	}
	if s.storeReadsConsent { // and may have done so since
		values := make([]jsonedit.Value, len(s.keys.all()))
		copy(values, r.values)
		values[0], r.values, r.err = st.Enabled, values, nil
		if st.Unread {
			r.err = errors.New(unreadConfig)
		}
	}
	return s.weigh(&r)
}

// settledDecision is the decision at the end of a start. It is read if the store did not, or saw a grant.
func (s *Service) settledDecision(ctx context.Context, st keeper.Status) Decision {
	switch {
	case s.storeReadsConsent && (st.Unread || !isTrue(st.Enabled)):
		return s.known(st).Telemetry
	case st.Stuck != "" && s.config.ID.Load == nil && s.config.Consent.Load == nil:
		s.remember(&reading{err: errors.New("the storage does not answer")}) // and would not now
		return s.known(st).Telemetry
	}
	return s.decide(ctx, false).Telemetry
}

// mayCreate tells whether consent allows to make an ID, from the config's key as it was just read.
func (s *Service) mayCreate(ctx context.Context, enabled jsonedit.Value) bool {
	return s.settledDecision(ctx, keeper.Status{Enabled: enabled}).State == Granted
}

// weigh gives the decisions: the first of policy, environment and config that says something.
func (s *Service) weigh(r *reading) Decisions {
	d := Decisions{
		Telemetry: s.decision(at(r.values, 0), s.keys.enabled),
		Schema:    version(at(r.values, 2), report.SchemaVersion),
		Facts:     version(at(r.values, 3), max(s.facts.declaration.Version(), 1)),
	}
	if source := s.denied(r, d.Telemetry.State); source != "" {
		d.Telemetry = Decision{Denied, source}
	}
	switch {
	case d.Telemetry.State != Granted:
		d.Health = d.Telemetry
	case denies(at(r.policy, 1)), denies(at(r.policy, 3)):
		d.Health = Decision{Denied, inPolicy + s.config.Consent.PolicyPath}
	case s.healthWithdrawn.Load() != 0:
		d.Health = Decision{Denied, notSaved}
	default:
		d.Health = s.decision(at(r.values, 1), s.keys.health)
	}
	return d
}

// denied says what denies telemetry whatever the config says, empty when nothing does. config is what that says.
func (s *Service) denied(r *reading, config Consent) string {
	variable, byEnvironment := deniedByEnvironment(os.Getenv, s.config.Consent.DenyVariable)
	switch {
	case r.policyErr != nil:
		return unreadPolicy + s.config.Consent.PolicyPath
	case denies(at(r.policy, 0)), denies(at(r.policy, 2)):
		return inPolicy + s.config.Consent.PolicyPath
	case byEnvironment:
		return variable
	case s.withdrawn.Load() != 0:
		return notSaved
	case r.err != nil && s.config.Consent.Load != nil:
		return unreadHost
	case r.err != nil:
		return unreadConfig
	case r.policy == nil && config == Granted:
		return policyToRead + s.config.Consent.PolicyPath
	}
	return ""
}

// denies tells whether a value of a policy, which can only deny, does.
func denies(policy jsonedit.Value) bool {
	return policy.Kind != jsonedit.Absent && !isTrue(policy)
}

// decision is that of a value in the config, or in the host's settings.
func (s *Service) decision(v jsonedit.Value, key jsonedit.Key) Decision {
	source := "config key " + key.String()
	if s.config.Consent.Load != nil {
		source = hostSettings
	}
	switch {
	case v.Kind == jsonedit.Absent:
		return Decision{Unset, notDecided}
	case isTrue(v):
		return Decision{Granted, source}
	case v.Kind == jsonedit.Bool:
		return Decision{Denied, source}
	default:
		return Decision{Denied, source + " is neither true nor false"}
	}
}

func isTrue(v jsonedit.Value) bool { return v.Kind == jsonedit.Bool && v.Text == "true" }

// version reads which version a consent covers. One that does not say covers the first, and none covers more than there
// is; what is not a number covers nothing.
func version(v jsonedit.Value, latest int) int {
	if v.Kind == jsonedit.Absent {
		return 1
	}
	n, err := strconv.Atoi(v.Text)
	if v.Kind != jsonedit.Number || err != nil || n < 0 {
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
	if name, ok := ciMarker(getenv); ok {
		return "environment variable " + name, true
	}
	switch {
	case report.IsDevelopment(version):
		return "development version " + cmp.Or(version, "(none)"), true
	case flag.Lookup("test.v") != nil:
		return "a test binary", true
	}
	return "", false
}

// ciMarker names the variable by which a build server says that it is one.
func ciMarker(getenv func(string) string) (name string, ok bool) {
	for _, name := range []string{"CI", "BUILD_ID", "JENKINS_URL", "TEAMCITY_VERSION", "TF_BUILD"} {
		if v := getenv(name); v != "" && !isNo(v) {
			return name, true
		}
	}
	return "", false
}
