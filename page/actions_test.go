package page_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// The switch changes one key of the config, and no other byte.
func TestGrantAndDeny(t *testing.T) {
	s := newSite(t, hostConfig)
	body := s.decide("/consent", "grant", "granted")
	wantText(t, body, "Telemetry is on. Your decision is saved.", `<strong class="granted">on</strong>`)
	s.wantConfig(grantedConfig)
	body = s.decide("/consent", "deny", "denied")
	wantText(t, body, "Telemetry is off. Your decision is saved.", "Nothing is sent", `<strong class="withheld">off</strong>`)
	s.wantConfig(hostConfig)
	if got, want := s.service.Status().Consent.State, rollcall.Denied; got != want {
		t.Errorf("got consent %v, want %v", got, want)
	}
}

func TestDenyStopsReporting(t *testing.T) {
	collector := rollcalltest.NewCollector(t)
	s := newSite(t, grantedConfig, func(c *rollcall.Config) { c.Endpoint = collector.URL })
	body := s.post("/send", nil, "sent")
	wantText(t, body, "The collector accepted the heartbeat.")
	if !regexp.MustCompile(`\((now|\d+ seconds ago)\)`).MatchString(body) {
		t.Errorf("got no heartbeat of a moment ago in\n%s", body)
	}
	if got := len(collector.Heartbeats()); got != 1 {
		t.Fatalf("got %d heartbeats, want 1", got)
	}

	// Telemetry is denied while a heartbeat is in flight.
	release := make(chan struct{})
	defer close(release)
	collector.Answer(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return false
	})
	arrived := collector.Arrived()
	sending := make(chan string, 1)
	go func() {
		sending <- do(s, http.MethodPost, "/send", nil).Header().Get("Location")
	}()
	<-arrived
	s.decide("/consent", "deny", "denied")
	if got, want := <-sending, "./?outcome=not-sent"; got != want {
		t.Errorf("the heartbeat in flight led to %q, want %q", got, want)
	}

	wantText(t, s.post("/send", nil, "not-sent"), "The heartbeat was not accepted.", "telemetry is denied (withdrawn by page on ")
	if got := len(collector.Requests()); got != 2 {
		t.Errorf("got %d requests, want none after the denial", got)
	}
}

func TestHealthConsent(t *testing.T) {
	s := newSite(t, grantedConfig)
	wantText(t, get(s, "/").Body.String(), "Turn on health reports", "Turn off health reports", "Nobody has decided yet.")
	wantText(t, s.decide("/health-consent", "grant", "health-granted"), "Health reports are on.")
	if got, want := s.service.Status().Reporting.Health.State, rollcall.Granted; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	s.service.ReportFault(rollcall.Fault{Source: "log", Component: "mailer", Reason: "smtp_refused", Severity: report.SeverityWarning})
	wantText(t, get(s, "/").Body.String(), "smtp_refused", "It follows the heartbeat.")
	wantText(t, s.decide("/health-consent", "deny", "health-denied"), "Health reports are off.")
	if got, want := s.service.Status().Reporting.Health.State, rollcall.Denied; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A grant that has no effect now is not saved for later.
func TestGrantOverruled(t *testing.T) {
	t.Setenv("EXAMPLE_TELEMETRY", "0")
	s := newSite(t, hostConfig, func(c *rollcall.Config) { c.Consent.DenyVariable = "EXAMPLE_TELEMETRY" })
	wantText(t, s.decide("/consent", "grant", "overruled"), "Nothing was changed", "the environment variable EXAMPLE_TELEMETRY")
	s.decide("/health-consent", "grant", "health-overruled")
	s.wantConfig(hostConfig)
	s.decide("/consent", "deny", "denied")
}

// A host that saves decisions has the same switch, and its config stays as it is.
func TestHostSaves(t *testing.T) {
	var kept rollcall.Consents
	s := newSite(t, hostConfig, func(c *rollcall.Config) {
		c.Consent.Load = func(context.Context) (rollcall.Consents, error) { return kept, nil }
		c.Consent.Save = func(_ context.Context, consents rollcall.Consents) error { kept = consents; return nil }
	})
	wantText(t, s.decide("/consent", "grant", "granted"), "Telemetry is on.", "by this program&#39;s settings")
	s.decide("/health-consent", "grant", "health-granted")
	if want := (rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}); kept != want {
		t.Errorf("the host keeps %+v, want %+v", kept, want)
	}
	s.decide("/consent", "deny", "denied")
	if kept.Telemetry != rollcall.Denied {
		t.Errorf("the host keeps %+v", kept)
	}
	s.wantConfig(hostConfig)
}

// A form that the page does not offer says where the setting is.
func TestHostOnlyReads(t *testing.T) {
	s := newSite(t, hostConfig, func(c *rollcall.Config) {
		c.Consent.Load = func(context.Context) (rollcall.Consents, error) { return rollcall.Consents{}, nil }
		c.Consent.Where = "Settings > Privacy"
	})
	wantText(t, get(s, "/").Body.String(), "Change it there: Settings &gt; Privacy")
	wantText(t, s.decide("/consent", "grant", "not-saved"), "could not be saved", "Settings &gt; Privacy")
}

