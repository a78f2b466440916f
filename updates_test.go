package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

const (
	releases        = "https://example.org/releases/"
	updatesOnly     = `{"telemetry": {"update_check": true}}` + "\n"
	updatesAndMore  = `{"telemetry": {"enabled": true, "health_enabled": true, "update_check": true}}` + "\n"
	getReleases     = "GET /v1/releases/my-app"
	updatesFileName = ".config.json.rollcall-updates"
)

func withUpdates(c *rollcall.Config) { c.Updates = rollcall.UpdatesConfig{URLPrefix: releases} }

// published are releases that are newer than v1.2.3, and one that is not.
var published = report.Releases{List: []report.Release{
	{Version: "1.4.0", URL: releases + "1.4.0", Date: time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)},
	{Version: "1.3.0", URL: releases + "1.3.0", Severity: report.ReleaseSecurity},
	{Version: "1.2.0", Severity: report.ReleaseRecommended},
}}

var newest = rollcall.Update{
	Version: "1.4.0", URL: releases + "1.4.0", Released: time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC), Severity: report.ReleaseSecurity,
}

// check makes the update check and returns what it found.
func check(t *testing.T, service *rollcall.Service) rollcall.Update {
	t.Helper()
	update, err := service.CheckUpdate(t.Context())
	if err != nil {
		t.Fatalf("CheckUpdate: %v", err)
	}
	if again := service.Update(); again != update {
		t.Errorf("CheckUpdate returned %+v, and Update %+v", update, again)
	}
	return update
}

func wantUpdate(t *testing.T, what string, got, want rollcall.Update) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// TestUpdate: the check needs no consent to telemetry and says nothing about the
// installation. What is learnt survives, and counts for whichever version runs.
func TestUpdate(t *testing.T) {
	s := newSite(t, updatesOnly)
	s.collector.SetReleases(published)
	var changed []rollcall.Update
	watched := func(c *rollcall.Config) {
		withUpdates(c)
		c.Updates.Changed = func(u rollcall.Update) { changed = append(changed, u); panic("host") }
	}
	service := s.start(watched)
	wantUpdate(t, "before the check", service.Update(), rollcall.Update{})
	wantUpdate(t, "after the check", check(t, service), newest)
	wantUpdate(t, "not due any more", check(t, service), newest)
	s.wantRequests(getReleases)
	if len(changed) != 1 || changed[0] != newest {
		t.Errorf("the host was told %+v", changed)
	}
	request := s.collector.Requests()[0]
	for name := range request.Header {
		if name != "User-Agent" && name != "Accept" && name != "Accept-Encoding" && name != "Connection" {
			t.Errorf("the request has a header %s: %q", name, request.Header[name])
		}
	}
	id := service.ID().String()
	if text := fmt.Sprint(request); strings.Contains(text, id) || strings.Contains(text, "1.2.3") || request.Query != "channel=stable" || len(request.Body) > 0 {
		t.Errorf("the request says too much: %+v", request)
	}
	if note := s.read(filepath.Join(s.dir, "config", updatesFileName)); strings.Contains(note, id) || !strings.Contains(note, `"newest":"1.4.0"`) {
		t.Errorf("kept: %s", note)
	}
	st := service.Status().Updates
	if st.Newer != newest || st.Channel != "stable" || st.Withheld != "" || st.LastSuccess.IsZero() || st.Consent.State != rollcall.Granted {
		t.Errorf("status: got %+v", st)
	}
	if withheld := service.Status().Reporting.Withheld; withheld == "" {
		t.Error("reports are sent")
	}
	s.stop(service)

	// After a restart it is known without a request, also to a version that came
	// since.
	for version, want := range map[string]rollcall.Update{
		"v1.2.3": newest,
		"1.3.0":  {Version: "1.4.0", URL: newest.URL, Released: newest.Released},
		"1.4.0":  {}, "2.0": {}, "dev": {}, "nightly": {},
	} {
		again := s.start(withUpdates, func(c *rollcall.Config) { c.Version = version })
		wantUpdate(t, "after a restart as "+version, check(t, again), want)
		s.stop(again)
	}
	// The host's version is that of the moment.
	again := s.start(withUpdates)
	check(t, again)
	again.SetVersion("v1.4.0")
	wantUpdate(t, "after an upgrade", again.Update(), rollcall.Update{})
	s.wantRequests(getReleases)
}

