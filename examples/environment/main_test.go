package main

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

func TestEnvironment(t *testing.T) {
	prepared, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	var environment sync.Map
	setenv := func(name, value string) { environment.Store(name, value) }
	setenv("EXAMPLE_STATE", t.TempDir())
	setenv("EXAMPLE_ENVIRONMENT", "staging")
	config := telemetry(func(name string) string {
		value, _ := environment.LoadOrStore(name, "")
		return value.(string)
	})
	rollcalltest.CheckFacts(t, config)
	config.Endpoint, config.Reporting, config.TrustDisk = collector.URL, prepared.Reporting, true
	config.Consent.PolicyPath = prepared.Consent.PolicyPath
	service := rollcalltest.Start(t, config)
	for value, want := range map[string]rollcall.Consent{
		"": rollcall.Unset, "true": rollcall.Granted, "1": rollcall.Granted, "false": rollcall.Denied, "maybe": rollcall.Denied,
	} {
		setenv(variable, value)
		if got := service.ConsentChanged(t.Context()).Telemetry; got.State != want {
			t.Errorf("%q: got %+v, want %v", value, got, want)
		}
	}
	setenv(variable, "")
	if err := service.SetConsent(t.Context(), true); !errors.Is(err, rollcall.ErrHostDecides) || !strings.Contains(err.Error(), variable) {
		t.Errorf("got %v", err)
	}
	setenv(variable, "true")
	if err := service.SendNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := collector.Heartbeats()
	if got, _ := sent[0].Facts.Get("environment"); got != "staging" {
		t.Errorf("got %q", got)
	}
	if again := rollcalltest.Start(t, config); again.ID() != service.ID() {
		t.Errorf("after a restart: got ID %v, want %v", again.ID(), service.ID())
	}
}