func TestNotSaved(t *testing.T) {
	s := newSite(t, hostConfig)
	if err := os.WriteFile(s.path, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantText(t, s.decide("/consent", "grant", "not-saved"), "could not be saved", "save consent", "Nothing is sent")
	s.decide("/health-consent", "grant", "health-not-saved")
	s.decide("/health-consent", "deny", "health-denied") // recorded beside the config
	s.wantConfig("[]")
}

func TestReset(t *testing.T) {
	s := newSite(t, hostConfig)
	wantText(t, get(s, "/reset").Body.String(), "Make a new installation ID?", "0b9d6f1e...")
	wantText(t, s.post("/reset", nil, "id-changed"), "no longer the one you confirmed this for")
	s.post("/reset", url.Values{"id": {"ffffffff..."}}, "id-changed")
	s.wantConfig(hostConfig)

	body := s.confirm("/reset", "reset")
	id := s.service.ID().String()
	wantText(t, body, "This installation has a new ID.", id)
	s.wantConfig(strings.Replace(hostConfig, knownID, id, 1))
	s.post("/reset", url.Values{"id": {"0b9d6f1e..."}}, "id-changed") // the same form again
	s.wantConfig(strings.Replace(hostConfig, knownID, id, 1))
}

func TestResetFails(t *testing.T) {
	t.Setenv("EXAMPLE_ID", knownID)
	s := newSite(t, hostConfig, func(c *rollcall.Config) { c.ID.Variable = "EXAMPLE_ID" })
	wantText(t, s.confirm("/reset", "not-reset"), "The old one stays in use.", "change it there")
}

func TestForget(t *testing.T) {
	collector := rollcalltest.NewCollector(t)
	s := newSite(t, grantedConfig, func(c *rollcall.Config) { c.Endpoint = collector.URL })
	wantText(t, get(s, "/forget").Body.String(), "Forget this installation?", collector.URL, "even if telemetry is off")
	collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	wantText(t, s.confirm("/forget", "not-forgotten"), "was not forgotten", "503")
	s.wantConfig(grantedConfig)

	collector.Answer(nil)
	wantText(t, s.confirm("/forget", "forgotten"), "deleted this installation", "Nothing is sent")
	if got := collector.Forgotten(); len(got) != 1 || got[0] != knownID {
		t.Errorf("got %q forgotten, want %s", got, knownID)
	}
	s.wantConfig(strings.Replace(hostConfig, knownID, s.service.ID().String(), 1))
}

func TestForgetWithoutCollector(t *testing.T) {
	s := newSite(t, hostConfig)
	body := get(s, "/forget").Body.String()
	wantText(t, body, "no collector is configured")
	wantNoText(t, body, "<form")
	wantText(t, s.post("/forget", url.Values{"id": {"0b9d6f1e..."}}, "not-forgotten"), "no collector is configured")
}

// The page shows an outcome that just happened, whatever the address names.
func TestOutcomes(t *testing.T) {
	s := newSite(t, hostConfig)
	for _, query := range []string{"?outcome=granted", "?outcome=<script>", "?outcome=", "?outcome=granted&outcome=denied", "?outcome=%zz"} {
		wantNoText(t, get(s, "/"+query).Body.String(), `class="notice`)
	}
	s.decide("/consent", "grant", "granted")
	wantText(t, get(s, "/?outcome=granted").Body.String(), `class="notice good"`)
	wantNoText(t, get(s, "/?outcome=forgotten").Body.String(), `class="notice`)
	wantNoText(t, get(s, "/").Body.String(), `class="notice`)
	s.post("/reset", nil, "id-changed")
	wantNoText(t, get(s, "/?outcome=granted").Body.String(), `class="notice`)
}

func TestOutcomesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &site{Handler: page.Handler(nil, page.Options{Rights: page.BehindLogin}), t: t}
		s.post("/send", nil, "not-running")
		time.Sleep(5 * time.Minute)
		wantText(t, get(s, "/?outcome=not-running").Body.String(), `class="notice bad"`)
		time.Sleep(time.Second)
		wantNoText(t, get(s, "/?outcome=not-running").Body.String(), `class="notice`)
	})
}

func TestForms(t *testing.T) {
	s := newSite(t, hostConfig)
	grant := url.Values{"decision": {"grant"}}
	padded := func(n int) url.Values { return url.Values{"decision": {"grant"}, "x": {strings.Repeat("x", n)}} }
	contentType := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", value) }
	}
	unchanged := func(*http.Request) {}
	tests := []struct {
		name   string
		form   url.Values
		change func(*http.Request)
		want   int
	}{
		{"no decision", nil, unchanged, http.StatusBadRequest},
		{"another decision", url.Values{"decision": {"maybe"}}, unchanged, http.StatusBadRequest},
		{"decision in the address", nil, func(r *http.Request) { r.URL.RawQuery = "decision=grant" }, http.StatusBadRequest},
		{"not a form", grant, contentType("text/plain"), http.StatusUnsupportedMediaType},
		{"JSON", grant, contentType("application/json"), http.StatusUnsupportedMediaType},
		{"multipart", grant, contentType("multipart/form-data; boundary=x"), http.StatusUnsupportedMediaType},
		{"no type", grant, contentType(""), http.StatusUnsupportedMediaType},
		{"bad escape", url.Values{}, func(r *http.Request) { r.URL.RawQuery = "%zz" }, http.StatusBadRequest},
		{"too large", padded(4 << 10), unchanged, http.StatusRequestEntityTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/consent", "/health-consent"} {
				if w := do(s, http.MethodPost, path, tt.form, tt.change); w.Code != tt.want {
					t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, tt.want)
				}
			}
		})
	}
	s.wantConfig(hostConfig)
	s.post("/consent", padded(4<<10-40), "granted")
}
