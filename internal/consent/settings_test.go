package consent_test

import (
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

var (
	absent = jsonedit.Value{}
	null   = jsonedit.Value{Kind: jsonedit.Null}
	yes    = jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
	no     = jsonedit.Value{Kind: jsonedit.Bool, Text: "false"}
	latest = consent.Versions{Schema: 3, Facts: 7}
)

func text(s string) jsonedit.Value { return jsonedit.Value{Kind: jsonedit.String, Text: s} }
func blocked(s string) jsonedit.Value {
	return jsonedit.Value{Kind: jsonedit.Blocked, Text: s}
}
func number(s string) jsonedit.Value { return jsonedit.Value{Kind: jsonedit.Number, Text: s} }

func dotted(keys []jsonedit.Key) (names []string) {
	for _, k := range keys {
		names = append(names, k.String())
	}
	return names
}

func TestKeys(t *testing.T) {
	common := consent.NewKeys(jsonedit.Key{"telemetry", "enabled"})
	want := []string{"telemetry.enabled", "telemetry.health_enabled", "telemetry.update_check", "telemetry.granted_schema", "telemetry.granted_facts"}
	if got := dotted(common.InSettings()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	path := jsonedit.Key{"stats", "on", "please"}
	own := consent.NewKeys(path)
	want = []string{"stats.on.please", "stats.on.health_enabled", "stats.on.update_check", "stats.on.granted_schema", "stats.on.granted_facts"}
	if got := dotted(own.InSettings()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	want = []string{
		"telemetry.enabled", "telemetry.health_enabled", "telemetry.update_check", "stats.on.please", "stats.on.health_enabled", "stats.on.update_check",
	}
	if got := dotted(own.InPolicy()); !slices.Equal(got, want) {
		t.Errorf("got %q in the policy, want %q", got, want)
	}
	if path.String() != "stats.on.please" {
		t.Errorf("changed its argument to %v", path)
	}
}

// TestSettings: only true grants, and only what says no is a plain denial.
func TestSettings(t *testing.T) {
	keys := consent.NewKeys(jsonedit.Key{"telemetry", "enabled"})
	const file = "/var/lib/app/consent.json"
	for _, tt := range []struct {
		name    string
		value   jsonedit.Value
		state   consent.State
		problem consent.Problem
	}{
		{"absent", absent, consent.Unset, ""},
		{"true", yes, consent.Granted, ""},
		{"false", no, consent.Denied, ""},
		{"null", null, consent.Unset, ""},
		{"text", text("true"), consent.Denied, "invalid"},
		{"another text", text("please"), consent.Denied, "invalid"},
		{"off", text("Off"), consent.Denied, ""},
		{"number", number("1"), consent.Denied, "invalid"},
		{"zero", number("0"), consent.Denied, ""},
		{"section is off", blocked("off"), consent.Denied, ""},
		{"section is false", blocked("false"), consent.Denied, ""},
		{"section is another text", blocked("never"), consent.Denied, ""},
		{"section is true", blocked("true"), consent.Denied, "invalid"},
		{"section is a list", blocked(""), consent.Denied, "invalid"},
		{"list", jsonedit.Value{Kind: jsonedit.Array}, consent.Denied, "invalid"},
		{"object", jsonedit.Value{Kind: jsonedit.Object}, consent.Denied, "invalid"},
	} {
		want := func(kind consent.Kind, name string) consent.Decision {
			if tt.state == consent.Unset {
				return consent.Decision{Source: consent.Source{Kind: "nobody"}}
			}
			return consent.Decision{State: tt.state, Source: consent.Source{Kind: kind, Name: name, Problem: tt.problem}}
		}
		got := keys.ParseSettings([]jsonedit.Value{tt.value, tt.value, tt.value, absent, absent}, consent.Config, "", latest)
		if w := want("config", "telemetry.enabled"); got.Telemetry != w {
			t.Errorf("%s: got %+v, want %+v", tt.name, got.Telemetry, w)
		}
		if w := want("config", "telemetry.health_enabled"); got.Health != w {
			t.Errorf("%s: got %+v for health, want %+v", tt.name, got.Health, w)
		}
		if w := want("config", "telemetry.update_check"); got.UpdateCheck != w {
			t.Errorf("%s: got %+v for the update check, want %+v", tt.name, got.UpdateCheck, w)
		}
		if d := keys.ParseTelemetry(tt.value, consent.Config, ""); d != got.Telemetry {
			t.Errorf("%s: got %+v alone, want %+v", tt.name, d, got.Telemetry)
		}
		got = keys.ParseSettings([]jsonedit.Value{tt.value, tt.value, tt.value, absent, absent}, consent.ConsentFile, file, latest)
		if w := want("consent_file", file); got.Telemetry != w || got.Health != w || got.UpdateCheck != w {
			t.Errorf("%s: got %+v in a consent file, want %+v for all", tt.name, got, w)
		}
		if d := keys.ParseTelemetry(tt.value, consent.ConsentFile, file); d != got.Telemetry {
			t.Errorf("%s: got %+v alone, want %+v", tt.name, d, got.Telemetry)
		}
	}
}

// TestCoverage: a grant that does not say covers the first version, and none
// covers more than exists.
func TestCoverage(t *testing.T) {
	keys := consent.NewKeys(jsonedit.Key{"telemetry", "enabled"})
	for _, tt := range []struct {
		value                    jsonedit.Value
		wantOfThree, wantOfSeven int
	}{
		{absent, 1, 1},
		{number("0"), 0, 0},
		{number("1"), 1, 1},
		{number("3"), 3, 3},
		{number("4"), 3, 4},
		{number("7"), 3, 7},
		{number("9223372036854775807"), 3, 7},
		{number("9223372036854775808"), 0, 0},
		{number("99999999999999999999"), 0, 0},
		{number("-1"), 0, 0},
		{number("1.5"), 0, 0},
		{number("1e1"), 0, 0},
		{text("2"), 0, 0},
		{null, 1, 1},
		{blocked("false"), 1, 1},
		{yes, 0, 0},
	} {
		got := keys.ParseSettings([]jsonedit.Value{yes, yes, yes, tt.value, tt.value}, consent.Config, "", latest).Covers
		if got.Schema != tt.wantOfThree || got.Facts != tt.wantOfSeven {
			t.Errorf("%v %q: got %+v, want %d and %d", tt.value.Kind, tt.value.Text, got, tt.wantOfThree, tt.wantOfSeven)
		}
	}
}

func TestUnreadSettings(t *testing.T) {
	got := consent.UnreadSettings(consent.ConsentFile, "/consent.json")
	want := consent.Settings{
		Telemetry: consent.Decision{
			State: consent.Denied, Source: consent.Source{Kind: "consent_file", Name: "/consent.json", Problem: "unreadable"},
		},
		Health: consent.Decision{Source: consent.Source{Kind: "nobody"}},
		Covers: consent.Versions{Schema: 1, Facts: 1},
	}
	want.UpdateCheck = want.Telemetry
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if d := consent.Decide(consent.Evidence{Settings: got}).Telemetry; d.State != consent.Denied || d.Setting != consent.Unset {
		t.Errorf("got %+v, want it denied, and no word of the settings", d)
	}
}

// TestHostSettings: a grant covers everything, and what is no state denies.
func TestHostSettings(t *testing.T) {
	host := consent.Source{Kind: "host", Name: "Settings"}
	for state, want := range map[consent.State]consent.Decision{
		consent.Unset:   {State: consent.Unset, Source: consent.Source{Kind: "nobody"}},
		consent.Granted: {State: consent.Granted, Source: host},
		consent.Denied:  {State: consent.Denied, Source: host},
		7:               {State: consent.Denied, Source: host},
		-1:              {State: consent.Denied, Source: host},
	} {
		if got := consent.HostSettings(state, consent.Granted, consent.Unset, "Settings", latest); got.Telemetry != want || got.Health.State != consent.Granted || got.Covers != latest {
			t.Errorf("telemetry %d: got %+v, want %+v", state, got, want)
		}
		if got := consent.HostSettings(consent.Granted, state, consent.Unset, "Settings", latest); got.Health != want || got.Telemetry.State != consent.Granted {
			t.Errorf("health %d: got %+v, want %+v", state, got, want)
		}
		if got := consent.HostSettings(consent.Unset, consent.Unset, state, "Settings", latest); got.UpdateCheck != want || got.Telemetry.State != consent.Unset {
			t.Errorf("update check %d: got %+v, want %+v", state, got, want)
		}
	}
}

// TestPolicy: anything but true denies, at the common keys and at the host's.
func TestPolicy(t *testing.T) {
	for i, subject := range []string{"telemetry", "health", "update check", "telemetry", "health", "update check"} {
		for _, tt := range []struct {
			value  jsonedit.Value
			denies bool
		}{
			{absent, false}, {yes, false}, {no, true}, {null, false}, {text("true"), true}, {number("1"), true},
			{blocked("false"), true}, {blocked("true"), true}, {blocked(""), true},
		} {
			values := make([]jsonedit.Value, 6)
			values[i] = tt.value
			want := consent.Policy{
				Path:            "/policy.json",
				DeniesTelemetry: tt.denies && subject == "telemetry", DeniesHealth: tt.denies && subject == "health",
				DeniesUpdateCheck: tt.denies && subject == "update check",
			}
			if got := consent.ParsePolicy("/policy.json", values); got != want {
				t.Errorf("value %d is %v %q: got %+v, want %+v", i, tt.value.Kind, tt.value.Text, got, want)
			}
		}
	}
}
