package main

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	hosttest "github.com/rollcall-dev/rollcall/cmd/internal/test/settings"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// TestYAML: the file keeps its comments, order, and other values.
func TestYAML(t *testing.T) {
	const text = "# Where to listen.\nport: 8080\ntelemetry:\n  # Ask before you turn it on.\n  note: kept\nlog: debug # for now\n"
	file := &settings{path: filepath.Join(t.TempDir(), "settings.yaml")}
	if err := os.WriteFile(file.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func(state rollcall.Consent) {
		t.Helper()
		if err := file.change(map[string]string{keyTelemetry: map[rollcall.Consent]string{rollcall.Granted: "true", rollcall.Denied: "false"}[state]}); err != nil {
			t.Fatal(err)
		}
	}
	id := hosttest.Check(t, telemetry(file, slog.New(slog.DiscardHandler)), edit)
	got, err := os.ReadFile(file.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# Where to listen.\nport: 8080\n", "  # Ask before you turn it on.\n  note: kept\n", "log: debug # for now\n",
		"  installation_id: " + id + "\n", "  enabled: true\n", "  health_enabled: true\n", "  update_check: true\n",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestPrivacy: the documentation says what the program sends.
func TestPrivacy(t *testing.T) {
	rollcalltest.CheckPrivacy(t, telemetry(&settings{path: "settings.yaml"}, slog.New(slog.DiscardHandler)), "PRIVACY.md")
}

// TestPages: a failed export is counted, by codes, and the page shows what would
// be sent.
func TestPages(t *testing.T) {
	file := &settings{path: filepath.Join(t.TempDir(), "settings.yaml")}
	c, prepared := telemetry(file, slog.New(slog.DiscardHandler)), rollcalltest.Config(t)
	c.StateDir, c.Consent.PolicyPath = prepared.StateDir, prepared.Consent.PolicyPath
	service := rollcalltest.Start(t, c)
	h := pages(service, slog.New(counting(service, slog.DiscardHandler)))
	before := exports.Week()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "http://localhost/export", nil))
	if exports.Week() != before+1 {
		t.Error("the export is not counted")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/telemetry/", nil))
	for _, want := range []string{"export-failed", "exporter", "facts.exports.week"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in %s", want, w.Body)
		}
	}
}

// TestBrokenYAML: what cannot be read is not written over, and denies.
func TestBrokenYAML(t *testing.T) {
	for _, text := range []string{"telemetry: [", "- a list\n", "telemetry:\n  enabled: maybe\n"} {
		file := &settings{path: filepath.Join(t.TempDir(), "settings.yaml")}
		if err := os.WriteFile(file.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := file.loadConsents(t.Context())
		if err == nil && c.Telemetry != rollcall.Denied {
			t.Errorf("%q: got %+v", text, c)
		}
		if err != nil && file.saveID(t.Context(), "x") == nil {
			t.Errorf("%q: written over", text)
		}
	}
	missing := &settings{path: filepath.Join(t.TempDir(), "settings.yaml")}
	if c, err := missing.loadConsents(t.Context()); err != nil || c != (rollcall.Consents{}) {
		t.Errorf("got %+v, %v", c, err)
	}
}