// TestUpdateOff: nobody is asked without a grant, and nothing is known.
func TestUpdateOff(t *testing.T) {
	for name, tt := range map[string]struct {
		config, policy string
		variable       string
		change         func(*rollcall.Config)
		want           error
		withheld       string
	}{
		"unset":                    {config: undecided, want: rollcall.ErrWithheld, withheld: "unset"},
		"telemetry alone":          {config: granted, want: rollcall.ErrWithheld, withheld: "unset"},
		"denied":                   {config: strings.Replace(updatesOnly, "true", "false", 1), want: rollcall.ErrWithheld, withheld: "config key telemetry.update_check"},
		"invalid":                  {config: strings.Replace(updatesOnly, "true", `"yes"`, 1), want: rollcall.ErrWithheld, withheld: "neither true nor false"},
		"the section denies":       {config: `{"telemetry": false}`, want: rollcall.ErrWithheld, withheld: "telemetry.update_check"},
		"torn":                     {config: updatesOnly[:20], want: rollcall.ErrWithheld, withheld: "could not be read"},
		"a policy denies it":       {config: updatesOnly, policy: `{"telemetry": {"update_check": false}}`, want: rollcall.ErrWithheld, withheld: "policy"},
		"a policy denies all":      {config: updatesOnly, policy: `{"telemetry": {"enabled": false}}`, want: rollcall.ErrWithheld, withheld: "policy"},
		"DO_NOT_TRACK":             {config: updatesOnly, variable: "DO_NOT_TRACK=1", want: rollcall.ErrWithheld, withheld: "DO_NOT_TRACK"},
		"ROLLCALL_TELEMETRY":       {config: updatesOnly, variable: "ROLLCALL_TELEMETRY=off", want: rollcall.ErrWithheld, withheld: "ROLLCALL_TELEMETRY"},
		"the host's variable":      {config: updatesOnly, variable: denyVariable + "=no", want: rollcall.ErrWithheld, withheld: denyVariable},
		"a job of CI":              {config: updatesOnly, variable: "CI=true", change: func(c *rollcall.Config) { c.Reporting.Development = false }, want: rollcall.ErrWithheld, withheld: "CI"},
		"no update check":          {config: updatesAndMore, change: func(c *rollcall.Config) { c.Updates = rollcall.UpdatesConfig{} }, want: rollcall.ErrNoUpdateCheck, withheld: "no update check"},
		"no endpoint":              {config: updatesOnly, change: func(c *rollcall.Config) { c.Endpoint = "" }, want: rollcall.ErrNoEndpoint, withheld: "no collector"},
		"the host's settings fail": {config: undecided, change: hostUpdates(rollcall.Granted, errors.New("no")), want: rollcall.ErrWithheld, withheld: "could not be read"},
		"the host says no":         {config: undecided, change: hostUpdates(rollcall.Denied, nil), want: rollcall.ErrWithheld, withheld: "host's settings"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, tt.config)
			if tt.policy != "" {
				s.write(s.policy, tt.policy)
			}
			if variable, value, ok := strings.Cut(tt.variable, "="); ok {
				t.Setenv(variable, value)
			}
			s.collector.SetReleases(published)
			change := tt.change
			if change == nil {
				change = func(*rollcall.Config) {}
			}
			service := s.start(withUpdates, change)
			update, err := service.CheckUpdate(t.Context())
			if !errors.Is(err, tt.want) || update != (rollcall.Update{}) || service.Update() != (rollcall.Update{}) {
				t.Errorf("got %+v, %v", update, err)
			}
			service.Decisions(t.Context())
			contains(t, "status", service.Status().Updates.Withheld, tt.withheld)
			for _, r := range s.collector.Requests() {
				if strings.Contains(r.Path, "releases") {
					t.Errorf("asked: %+v", r)
				}
			}
		})
	}
}

func hostUpdates(state rollcall.Consent, err error) func(*rollcall.Config) {
	return func(c *rollcall.Config) {
		c.Consent.Load = func(context.Context) (rollcall.Consents, error) { return rollcall.Consents{UpdateCheck: state}, err }
	}
}

