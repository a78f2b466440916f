package consent_test

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/consent"
)

// The sources, with the names that programs and operators see.
var (
	nobody      = consent.Source{Kind: "nobody"}
	key         = consent.Source{Kind: "config", Name: "telemetry.enabled"}
	healthKey   = consent.Source{Kind: "config", Name: "telemetry.health_enabled"}
	policy      = consent.Source{Kind: "policy", Name: "/etc/policy.json"}
	torn        = consent.Source{Kind: "policy", Name: "/etc/policy.json", Problem: "unreadable"}
	notRead     = consent.Source{Kind: "policy", Name: "/etc/policy.json", Problem: "not_read"}
	variable    = consent.Source{Kind: "environment", Name: "DO_NOT_TRACK"}
	process     = consent.Source{Kind: "process"}
	granted     = consent.Decision{State: consent.Granted, Source: key}
	denied      = consent.Decision{State: consent.Denied, Source: key}
	undecided   = consent.Decision{State: consent.Unset, Source: nobody}
	settingsOf  = map[string]consent.Decision{"granted": granted, "denied": denied, "undecided": undecided}
	policies    = []layer{{}, {"denies", policy}, {"unreadable", torn}, {"not read", notRead}}
	environment = []layer{{}, {"denies", variable}}
	denials     = []layer{{}, {"denies", process}}
	withdrawals = []layer{
		{}, {"denies", withdrawn}, {"unreadable", withdrawalSource("unreadable")}, {"not read", withdrawalSource("not_read")},
		{"retired", consent.Source{Kind: "withdrawal", Name: "/ids", Problem: "retired"}},
		{"retired in variable", consent.Source{Kind: "environment", Name: "MY_ID", Problem: "retired"}},
	}

	withdrawn = consent.Source{Kind: "withdrawal", Name: "/denied", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), By: "page"}
)

func withdrawalSource(problem consent.Problem) consent.Source {
	return consent.Source{Kind: "withdrawal", Name: "/denied", Problem: problem}
}

// withdraws returns the withdrawals of a layer.
func withdraws(l layer) consent.Withdrawals {
	w := consent.Withdrawals{Path: "/denied"}
	switch l.name {
	case "denies":
		w.Telemetry = consent.Denial{Denied: true, Since: l.source.Since, By: l.source.By}
		w.UpdateCheck = w.Telemetry
	case "unreadable", "not read":
		w.Problem = l.source.Problem
	case "retired", "retired in variable":
		w.RetiredIn, w.FromVariable = l.source.Name, l.name != "retired"
	}
	return w
}

// A layer is one of the places that take precedence over the settings. One
// without a name says nothing.
type layer struct {
	name   string
	source consent.Source
}

// retiresID reports whether the layer retires the ID.
func (l layer) retiresID() bool { return l.name == "retired" || l.name == "retired in variable" }

// TestPrecedence combines every place that can decide about telemetry: policy,
// environment, denial in this process, withdrawal, settings.
func TestPrecedence(t *testing.T) {
	for name, setting := range settingsOf {
		for _, p := range policies {
			for _, e := range environment {
				for _, d := range denials {
					for _, w := range withdrawals {
						evidence := consent.Evidence{
							Policy: consent.Policy{
								Path: "/etc/policy.json", Problem: p.source.Problem, DeniesTelemetry: p.name == "denies",
							},
							Variable:        e.source.Name,
							TelemetryDenied: d.name != "", UpdateCheckDenied: d.name != "",
							Withdrawals: withdraws(w),
							Settings:    consent.Settings{Telemetry: setting, Health: setting, UpdateCheck: setting},
						}
						want := setting
						switch {
						case p.name == "denies" || p.name == "unreadable":
							want = consent.Decision{State: consent.Denied, Source: p.source}
						case e.name != "":
							want = consent.Decision{State: consent.Denied, Source: e.source}
						case w.name == "retired in variable":
							want = consent.Decision{State: consent.Denied, Source: w.source}
						case d.name != "":
							want = consent.Decision{State: consent.Denied, Source: d.source}
						case w.name == "denies" || w.name == "unreadable":
							want = consent.Decision{State: consent.Denied, Source: w.source}
						case setting != granted:
						case w.name == "retired":
							want = consent.Decision{State: consent.Denied, Source: w.source}
						case p.name == "not read":
							want = consent.Decision{State: consent.Denied, Source: p.source}
						case w.name == "not read":
							want = consent.Decision{State: consent.Denied, Source: w.source}
						}
						want.Setting = setting.State
						got := consent.Decide(evidence)
						if got.Telemetry != want {
							t.Errorf("setting %s, policy %q, environment %q, process %q, withdrawal %q: got %+v, want %+v",
								name, p.name, e.name, d.name, w.name, got.Telemetry, want)
						}
						if got.Health != want { // health reports need the consent to telemetry
							t.Errorf("setting %s, policy %q, environment %q, process %q, withdrawal %q: got %+v for health, want %+v",
								name, p.name, e.name, d.name, w.name, got.Health, want)
						}
						if w.retiresID() { // the update check sends no ID
							evidence.Withdrawals = consent.Withdrawals{}
							want = consent.Decide(evidence).Telemetry
						}
						if got.UpdateCheck != want {
							t.Errorf("setting %s, policy %q, environment %q, process %q, withdrawal %q: got %+v for the update check, want %+v",
								name, p.name, e.name, d.name, w.name, got.UpdateCheck, want)
						}
					}
				}
			}
		}
	}
}

