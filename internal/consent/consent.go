// Package consent holds the rules by which the operator's decisions follow
// from the places that can hold one. It reads no file and no variable itself.
//
// The first place that says something decides: the policy file, the
// environment, a denial in this process that could not be saved, what the
// operator withdrew through Rollcall, and then the settings, which are a
// config, a consent file, or what the host keeps. Only the settings can grant,
// and whatever cannot be read denies. Health reports need a decision of their
// own besides that to telemetry. The update check has one of its own too, and
// does not need the other: it says nothing about the installation. What denies
// telemetry in general, such as the environment, denies it as well.
//
// A withdrawal is recorded beside the settings, because copies of these may be
// old: a host saves what it has held in memory, and backups are restored.
package consent

import "time"

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
	Withdrawal  Kind = "withdrawal"
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
	Retired    Problem = "retired" // the ID in use was reset or forgotten
)

// A Source is the place that decided.
type Source struct {
	Kind Kind
	// Name is the path of a policy file, a consent file or a withdrawal, the
	// name of a variable, or the key in a config; empty for the other kinds.
	Name    string
	Problem Problem
	// Since and By say when the operator withdrew and who ordered that.
	Since time.Time
	By    string
}

// A Decision is a state and the place that decided it.
type Decision struct {
	State  State
	Source Source
	// Setting is what the settings alone say; Unset if they cannot be read.
	Setting State
}

// Decisions are everything the operator decided.
type Decisions struct {
	Telemetry, Health, UpdateCheck Decision
	Covers                         Versions
}

// Versions are versions of a report's fields and of the host's facts.
type Versions struct{ Schema, Facts int }

// Evidence is everything that decisions follow from.
type Evidence struct {
	Policy Policy
	// Variable is the environment variable that denies; empty if none does.
	Variable string
	// TelemetryDenied, HealthDenied and UpdateCheckDenied report a denial in
	// this process that could not be saved.
	TelemetryDenied, HealthDenied, UpdateCheckDenied bool
	Withdrawals                                      Withdrawals
	Settings                                         Settings
}

// Withdrawals are what the operator withdrew through Rollcall. The zero value
// is nothing.
type Withdrawals struct {
	Problem Problem // Unreadable, NotRead or none
	Path    string  // of the file of denials, or of the one that is unreadable

	Telemetry, Health, UpdateCheck Denial
	// RetiredIn says where the installation ID in use was retired: the path of
	// the file, or the variable that it comes from. Empty if it was not.
	RetiredIn string
	// FromVariable reports whether it comes from an environment variable.
	FromVariable bool
}

// A Denial is a recorded denial. The zero value is none.
type Denial struct {
	Denied bool
	Since  time.Time
	By     string
}

func (w Withdrawals) decision(d Denial) Decision {
	return Decision{State: Denied, Source: Source{Kind: Withdrawal, Name: w.Path, Since: d.Since, By: d.By}}
}

func (w Withdrawals) unknown() Decision {
	return Decision{State: Denied, Source: Source{Kind: Withdrawal, Name: w.Path, Problem: w.Problem}}
}

func (w Withdrawals) retired() Decision {
	kind := Withdrawal
	if w.FromVariable {
		kind = Environment
	}
	return Decision{State: Denied, Source: Source{Kind: kind, Name: w.RetiredIn, Problem: Retired}}
}

// A Policy is the content of the machine-wide policy file. The zero value
// denies nothing.
type Policy struct {
	Path    string
	Problem Problem // Unreadable, NotRead or none
	// DeniesTelemetry denies the update check too.
	DeniesTelemetry, DeniesHealth, DeniesUpdateCheck bool
}

// Settings are the decisions as a config, a consent file or the host keeps
// them, and the versions that a grant covers.
type Settings struct {
	Telemetry, Health, UpdateCheck Decision
	Covers                         Versions
}

// Decide applies the rules.
func Decide(e Evidence) Decisions {
	d := Decisions{Health: e.Settings.Health, Covers: e.Settings.Covers}
	policy, w := Source{Kind: PolicyFile, Name: e.Policy.Path}, e.Withdrawals
	d.Telemetry = e.decide(e.Settings.Telemetry, e.Policy.DeniesTelemetry, e.TelemetryDenied, w.Telemetry, w.RetiredIn != "")
	d.UpdateCheck = e.decide(e.Settings.UpdateCheck, e.Policy.DeniesTelemetry || e.Policy.DeniesUpdateCheck, e.UpdateCheckDenied,
		w.UpdateCheck, false) // which sends no ID
	switch {
	case d.Telemetry.State != Granted:
		d.Health = d.Telemetry
	case e.Policy.DeniesHealth:
		d.Health = Decision{State: Denied, Source: policy}
	case e.HealthDenied:
		d.Health = Decision{State: Denied, Source: Source{Kind: Process}}
	case w.Health.Denied:
		d.Health = w.decision(w.Health)
	}
	d.Health.Setting = e.Settings.Health.State
	return d
}

// decide applies the rules to one decision of the settings.
func (e Evidence) decide(setting Decision, policyDenies, processDenies bool, withdrawn Denial, retired bool) Decision {
	d, policy, w := setting, Source{Kind: PolicyFile, Name: e.Policy.Path}, e.Withdrawals
	switch {
	case e.Policy.Problem == Unreadable:
		policy.Problem = Unreadable
		d = Decision{State: Denied, Source: policy}
	case policyDenies:
		d = Decision{State: Denied, Source: policy}
	case e.Variable != "":
		d = Decision{State: Denied, Source: Source{Kind: Environment, Name: e.Variable}}
	case retired && w.FromVariable:
		d = w.retired()
	case processDenies:
		d = Decision{State: Denied, Source: Source{Kind: Process}}
	case w.Problem == Unreadable:
		d = w.unknown()
	case withdrawn.Denied:
		d = w.decision(withdrawn)
	case setting.State != Granted:
	case retired:
		d = w.retired()
	case e.Policy.Problem == NotRead:
		policy.Problem = NotRead
		d = Decision{State: Denied, Source: policy}
	case w.Problem == NotRead:
		d = w.unknown()
	}
	if setting.Source.Problem != Unreadable {
		d.Setting = setting.State
	}
	return d
}
