// Package settings tests that a host keeps the ID and the operator's consent in
// settings of its own as the library expects.
package settings

import (
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// Check runs a service with the config, whose functions keep the ID and the
// consent, and stops it. decide is the host's own way to change the consent to
// telemetry, which bypasses the service. Check returns the ID.
func Check(t *testing.T, config rollcall.Config, decide func(rollcall.Consent)) string {
	t.Helper()
	prepared, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	rollcalltest.CheckFacts(t, config)
	config.Endpoint, config.StateDir, config.Reporting.Development = collector.URL, prepared.StateDir, true
	config.Consent.PolicyPath = prepared.Consent.PolicyPath
	service := rollcalltest.Start(t, config)
	want := func(what string, telemetry, health rollcall.Consent) {
		t.Helper()
		kept, err := config.Consent.Load(t.Context())
		if expected := (rollcall.Consents{Telemetry: telemetry, Health: health}); err != nil || kept != expected {
			t.Errorf("%s: the host keeps %+v, %v, want %+v", what, kept, err, expected)
		}
		d := service.ConsentChanged(t.Context())
		if d.Telemetry.State != telemetry || telemetry == rollcall.Granted && d.Health.State != health {
			t.Errorf("%s: got %+v and %+v, want %v and %v", what, d.Telemetry, d.Health, telemetry, health)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("at first", rollcall.Unset, rollcall.Unset)
	must(service.SetConsent(t.Context(), true))
	want("after the grant", rollcall.Granted, rollcall.Unset)
	must(service.SetHealthConsent(t.Context(), true))
	want("after the grant of health reports", rollcall.Granted, rollcall.Granted)
	must(service.SendNow(t.Context()))
	decide(rollcall.Denied)
	want("after the host's denial", rollcall.Denied, rollcall.Granted)
	decide(rollcall.Granted)
	want("after the host's grant", rollcall.Granted, rollcall.Granted)
	must(service.SendNow(t.Context()))
	must(service.SetConsent(t.Context(), false))
	want("after the denial", rollcall.Denied, rollcall.Granted)
	decide(rollcall.Granted) // does not end what was denied through Rollcall
	if d := service.ConsentChanged(t.Context()).Telemetry; d.State != rollcall.Denied || d.Setting != rollcall.Granted {
		t.Errorf("got %+v", d)
	}
	must(service.SetConsent(t.Context(), true))
	checkUpdates(t, config, collector, service)

	id := service.ID().String()
	must(service.Stop(t.Context()))
	again := rollcalltest.Start(t, config)
	if got := again.ID().String(); got != id {
		t.Errorf("after a restart: got ID %s, want %s", got, id)
	}
	for _, sent := range collector.Heartbeats() {
		if sent.InstallationID != id || len(sent.Facts) != len(config.Facts) {
			t.Errorf("sent %+v", sent)
		}
	}
	if n := len(collector.Heartbeats()); n != 2 {
		t.Errorf("got %d heartbeats, want 2", n)
	}
	return id
}

// checkUpdates checks that the host keeps the consent to the update check too.
func checkUpdates(t *testing.T, config rollcall.Config, collector *rollcalltest.Collector, service *rollcall.Service) {
	t.Helper()
	url := config.Updates.URLPrefix + "9.0"
	collector.SetReleases(report.Releases{List: []report.Release{{Version: "9.0", URL: url}}})
	kept := func(want rollcall.Consent) {
		t.Helper()
		if got, err := config.Consent.Load(t.Context()); err != nil || got.UpdateCheck != want || got.Telemetry != rollcall.Granted {
			t.Errorf("the host keeps %+v, %v, want the update check %v", got, err, want)
		}
	}
	for _, state := range []rollcall.Consent{rollcall.Granted, rollcall.Denied, rollcall.Granted} {
		if err := service.SetUpdateConsent(t.Context(), state == rollcall.Granted); err != nil {
			t.Fatal(err)
		}
		kept(state)
	}
	if update, err := service.CheckUpdate(t.Context()); err != nil || update.Version != "9.0" || update.URL != url {
		t.Errorf("got %+v, %v", update, err)
	}
}