// TestUpdateWithdrawn: a withdrawal forgets what was learnt, in memory and on
// disk, and outlives an old copy of the config.
func TestUpdateWithdrawn(t *testing.T) {
	s := newSite(t, updatesAndMore)
	s.collector.SetReleases(published)
	service := s.start(withUpdates)
	wantUpdate(t, "at first", check(t, service), newest)
	if err := service.SetUpdateConsent(rollcall.OrderedBy(t.Context(), "page"), false); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(s.dir, "config", updatesFileName)
	forgotten := func(what string) {
		t.Helper()
		wantUpdate(t, what, service.Update(), rollcall.Update{})
		if text := s.read(note); strings.Contains(text, "1.4.0") || strings.Contains(text, "example.org") || strings.Contains(text, "etag") {
			t.Errorf("%s, kept: %s", what, text)
		}
	}
	forgotten("after the denial")
	d := service.Decisions(t.Context())
	wantDecision(t, "update check", d.UpdateCheck, rollcall.Denied, withdrawnBy("page"))
	if d.Telemetry.State != rollcall.Granted || d.Health.State != rollcall.Granted {
		t.Errorf("got %+v", d)
	}
	contains(t, "config", s.read(s.config), `"update_check": false`)
	s.write(s.config, updatesAndMore) // an old copy
	if d := service.ConsentChanged(t.Context()).UpdateCheck; d.State != rollcall.Denied || d.Setting != rollcall.Granted {
		t.Errorf("got %+v with an old copy of the config", d)
	}
	if _, err := service.CheckUpdate(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	s.wantRequests(getReleases)

	// A grant asks anew, and for all.
	if err := service.SetUpdateConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	wantUpdate(t, "after a grant", check(t, service), newest)
	s.wantRequests(getReleases, getReleases)
	if second := s.collector.Requests()[1]; second.Header.Get("If-None-Match") != "" {
		t.Errorf("it remembers what was forgotten: %v", second.Header)
	}

	// Who edits the config is followed too.
	s.write(s.config, strings.Replace(updatesAndMore, `"update_check": true`, `"update_check": false`, 1))
	service.ConsentChanged(t.Context())
	wantUpdate(t, "denied in the config", service.Update(), rollcall.Update{})
	if _, err := service.CheckUpdate(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	// A process without an update check, such as a verb, forgets as well.
	other := s.make()
	if err := other.SetUpdateConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	forgotten("denied by another process")
}

// TestDenialOfAll: who denies telemetry through Rollcall has silence, and can
// have the update check nevertheless.
func TestDenialOfAll(t *testing.T) {
	s := newSite(t, updatesAndMore)
	s.collector.SetReleases(published)
	service := s.start(withUpdates)
	check(t, service)
	if err := service.SetConsent(rollcall.OrderedBy(t.Context(), "rollcall disable"), false); err != nil {
		t.Fatal(err)
	}
	d := service.Decisions(t.Context())
	wantDecision(t, "telemetry", d.Telemetry, rollcall.Denied, withdrawnBy("rollcall disable"))
	wantDecision(t, "update check", d.UpdateCheck, rollcall.Denied, withdrawnBy("rollcall disable"))
	wantUpdate(t, "after the denial", service.Update(), rollcall.Update{})
	if err := service.SetUpdateConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	d = service.Decisions(t.Context())
	if d.Telemetry.State != rollcall.Denied || d.UpdateCheck.State != rollcall.Granted {
		t.Errorf("got %+v", d)
	}
	wantUpdate(t, "granted on its own", check(t, service), newest)

	// Nobody who did not grant it finds a decision about it.
	plain := newSite(t, granted)
	other := plain.start()
	if err := other.SetConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if text := plain.read(plain.config) + plain.read(other.Files().Denial); strings.Contains(text, "update") {
		t.Errorf("wrote %s", text)
	}
}

// TestUpdateWithdrawnInTheMiddle: an answer that arrives after the withdrawal is
// not learnt.
func TestUpdateWithdrawnInTheMiddle(t *testing.T) {
	s := newSite(t, updatesOnly)
	s.collector.SetReleases(published)
	begun, gone := s.hang("/v1/releases/my-app")
	service := s.start(withUpdates)
	ended := make(chan error, 1)
	go func() {
		_, err := service.CheckUpdate(t.Context())
		ended <- err
	}()
	within(t, someTime, "the request", begun)
	if err := service.SetUpdateConsent(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	within(t, atOnce, "its end", gone)
	if err := <-ended; !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	wantUpdate(t, "after the withdrawal", service.Update(), rollcall.Update{})
	if st := service.Status().Updates; st.LastError != "" || !st.LastSuccess.IsZero() {
		t.Errorf("it counts as an attempt that failed: %+v", st)
	}
}

// TestUpdateFails: what a collector answers cannot harm, and what was known
// stays.
func TestUpdateFails(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"not JSON":    {answerWith(200, "<html>sign in</html>"), "not a list of releases"},
		"no list":     {answerWith(200, `{"error":"no"}`), "not a list of releases"},
		"wrong types": {answerWith(200, `{"releases":{"version":2}}`), "not a list of releases"},
		"too deep":    {answerWith(200, `{"releases":[`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`]}`), "not a list of releases"},
		"too large":   {answerWith(200, `{"releases":[]}`+strings.Repeat(" ", 64<<10)), "more than 65536 bytes"},
		"unknown":     {answerWith(404, ""), "404 (not found)"},
		"gone":        {answerWith(410, ""), "no releases of this program"},
		"overloaded":  {answerWith(503, ""), "503 (service unavailable)"},
		"leads away": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:9/", http.StatusFound)
		}, "to another port"},
		"not modified":   {answerWith(304, ""), "304"},
		"nothing at all": {answerWith(200, ""), "not a list of releases"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, updatesOnly)
			s.collector.Answer(func(w http.ResponseWriter, r *http.Request) bool {
				tt.answer(w, r)
				return true
			})
			service := s.start(withUpdates)
			update, err := service.CheckUpdate(t.Context())
			failed, ok := asSendError(err)
			if !ok || !strings.Contains(failed.Text, tt.want) || failed.Gone || update != (rollcall.Update{}) {
				t.Errorf("got %+v, %v, want %q", update, err, tt.want)
			}
			service.Decisions(t.Context())
			contains(t, "status", service.Status().Updates.LastError, tt.want)
			// The next check is later.
			if again, err := service.CheckUpdate(t.Context()); err != nil || again != update || len(s.collector.Requests()) != 1 {
				t.Errorf("got %+v, %v after %d requests", again, err, len(s.collector.Requests()))
			}
			// What was learnt before stays.
			note := filepath.Join(s.dir, "config", updatesFileName)
			text := s.read(note)
			if !strings.Contains(text, `"last_error"`) {
				t.Errorf("kept: %s", text)
			}
		})
	}
}