// TestUpdateCheck: it has a decision of its own, which needs no other, and each
// place denies it alone.
func TestUpdateCheck(t *testing.T) {
	updateKey := consent.Source{Kind: "config", Name: "telemetry.update_check"}
	updates := consent.Decision{State: consent.Granted, Source: updateKey}
	for name, tt := range map[string]struct {
		change func(*consent.Evidence)
		want   consent.Source
		state  consent.State
	}{
		"granted, telemetry is not": {func(*consent.Evidence) {}, updateKey, consent.Granted},
		"telemetry was withdrawn":   {func(e *consent.Evidence) { e.Withdrawals.Telemetry.Denied = true }, updateKey, consent.Granted},
		"telemetry is denied here":  {func(e *consent.Evidence) { e.TelemetryDenied = true }, updateKey, consent.Granted},
		"the ID is retired":         {func(e *consent.Evidence) { e.Withdrawals.RetiredIn = "/ids" }, updateKey, consent.Granted},
		"denied by policy":          {func(e *consent.Evidence) { e.Policy.DeniesUpdateCheck = true }, policy, consent.Denied},
		"the policy denies all":     {func(e *consent.Evidence) { e.Policy.DeniesTelemetry = true }, policy, consent.Denied},
		"denied by a variable":      {func(e *consent.Evidence) { e.Variable = variable.Name }, variable, consent.Denied},
		"denied here":               {func(e *consent.Evidence) { e.UpdateCheckDenied = true }, process, consent.Denied},
		"withdrawn": {func(e *consent.Evidence) {
			e.Withdrawals = consent.Withdrawals{Path: "/denied", UpdateCheck: consent.Denial{Denied: true, Since: withdrawn.Since, By: withdrawn.By}}
		}, withdrawn, consent.Denied},
		"undecided": {func(e *consent.Evidence) { e.Settings.UpdateCheck = undecided }, nobody, consent.Unset},
	} {
		evidence := consent.Evidence{
			Policy: consent.Policy{Path: "/etc/policy.json"}, Settings: consent.Settings{Telemetry: denied, UpdateCheck: updates},
		}
		tt.change(&evidence)
		setting := evidence.Settings.UpdateCheck.State
		got := consent.Decide(evidence).UpdateCheck
		if want := (consent.Decision{State: tt.state, Source: tt.want, Setting: setting}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestHealth decides about health reports where telemetry is granted.
func TestHealth(t *testing.T) {
	healthGranted := consent.Decision{State: consent.Granted, Source: healthKey}
	for name, tt := range map[string]struct {
		policyDenies, deniedHere bool
		withdrawn                bool
		setting                  consent.Decision
		want                     consent.Source
		state                    consent.State
	}{
		"granted":                     {false, false, false, healthGranted, healthKey, consent.Granted},
		"denied":                      {false, false, false, denied, key, consent.Denied},
		"undecided":                   {false, false, false, undecided, nobody, consent.Unset},
		"denied by policy":            {true, false, false, healthGranted, policy, consent.Denied},
		"denied in process":           {false, true, false, healthGranted, process, consent.Denied},
		"denied by both":              {true, true, false, healthGranted, policy, consent.Denied},
		"withdrawn":                   {false, false, true, healthGranted, withdrawn, consent.Denied},
		"withdrawn, not granted":      {false, false, true, undecided, withdrawn, consent.Denied},
		"withdrawn and denied here":   {false, true, true, healthGranted, process, consent.Denied},
		"undecided, denied by policy": {true, false, false, undecided, policy, consent.Denied},
	} {
		var w consent.Withdrawals
		if tt.withdrawn {
			w = consent.Withdrawals{Path: "/denied", Health: consent.Denial{Denied: true, Since: withdrawn.Since, By: withdrawn.By}}
		}
		d := consent.Decide(consent.Evidence{
			Withdrawals:  w,
			Policy:       consent.Policy{Path: "/etc/policy.json", DeniesHealth: tt.policyDenies},
			HealthDenied: tt.deniedHere,
			Settings:     consent.Settings{Telemetry: granted, Health: tt.setting, Covers: consent.Versions{Schema: 3, Facts: 4}},
		})
		want := consent.Decision{State: tt.state, Source: tt.want, Setting: tt.setting.State}
		if d.Health != want {
			t.Errorf("%s: got %+v, want %+v", name, d.Health, want)
		}
		if telemetry := (consent.Decision{State: consent.Granted, Source: key, Setting: consent.Granted}); d.Telemetry != telemetry {
			t.Errorf("%s: got %+v for telemetry, want %+v", name, d.Telemetry, telemetry)
		}
		if covers := (consent.Versions{Schema: 3, Facts: 4}); d.Covers != covers {
			t.Errorf("%s: got %+v, want %+v", name, d.Covers, covers)
		}
	}
}
