package page_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

const (
	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	address = "127.0.0.1:8946"

	// hostConfig has comments and odd spacing, as configs do.
	hostConfig = "{\n\t// where to listen\n\t\"port\" : 8080,\n\t\"telemetry\": {\"enabled\": false, \"installation_id\": \"" + knownID + "\"}\n}\n"
)

var grantedConfig = strings.Replace(hostConfig, "false", "true", 1)

// A site is the page of a service with a config of its own.
type site struct {
	http.Handler
	t       *testing.T
	service *rollcall.Service
	path    string // of the config
}

// newSite starts a service on a config and returns its page.
func newSite(t *testing.T, config string, change ...func(*rollcall.Config)) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, path: filepath.Join(dir, "config.json")}
	if err := os.WriteFile(s.path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := rollcall.Config{
		App: "example", Version: "v1.2.3", ConfigPath: s.path,
		Reporting: rollcall.ReportingConfig{Development: true},
		Consent:   rollcall.ConsentConfig{PolicyPath: filepath.Join(dir, "policy.json")},
		Limits:    rollcall.Limits{Backoff: time.Millisecond},
	}
	for _, f := range change {
		f(&c)
	}
	s.service = start(t, c)
	s.Handler = page.Handler(s.service, page.Options{Title: "Example", Rights: page.BehindLogin})
	return s
}

func start(t *testing.T, c rollcall.Config) *rollcall.Service {
	t.Helper()
	service, err := rollcall.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Stop(context.Background()) })
	return service
}

// config returns the content of the config.
func (s *site) config() string {
	s.t.Helper()
	data, err := os.ReadFile(s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *site) wantConfig(want string) {
	s.t.Helper()
	if got := s.config(); got != want {
		s.t.Errorf("got config\n%s\nwant\n%s", got, want)
	}
}

// do sends a request like a browser on this machine, changed by some functions.
func do(h http.Handler, method, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Host = address
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+address)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, path, nil, change...)
}

// post sends a form, checks its outcome, and returns the page that follows.
func (s *site) post(path string, form url.Values, outcome string) (page string) {
	s.t.Helper()
	w := do(s, http.MethodPost, path, form)
	if got, want := w.Header().Get("Location"), "./?outcome="+outcome; w.Code != http.StatusSeeOther || got != want {
		s.t.Fatalf("POST %s: got %d to %q %s, want 303 to %q", path, w.Code, got, w.Body, want)
	}
	return get(s, "/?outcome="+outcome).Body.String()
}

// decide posts to one of the switches.
func (s *site) decide(path, decision, outcome string) (page string) {
	s.t.Helper()
	return s.post(path, url.Values{"decision": {decision}}, outcome)
}

// confirm posts the form of a step that has to be confirmed.
func (s *site) confirm(path, outcome string) (page string) {
	s.t.Helper()
	hidden := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(get(s, path).Body.String())
	if hidden == nil {
		s.t.Fatalf("there is no form at %s", path)
	}
	return s.post(path, url.Values{"id": {hidden[1]}}, outcome)
}

func wantText(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, text := range want {
		if !strings.Contains(page, text) {
			t.Errorf("got no %q in\n%s", text, page)
		}
	}
}

func wantNoText(t *testing.T, page string, unwanted ...string) {
	t.Helper()
	for _, text := range unwanted {
		if strings.Contains(page, text) {
			t.Errorf("got %q in\n%s", text, page)
		}
	}
}
