package rollcall_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
)

// TestPrivacySection: the section names every field and fact with its reason,
// where reports go, and where the operator decides.
func TestPrivacySection(t *testing.T) {
	load := func(context.Context) (rollcall.Consents, error) { return rollcall.Consents{}, nil }
	config := rollcall.Config{
		App: "my-app", Endpoint: "https://telemetry.example.org", ConfigPath: "config.json",
		Facts: []rollcall.Fact{
			fact(report.BucketFact("users", "Shows how large | small installations <are>.", 1, 10), 3),
			rollcall.Environment("production"),
		},
		Consent:   rollcall.ConsentConfig{DenyVariable: "MY_APP_TELEMETRY"},
		Reporting: rollcall.ReportingConfig{FaultContext: []string{"op", "fs"}},
	}
	section, err := config.PrivacySection()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(section, rollcall.PrivacyBegin) || !strings.HasSuffix(section, rollcall.PrivacyEnd) || strings.Contains(section, "%!") {
		t.Errorf("got %s", section)
	}
	for _, field := range append(report.Fields(), report.HealthFields()...) {
		if field.Name != "facts" && !strings.Contains(section, "| `"+field.Name+"` | ") {
			t.Errorf("no field %s in %s", field.Name, section)
		}
	}
	for _, want := range []string{
		"`my-app` sends", "`https://telemetry.example.org`", "| `facts.users` | text: one of &lt;1, 1-9, >=10; may be left out | Shows how large \\| small installations &lt;are>. |",
		"| `facts.environment` |", "`op`, `fs`", "`telemetry.enabled`", "`telemetry.health_enabled`", "`DO_NOT_TRACK=1` and `MY_APP_TELEMETRY=0` turn it off",
	} {
		if !strings.Contains(section, want) {
			t.Errorf("no %q in %s", want, section)
		}
	}
	for name, tt := range map[string]struct {
		change func(*rollcall.Config)
		want   string
	}{
		"another key":       {func(c *rollcall.Config) { c.Consent.Key = "usage.on" }, "`usage.on` and, for health reports, `usage.health_enabled`"},
		"no config":         {func(c *rollcall.Config) { c.ConfigPath = "" }, "in consent.json in the state directory"},
		"the host's place":  {func(c *rollcall.Config) { c.Consent.Load, c.Consent.Where = load, "Settings > Privacy" }, "You do, in Settings > Privacy."},
		"the host":          {func(c *rollcall.Config) { c.Consent.Load = load }, "You do, in this program's settings."},
		"no variable":       {func(c *rollcall.Config) { c.Consent.DenyVariable = "" }, "`DO_NOT_TRACK=1` turns it off"},
		"no name, no place": {func(c *rollcall.Config) { c.App, c.Endpoint = "", "" }, "this program sends one small report a day, a heartbeat, to a collector that you configure"},
	} {
		changed := config
		tt.change(&changed)
		if got, err := changed.PrivacySection(); err != nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %v, no %q in %s", name, err, tt.want, got)
		}
	}
	var wrong *rollcall.ConfigError
	config.Facts = append(config.Facts, config.Facts[0])
	if _, err := config.PrivacySection(); !errors.As(err, &wrong) || wrong.Field != "Facts" {
		t.Errorf("got %v", err)
	}
	if _, err := (rollcall.Config{Consent: rollcall.ConsentConfig{Key: "a."}}).PrivacySection(); !errors.As(err, &wrong) || wrong.Field != "Consent.Key" {
		t.Errorf("got %v", err)
	}
}
