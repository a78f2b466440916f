package rollcall

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSetVersionBeginsReporting: where a version makes an installation count
// that did not count before, the log says that reports are sent, once.
func TestSetVersionBeginsReporting(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	if err := os.WriteFile(config, []byte(`{"telemetry": {"enabled": true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DO_NOT_TRACK", "")
	var log bytes.Buffer
	s, err := New(Config{
		App: "my-app", ConfigPath: config, Endpoint: "http://127.0.0.1:1", Version: "dev",
		Consent:   ConsentConfig{PolicyPath: filepath.Join(dir, "policy.json")},
		Reporting: ReportingConfig{Development: true}, // tests are test binaries
		Logger:    slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.version.Store(&hostVersion{"dev", &NotCountedError{Development: true, Version: "dev"}})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil { // so that nothing else logs
		t.Fatal(err)
	}
	said := func() int { return strings.Count(log.String(), msgReporting) }
	if got := said(); got != 0 {
		t.Errorf("a development version: said %d times that reports are sent", got)
	}
	s.SetVersion("1.2.3")
	s.SetVersion("1.2.4")
	if got := said(); got != 1 {
		t.Errorf("said %d times that reports are sent, want once:\n%s", got, log.String())
	}
}
