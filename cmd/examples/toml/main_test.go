package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

func TestTOML(t *testing.T) {
	prepared, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	file := settings{filepath.Join(t.TempDir(), "settings.toml")}
	config := telemetry(file)
	rollcalltest.CheckFacts(t, config)
	config.Endpoint, config.Reporting, config.TrustDisk = collector.URL, prepared.Reporting, true
	config.StateDir, config.Consent.PolicyPath = prepared.StateDir, prepared.Consent.PolicyPath
	service := rollcalltest.Start(t, config)
	for _, tt := range []struct {
		content           string
		telemetry, health rollcall.Consent
	}{
		{"", rollcall.Unset, rollcall.Unset},
		{"[telemetry]\nenabled = true\n", rollcall.Granted, rollcall.Unset},
		{"[telemetry]\nenabled = true\nhealth = true\n", rollcall.Granted, rollcall.Granted},
		{"[telemetry]\nenabled = \"yes\"\n", rollcall.Denied, rollcall.Denied},
		{"[telemetry\n", rollcall.Denied, rollcall.Denied},
		{"[telemetry]\nenabled = false\n", rollcall.Denied, rollcall.Denied},
	} {
		if err := os.WriteFile(file.path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if d := service.ConsentChanged(t.Context()); d.Telemetry.State != tt.telemetry || d.Health.State != tt.health {
			t.Errorf("%q: got %v and %v, want %v and %v", tt.content, d.Telemetry, d.Health, tt.telemetry, tt.health)
		}
	}
	if err := service.SetConsent(t.Context(), true); !errors.Is(err, rollcall.ErrHostDecides) || !strings.Contains(err.Error(), file.path) {
		t.Errorf("got %v", err)
	}
	if again := rollcalltest.Start(t, config); again.ID() != service.ID() {
		t.Errorf("after a restart: got ID %v, want %v", again.ID(), service.ID())
	}
}
