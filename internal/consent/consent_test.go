package consent_test

import (
	"testing"

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
)

// A layer is one of the places that take precedence over the settings. One
// without a name says nothing.
type layer struct {
	name   string
	source consent.Source
}

// TestPrecedence combines every place that can decide about telemetry: policy,
// environment, denial in this process, settings.
func TestPrecedence(t *testing.T) {
	for name, setting := range settingsOf {
		for _, p := range policies {
			for _, e := range environment {
				for _, d := range denials {
					evidence := consent.Evidence{
						Policy: consent.Policy{
							Path: "/etc/policy.json", Problem: p.source.Problem, DeniesTelemetry: p.name == "denies",
						},
						Variable:        e.source.Name,
						TelemetryDenied: d.name != "",
						Settings:        consent.Settings{Telemetry: setting, Health: setting},
					}
					want := setting
					switch {
					case p.name == "denies" || p.name == "unreadable":
						want = consent.Decision{State: consent.Denied, Source: p.source}
					case e.name != "":
						want = consent.Decision{State: consent.Denied, Source: e.source}
					case d.name != "":
						want = consent.Decision{State: consent.Denied, Source: d.source}
					case p.name == "not read" && setting == granted:
						want = consent.Decision{State: consent.Denied, Source: p.source}
					}
					want.Setting = setting.State
					got := consent.Decide(evidence)
					if got.Telemetry != want {
						t.Errorf("setting %s, policy %q, environment %q, process %q: got %+v, want %+v",
							name, p.name, e.name, d.name, got.Telemetry, want)
					}
					if got.Health != want { // health reports need the consent to telemetry
						t.Errorf("setting %s, policy %q, environment %q, process %q: got %+v for health, want %+v",
							name, p.name, e.name, d.name, got.Health, want)
					}
				}
			}
		}
	}
}

// TestHealth decides about health reports where telemetry is granted.
func TestHealth(t *testing.T) {
	healthGranted := consent.Decision{State: consent.Granted, Source: healthKey}
	for name, tt := range map[string]struct {
		policyDenies, deniedHere bool
		setting                  consent.Decision
		want                     consent.Source
		state                    consent.State
	}{
		"granted":                     {false, false, healthGranted, healthKey, consent.Granted},
		"denied":                      {false, false, denied, key, consent.Denied},
		"undecided":                   {false, false, undecided, nobody, consent.Unset},
		"denied by policy":            {true, false, healthGranted, policy, consent.Denied},
		"denied in process":           {false, true, healthGranted, process, consent.Denied},
		"denied by both":              {true, true, healthGranted, policy, consent.Denied},
		"undecided, denied by policy": {true, false, undecided, policy, consent.Denied},
	} {
		d := consent.Decide(consent.Evidence{
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