func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

// TestUpdateRefusesURLs: the release counts, and a URL that leads elsewhere does
// not.
func TestUpdateRefusesURLs(t *testing.T) {
	for _, url := range []string{
		"https://example.org.evil/releases/", "https://user@example.org/releases/x", "http://example.org/releases/x", "https://example.org/releases/../evil",
		"https://example.org/releases/%2e%2e/evil", "javascript:alert(1)", "https://example.org/", "//example.org/releases/x", "https://example.org/releases\\@evil.example/",
	} {
		s := newSite(t, updatesOnly)
		s.collector.SetReleases(report.Releases{List: []report.Release{{Version: "2.0", URL: url}}})
		wantUpdate(t, url, check(t, s.start(withUpdates)), rollcall.Update{Version: "2.0"})
	}
}

// TestUpdateOrder: the collector says which of two versions is newer.
func TestUpdateOrder(t *testing.T) {
	for order, want := range map[report.VersionOrder]string{"": "1.2.3-ls5", "semver": "", "pep440": "", "debian": "1.2.3-ls5"} {
		s := newSite(t, updatesOnly)
		s.collector.SetReleases(report.Releases{Order: order, List: []report.Release{{Version: "1.2.3-ls5"}}})
		wantUpdate(t, string(order), check(t, s.start(withUpdates)), rollcall.Update{Version: want})
	}
}

