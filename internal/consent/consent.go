// Package consent holds the rules by which the operator's decisions follow
// from the places that can hold one. It reads no file and no variable itself.
//
// The first place that says something decides: the policy file, the
// environment, a denial in this process that could not be saved, and then the
// settings, which are a config, a consent file, or what the host keeps. Only
// the settings can grant, and whatever cannot be read denies. Health reports
// also need a decision of their own.
package consent

// A State is what a decision says. The zero value is Unset, which acts as
// Denied.
type State int

// The states.
const (
	Unset State = iota
	Granted
	Denied
)

// A Kind is the kind of place that holds a decision.
type Kind string

// The kinds of places.
const (
	Nobody      Kind = "nobody" // nobody has decided
	PolicyFile  Kind = "policy"
	Environment Kind = "environment"
	Process     Kind = "process" // a denial in this process that could not be saved
	Config      Kind = "config"
	ConsentFile Kind = "consent_file"
	Host        Kind = "host"
)

// A Problem is why a place denies although it does not say so.
type Problem string

// The problems.
const (
	Unreadable Problem = "unreadable"
	Invalid    Problem = "invalid" // the value is neither true nor false
	NotRead    Problem = "not_read"
)

// A Source is the place that decided.
type Source struct {
	Kind Kind
	// Name is the path of a policy file or a consent file, the name of a
	// variable, or the key in a config; empty for the other kinds.
	Name    string
	Problem Problem
}

// A Decision is a state and the place that decided it.
type Decision struct {
	State  State
	Source Source
	// Setting is what the settings alone say.
	Setting State
}

// Decisions are everything the operator decided.
type Decisions struct {
	Telemetry, Health Decision
	Covers            Versions
}

// Versions are versions of a report's fields and of the host's facts.
type Versions struct{ Schema, Facts int }

// Evidence is everything that decisions follow from.
type Evidence struct {
	Policy Policy
	// Variable is the environment variable that denies; empty if none does.
	Variable string
	// TelemetryDenied and HealthDenied report a denial in this process that
	// could not be saved.
	TelemetryDenied, HealthDenied bool
	Settings                      Settings
}

// A Policy is the content of the machine-wide policy file. The zero value
// denies nothing.
type Policy struct {
	Path                          string
	Problem                       Problem // Unreadable, NotRead or none
	DeniesTelemetry, DeniesHealth bool
}

// Settings are the decisions as a config, a consent file or the host keeps
// them, and the versions that a grant covers.
type Settings struct {
	Telemetry, Health Decision
	Covers            Versions
}

// Decide applies the rules.
func Decide(e Evidence) Decisions {
	d := Decisions{Telemetry: e.Settings.Telemetry, Health: e.Settings.Health, Covers: e.Settings.Covers}
	telemetry, health := d.Telemetry.State, d.Health.State
	policy := Source{Kind: PolicyFile, Name: e.Policy.Path}
	switch {
	case e.Policy.Problem == Unreadable:
		d.Telemetry = Decision{State: Denied, Source: Source{PolicyFile, e.Policy.Path, Unreadable}}
	case e.Policy.DeniesTelemetry:
		d.Telemetry = Decision{State: Denied, Source: policy}
	case e.Variable != "":
		d.Telemetry = Decision{State: Denied, Source: Source{Kind: Environment, Name: e.Variable}}
	case e.TelemetryDenied:
		d.Telemetry = Decision{State: Denied, Source: Source{Kind: Process}}
	case e.Policy.Problem == NotRead && telemetry == Granted:
		d.Telemetry = Decision{State: Denied, Source: Source{PolicyFile, e.Policy.Path, NotRead}}
	}
	switch {
	case d.Telemetry.State != Granted:
		d.Health = d.Telemetry
	case e.Policy.DeniesHealth:
		d.Health = Decision{State: Denied, Source: policy}
	case e.HealthDenied:
		d.Health = Decision{State: Denied, Source: Source{Kind: Process}}
	}
	d.Telemetry.Setting, d.Health.Setting = telemetry, health
	return d
}
