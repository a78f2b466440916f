package main

import (
	"database/sql"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	hosttest "github.com/rollcall-dev/rollcall/cmd/internal/test/settings"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

func newSettings(t *testing.T) settings {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "example.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := settings{db}
	if err := s.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func config(t *testing.T, s settings) rollcall.Config {
	t.Helper()
	observer, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return telemetry(s, observer, slog.New(slog.DiscardHandler))
}

func TestSQL(t *testing.T) {
	s := newSettings(t)
	id := hosttest.Check(t, config(t, s), func(state rollcall.Consent) {
		if err := set(t.Context(), s.db, nameTelemetry, state.String()); err != nil {
			t.Fatal(err)
		}
	})
	if got, err := s.get(t.Context(), nameID); err != nil || got != id {
		t.Errorf("the database has ID %q, %v, want %s", got, err, id)
	}
}

// TestPrivacy: the documentation says what the program sends.
func TestPrivacy(t *testing.T) { rollcalltest.CheckPrivacy(t, config(t, settings{}), "PRIVACY.md") }

// TestUpdate: the start page says that a newer version fixes a weakness.
func TestUpdate(t *testing.T) {
	s, collector := newSettings(t), rollcalltest.NewCollector(t)
	collector.SetReleases(report.Releases{List: []report.Release{
		{Version: "1.2.0", URL: "https://example.org/releases/1.2.0"}, {Version: "1.1.0", Severity: report.ReleaseSecurity},
	}})
	c, prepared := config(t, s), rollcalltest.Config(t)
	c.Endpoint, c.StateDir, c.Consent.PolicyPath, c.Reporting = collector.URL, prepared.StateDir, prepared.Consent.PolicyPath, prepared.Reporting
	service := rollcalltest.Start(t, c)
	if err := service.SetUpdateConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := service.CheckUpdate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	pages(service, prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/", nil))
	if want := "This version has a known weakness. Please install 1.2.0: https://example.org/releases/1.2.0\n"; w.Body.String() != want {
		t.Errorf("got %q, want %q", w.Body, want)
	}
}

// TestPages: the program's own switch ends a denial that was made through
// Rollcall.
func TestPages(t *testing.T) {
	s, registry := newSettings(t), prometheus.NewRegistry()
	observer, err := metrics.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	c, prepared := telemetry(s, observer, slog.New(slog.DiscardHandler)), rollcalltest.Config(t)
	c.StateDir, c.Consent.PolicyPath, c.Reporting = prepared.StateDir, prepared.Consent.PolicyPath, prepared.Reporting
	service := rollcalltest.Start(t, c)
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	h := pages(service, registry)
	do := func(method, path, form string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		h.ServeHTTP(w, r)
		return w
	}
	if w := do("POST", "/settings/telemetry", "on=true"); w.Code != http.StatusOK || service.Status().Consent.State != rollcall.Granted {
		t.Errorf("got %d %s, and %+v", w.Code, w.Body, service.Status().Consent)
	}
	if w := do("POST", "/settings/updates", "on=true"); w.Code != http.StatusOK || service.Decisions(t.Context()).UpdateCheck.State != rollcall.Granted {
		t.Errorf("got %d %s, and %+v", w.Code, w.Body, service.Status().Updates)
	}
	visits := users.Week()
	if do("GET", "/", ""); users.Week() != visits+1 {
		t.Error("the visit is not counted")
	}
	for path, want := range map[string]string{"/telemetry/": "by this program&#39;s settings, Settings &gt; Telemetry", "/metrics": "rollcall_reports_withheld 0"} {
		if w := do("GET", path, ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: no %q in %s", path, want, w.Body)
		}
	}
}

// TestLegacyToken: an installation that had a token keeps its row, and has the
// same ID at each start.
func TestLegacyToken(t *testing.T) {
	s := newSettings(t)
	const token = "zK4w-91xQ"
	if err := set(t.Context(), s.db, nameID, token); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c := rollcalltest.Config(t)
		own := config(t, s)
		c.ID, c.Consent = own.ID, own.Consent
		service := rollcalltest.Start(t, c)
		if got, want := service.ID(), installid.FromLegacy("example.org", token); got != want || !service.Status().Persisted {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got, err := s.get(t.Context(), nameID); err != nil || got != token {
		t.Errorf("got %q, %v", got, err)
	}
}
