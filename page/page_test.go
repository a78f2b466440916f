package page_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

func TestPage(t *testing.T) {
	collector := rollcalltest.NewCollector(t)
	s := newSite(t, grantedConfig, func(c *rollcall.Config) { c.Endpoint = collector.URL })
	w := get(s, "/")
	if w.Code != http.StatusOK {
		t.Errorf("got %d, want 200", w.Code)
	}
	wantText(t, w.Body.String(), "<title>Telemetry – Example</title>", knownID, "Persisted.", s.path, "A heartbeat is sent once a day",
		collector.URL, "by the config key telemetry.enabled", "&#34;id_persistence&#34;: &#34;persisted&#34;", "<code>platform.system</code>")
	if got := collector.Requests(); len(got) != 0 {
		t.Errorf("got %d requests to the collector for the page, want none", len(got))
	}
	s.wantConfig(grantedConfig)
}

// The page offers what has an effect, whatever decided.
func TestSources(t *testing.T) {
	const cannot, can, elsewhere = "takes precedence", "Turn on telemetry</button>", "keeps the decision in its own settings"
	policy := func(content string) func(*rollcall.Config) {
		return func(c *rollcall.Config) {
			if err := os.WriteFile(c.Consent.PolicyPath, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("EXAMPLE_TELEMETRY", "off")
	variable := func(c *rollcall.Config) { c.Consent.DenyVariable = "EXAMPLE_TELEMETRY" }
	var memory rollcalltest.Memory
	settings := func(state rollcall.Consent, dir string) func(*rollcall.Config) {
		return func(c *rollcall.Config) {
			c.ConfigPath, c.StateDir, c.ID.Load, c.ID.Save = "", dir, memory.Load, memory.Save
			c.Consent.Where = "Settings"
			c.Consent.Load = func(context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: state, Health: state}, nil
			}
		}
	}
	tests := []struct {
		name, config string
		change       func(*rollcall.Config)
		want, not    string
	}{
		{"config", hostConfig, func(*rollcall.Config) {}, can, cannot},
		{"config is not valid", "{", func(*rollcall.Config) {}, can, cannot},
		{"variable", grantedConfig, variable, cannot, can},
		{"policy", grantedConfig, policy(`{"telemetry": {"enabled": false}}`), cannot, can},
		{"policy is not valid", grantedConfig, policy(`{`), cannot, can},
		{"policy about health reports", grantedConfig, policy(`{"telemetry": {"health_enabled": false}}`), cannot, "Turn on health reports"},
		{"host grants", hostConfig, settings(rollcall.Granted, t.TempDir()), "Turn off telemetry</button>", elsewhere + " Change it there: Settings"},
		{"host grants, and nothing can be recorded", hostConfig, settings(rollcall.Granted, ""), elsewhere, "<button name"},
		{"host denies", hostConfig, settings(rollcall.Denied, t.TempDir()), elsewhere, "<button name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := get(newSite(t, tt.config, tt.change), "/").Body.String()
			wantText(t, got, tt.want)
			wantNoText(t, got, tt.not)
		})
	}
}

func TestNoService(t *testing.T) {
	h := page.Handler(nil, page.Options{Rights: page.BehindLogin})
	wantText(t, get(h, "/").Body.String(), "<title>Telemetry</title>", "Telemetry is not running")
	for _, path := range []string{"/reset", "/forget"} {
		body := get(h, path).Body.String()
		wantText(t, body, "Telemetry is not running.")
		wantNoText(t, body, "<form")
	}
	s := &site{Handler: h, t: t}
	for _, path := range []string{"/consent", "/health-consent"} {
		wantText(t, s.decide(path, "grant", "not-running"), "Nothing was changed. Telemetry is not running.")
	}
	for _, path := range []string{"/reset", "/forget", "/send"} {
		wantText(t, s.post(path, nil, "not-running"), "Nothing was changed. Telemetry is not running.")
	}
}

func TestBeforeStart(t *testing.T) {
	service, err := rollcall.New(rollcall.Config{ConfigPath: filepath.Join(t.TempDir(), "config.json")})
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, get(page.Handler(service, page.Options{}), "/").Body.String(), "The service has not started", rollcall.PreviewID)
}

func TestMethodsAndPaths(t *testing.T) {
	h := newSite(t, hostConfig)
	allowed := map[string]string{
		"/": "GET, HEAD", "/style.css": "GET, HEAD", "/page.js": "GET, HEAD", "/icon.svg": "GET, HEAD",
		"/reset": "GET, HEAD, POST", "/forget": "GET, HEAD, POST",
		"/consent": "POST", "/health-consent": "POST", "/send": "POST",
	}
	for path, methods := range allowed {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "NONSENSE"} {
			w := do(h, method, path, nil)
			if strings.Contains(methods, method) {
				if w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusNotFound {
					t.Errorf("%s %s: got %d", method, path, w.Code)
				}
				continue
			}
			if got := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || got != methods {
				t.Errorf("%s %s: got %d, Allow %q, want 405, Allow %q", method, path, w.Code, got, methods)
			}
		}
	}
	for _, path := range []string{"/x", "/consent/", "/style.css/", "//", "/../etc/passwd", "/templates/page.html", "/assets/style.css"} {
		if got := get(h, path).Code; got != http.StatusNotFound {
			t.Errorf("got %d from %s, want 404", got, path)
		}
	}
	s := httptest.NewServer(h)
	defer s.Close()
	response, err := http.Head(s.URL)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") == "" {
		t.Errorf("HEAD: got %+v, %v", response, err)
	}
	h.wantConfig(hostConfig)
}

