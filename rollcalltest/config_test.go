package rollcalltest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// TestConfig: a service reports in a test, on a build server, and where the
// developer's environment denies.
func TestConfig(t *testing.T) {
	for name, value := range map[string]string{
		"CI": "true", "DO_NOT_TRACK": "1", "ROLLCALL_TELEMETRY": "off", rollcall.DefaultIDVariable: id,
	} {
		t.Setenv(name, value)
	}
	config, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	config.Endpoint = collector.URL
	service := rollcalltest.Start(t, config)
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) || service.Status().Consent.State != rollcall.Unset {
		t.Errorf("got %v, consent %+v, before anybody decided", err, service.Status().Consent)
	}
	if err := service.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := service.SendNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := collector.Heartbeats(); len(got) != 1 || got[0].InstallationID == id || got[0].IDPersistence != report.Persisted {
		t.Errorf("got %+v", got)
	}
}

// TestFastClock: a service reports by itself, once a day.
func TestFastClock(t *testing.T) {
	config, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	config.Endpoint = collector.URL
	rollcalltest.FastClock(t, func(t *testing.T) {
		service := rollcalltest.Start(t, config)
		if err := service.SetConsent(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		for days := range 3 {
			time.Sleep(10 * time.Minute)
			if days == 0 && len(collector.Heartbeats()) != 1 {
				t.Errorf("got %d heartbeats after ten minutes", len(collector.Heartbeats()))
			}
			time.Sleep(24*time.Hour - 10*time.Minute)
		}
		if n := len(collector.Heartbeats()); n != 3 && n != 4 {
			t.Errorf("got %d heartbeats in three days", n)
		}
		if err := service.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A failure is a test that only notes whether it failed.
type failure struct {
	testing.TB
	text string
}

func (f *failure) Helper()                           {}
func (f *failure) Errorf(format string, args ...any) { f.text += fmt.Sprintf(format, args...) }

func TestCheckFacts(t *testing.T) {
	is := func(value any) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { return value, nil }
	}
	config := rollcall.Config{Facts: []rollcall.Fact{
		{Declaration: report.EnumFact("auth", "Shows it.", "none", "oidc"), Value: is("oidc")},
		{Declaration: report.BoolFact("unknown", "Shows it."), Value: is(nil)},
	}}
	var f failure
	f.TB = t
	if rollcalltest.CheckFacts(&f, config); f.text != "" {
		t.Errorf("got %s", f.text)
	}
	config.Facts = append(config.Facts,
		rollcall.Fact{Declaration: report.EnumFact("login", "Shows it.", "none", "oidc"), Value: is("ldap")},
		rollcall.Fact{Declaration: report.BoolFact("tls", "Shows it."), Value: is("true")})
	rollcalltest.CheckFacts(&f, config)
	for _, want := range []string{`"login"`, "none, oidc", `"tls"`, "not a bool"} {
		if !strings.Contains(f.text, want) {
			t.Errorf("got %q, want %q in it", f.text, want)
		}
	}
}