// TestUpdateDaily: once a day with a time of its own, over restarts, and of
// several processes only one asks. It learns at the next check what changed.
func TestUpdateDaily(t *testing.T) {
	config, collector := rollcalltest.Config(t), rollcalltest.NewCollector(t)
	config.Endpoint, config.Version, config.Updates.URLPrefix = collector.URL, "v1.2.3", releases
	var mu sync.Mutex
	var times []time.Time
	collector.Answer(func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(r.URL.Path, "releases") {
			times = append(times, time.Now())
		}
		return false
	})
	rollcalltest.FastClock(t, func(t *testing.T) {
		start := func() *rollcall.Service {
			service, err := rollcall.New(config)
			if err == nil {
				err = service.Start(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return service
		}
		stop := func(s *rollcall.Service) {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}
		first, second := start(), start()
		if err := first.SetUpdateConsent(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		if n := collector.UpdateChecks(); n != 1 {
			t.Errorf("got %d checks after the grant", n)
		}
		collector.SetReleases(published)
		time.Sleep(48 * time.Hour)
		wantUpdate(t, "one process", first.Update(), newest)
		wantUpdate(t, "the other process", second.Update(), newest)
		stop(second)
		for range 4 {
			stop(first)
			first = start()
			time.Sleep(24 * time.Hour)
			wantUpdate(t, "after a restart", first.Update(), newest)
		}
		stop(first)
		for _, r := range collector.Requests() {
			if r.Path != "/v1/releases/app" {
				t.Errorf("got %+v", r)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(times) < 6 || len(times) > 7 {
			t.Errorf("got %d checks in six days", len(times))
		}
	})
}

// TestUpdateNotKept: where nothing can be written, the check is made rarely and
// serves from memory.
func TestUpdateNotKept(t *testing.T) {
	s := newSite(t, updatesOnly)
	s.collector.SetReleases(published)
	if err := os.Chmod(s.config, 0o444); err != nil {
		t.Fatal(err)
	}
	service := s.start(withUpdates)
	if update, err := service.CheckUpdate(t.Context()); !errors.Is(err, rollcall.ErrNotKept) || update != (rollcall.Update{}) {
		t.Errorf("got %+v, %v", update, err)
	}
	s.wantRequests()
}

// TestUpdateDamagedNote: whatever is in the file, it does no harm.
func TestUpdateDamagedNote(t *testing.T) {
	for _, text := range []string{
		"", "no", "[]", `{"newest":"9 call now","source":"x"}`, `{"newest":"9.0","source":"x","last_success":"2026-06-01T00:00:00Z"}`,
		strings.Repeat(" ", 10_000), `{"seed":7,"last_success":"9999-01-01T00:00:00Z","last_attempt":"9999-01-01T00:00:00Z"}`,
	} {
		s := newSite(t, updatesOnly)
		s.collector.SetReleases(published)
		s.write(filepath.Join(s.dir, "config", updatesFileName), text)
		service := s.start(withUpdates)
		update, err := service.CheckUpdate(t.Context())
		if err != nil || update != newest && !strings.Contains(text, "9999") || update.Version == "9.0" {
			t.Errorf("%.60q: got %+v, %v", text, update, err)
		}
	}
}

// TestUpdatesConfig: a mistake is found by New.
func TestUpdatesConfig(t *testing.T) {
	for field, updates := range map[string]rollcall.UpdatesConfig{
		"Updates.URLPrefix":  {Channel: "stable"},
		"Updates.URLPrefix ": {URLPrefix: "http://example.org/"},
		"Updates.Channel":    {URLPrefix: releases, Channel: "a b"},
	} {
		_, err := rollcall.New(rollcall.Config{App: "my-app", Updates: updates})
		var wrong *rollcall.ConfigError
		if !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
			t.Errorf("%+v: got %v", updates, err)
		}
	}
}

// TestUpdatePreview: the request is shown as it is made.
func TestUpdatePreview(t *testing.T) {
	s := newSite(t, undecided)
	service := s.start(withUpdates, func(c *rollcall.Config) {
		c.Endpoint += "/below/"
		c.Updates.Channel = "feature/x"
	})
	p := preview(t, service)
	if want := "GET " + s.collector.URL + "/below/v1/releases/my-app?channel=feature/x"; p.UpdateRequest != want || !strings.Contains(p.UpdateWithheld, "unset") {
		t.Errorf("got %q, withheld %q, want %q", p.UpdateRequest, p.UpdateWithheld, want)
	}
	if err := service.SetUpdateConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if p := preview(t, service); p.UpdateWithheld != "" {
		t.Errorf("withheld %q", p.UpdateWithheld)
	}
	s.collector.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		answerWith(200, `{"releases":[]}`)(w, r)
		return true
	})
	check(t, service)
	if r := s.collector.Requests()[0]; r.Method+" "+s.collector.URL+r.Path+"?"+r.Query != p.UpdateRequest {
		t.Errorf("asked %+v, and the preview was %q", r, p.UpdateRequest)
	}
	if p := preview(t, s.make()); p.UpdateRequest != "" || p.UpdateWithheld != "" {
		t.Errorf("without an update check: got %q, %q", p.UpdateRequest, p.UpdateWithheld)
	}
}

// TestNilServiceUpdates: a nil service knows nothing.
func TestNilServiceUpdates(t *testing.T) {
	var service *rollcall.Service
	wantUpdate(t, "nil", service.Update(), rollcall.Update{})
	if _, err := service.CheckUpdate(t.Context()); !errors.Is(err, rollcall.ErrNoUpdateCheck) {
		t.Errorf("got %v", err)
	}
	if err := service.SetUpdateConsent(t.Context(), true); !errors.Is(err, rollcall.ErrNoService) {
		t.Errorf("got %v", err)
	}
	if st := service.Status().Updates; st.Withheld == "" || st.Consent.Source.Kind != rollcall.SourceNobody {
		t.Errorf("got %+v", st)
	}
	if state, err := service.AskUpdateConsent(t.Context(), rollcall.AskOptions{}); state != rollcall.Unset || err != nil {
		t.Errorf("got %v, %v", state, err)
	}
}