func TestMounted(t *testing.T) {
	service := newSite(t, hostConfig).service
	mux := http.NewServeMux()
	mux.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry", Rights: page.BehindLogin}))
	mux.Handle("/admin/a/", page.Handler(service, page.Options{BasePath: "/admin/a/"}))
	mux.Handle("/stripped/", http.StripPrefix("/stripped", page.Handler(service, page.Options{})))
	mux.Handle("/bare", page.Handler(service, page.Options{BasePath: "/bare"}))
	for path, want := range map[string]int{
		"/telemetry/": 200, "/telemetry/style.css": 200, "/telemetry/reset": 200, "/telemetry/x": 404, "/telemetry/telemetry/": 404,
		"/admin/a/": 200, "/admin/a/page.js": 200, "/stripped/": 200, "/stripped/page.js": 200, "/bare": 308,
	} {
		if got := get(mux, path).Code; got != want {
			t.Errorf("got %d from %s, want %d", got, path, want)
		}
	}
	if got := get(mux, "/bare").Header().Get("Location"); got != "bare/" {
		t.Errorf("got %q, want the same path with a slash", got)
	}
	if got := get(page.Handler(service, page.Options{BasePath: "/telemetry"}), "/telemetryx").Code; got != http.StatusNotFound {
		t.Errorf("got %d from a path with the base path as a mere prefix, want 404", got)
	}
	// All addresses on the page are relative.
	for _, path := range []string{"/telemetry/", "/telemetry/reset"} {
		body := get(mux, path).Body.String()
		wantNoText(t, body, `href="/`, `src="/`, `action="/`, "http://", "https://")
	}
}

// TestReadOnlyConfig: the page offers no grant that could not be saved, and its
// banner says what keeps the ID in memory and what to do.
func TestReadOnlyConfig(t *testing.T) {
	s := newSite(t, "{}\n", func(c *rollcall.Config) {
		if err := os.Chmod(c.ConfigPath, 0o444); err != nil {
			t.Fatal(err)
		}
		c.Updates.URLPrefix = "https://example.org/"
	})
	got := get(s, "/").Body.String()
	wantText(t, got, `class="summary warn"`, "only in memory", "Make it writable, or keep the ID in a state directory.", "the decision cannot be saved: ", "Turn off telemetry</button>")
	wantNoText(t, got, "Turn on telemetry</button>", "Turn on the update check</button>")
	if err := os.Chmod(s.path, 0o644); err != nil {
		t.Fatal(err)
	}
	wantText(t, get(s, "/").Body.String(), "Turn on telemetry</button>", "Turn on the update check</button>")
	if entries, err := os.ReadDir(filepath.Dir(s.path)); err != nil || len(entries) != 1 {
		t.Errorf("the diagnosis left %v, %v", entries, err)
	}
	// What is no object has no room for a grant.
	s = newSite(t, `{"telemetry": "off"}`)
	wantNoText(t, get(s, "/").Body.String(), "Turn on telemetry</button>")
}

// TestIDFromEnvironment: it is not replaced here.
func TestIDFromEnvironment(t *testing.T) {
	t.Setenv(rollcall.DefaultIDVariable, knownID)
	s := newSite(t, "{}\n")
	got := get(s, "/").Body.String()
	wantText(t, got, "It cannot be replaced here: the installation ID comes from the environment variable ROLLCALL_INSTALLATION_ID")
	wantNoText(t, got, "Make a new ID")
	if err := s.service.CheckReset(); err == nil {
		t.Error("CheckReset: no error")
	}
}

// TestUpdateConsent: the switch works, and a newer release is shown.
func TestUpdateConsent(t *testing.T) {
	collector := rollcalltest.NewCollector(t)
	collector.SetReleases(report.Releases{List: []report.Release{{Version: "2.0", URL: "https://example.org/2.0", Severity: report.ReleaseSecurity}}})
	s := newSite(t, hostConfig, func(c *rollcall.Config) {
		c.Endpoint, c.Updates.URLPrefix = collector.URL, "https://example.org/"
	})
	wantText(t, s.decide("/update-consent", "grant", "updates-granted"), "The update check is on. Your decision is saved.")
	if _, err := s.service.CheckUpdate(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantText(t, get(s, "/").Body.String(), "Version 2.0 is out", "has a known weakness", `<a href="https://example.org/2.0" rel="noreferrer">`)
	page := s.decide("/update-consent", "deny", "updates-denied")
	wantText(t, page, "The update check is off.")
	wantNoText(t, page, "Version 2.0 is out")
}
