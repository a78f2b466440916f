package dashboard_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/report"
	"net/netip"
)

// pagesOf returns the pages of a collector, and a token that reads those of "app".
func pagesOf(t *testing.T, c *engine.Engine) (pages http.Handler, token string) {
	t.Helper()
	keeper := access.New(c, nil)
	token, err := keeper.Add(t.Context(), access.Machine, "reader", access.Read, "app")
	if err != nil {
		t.Fatal(err)
	}
	pages, err = dashboard.New(dashboard.Options{Collector: c, Access: keeper})
	if err != nil {
		t.Fatal(err)
	}
	return pages, token
}

// A site is a dashboard and its collector.
type site struct {
	t        *testing.T
	c        *engine.Engine
	access   *access.Tokens
	audit    *audit.Log
	alerts   *alert.Watcher
	releases *release.Store
	notes    *note.Store
	url      string
	app      collector.App
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := newEmptySite(t)
	var err error
	if s.app, err = s.c.AddApp(t.Context(), collector.App{Key: "app", Name: "<b>App</b>"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// newEmptySite returns a site without an app.
func newEmptySite(t *testing.T) *site {
	t.Helper()
	lab.SameDay(t, 5*time.Minute)
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	s := &site{t: t, c: c, access: access.New(c, nil), audit: audit.New(c, nil), alerts: alert.New(c, alert.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})}
	s.releases, s.notes = release.New(c), note.New(c)
	pages, err := dashboard.New(dashboard.Options{Collector: c, Access: s.access, Audit: s.audit, Alerts: s.alerts, Releases: s.releases, Notes: s.notes, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	s.serve(pages)
	return s
}

// serve makes the site serve these pages.
func (s *site) serve(pages http.Handler) {
	server := httptest.NewServer(pages)
	s.t.Cleanup(server.Close)
	s.url = server.URL
}

// fill loads a simulated fleet.
func (s *site) fill(installations, days int) {
	s.t.Helper()
	fleet, err := simulate.New(simulate.Config{Seed: 3, App: "app", Installations: installations, Days: days})
	if err != nil {
		s.t.Fatal(err)
	}
	l, err := s.c.Load(s.t.Context(), s.app.Num)
	if err == nil {
		err = fleet.Load(s.t.Context(), l, 0, nil)
	}
	if err == nil {
		err = l.Close(s.t.Context())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) token(scope access.Scope, app string) string {
	s.t.Helper()
	token, err := s.access.Add(s.t.Context(), access.Machine, fmt.Sprint(scope, app, time.Now().UnixNano()), scope, app)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *site) do(method, path, token string, form url.Values, header ...string) (*http.Response, string) {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(data)
}

func (s *site) get(path, token string, want int) string {
	s.t.Helper()
	resp, body := s.do("GET", path, token, nil)
	if resp.StatusCode != want {
		s.t.Fatalf("GET %s: %d, want %d: %.300s", path, resp.StatusCode, want, body)
	}
	return body
}

var pages = []string{"overview", "versions", "retention", "features", "health", "quality", "settings"}

var files = regexp.MustCompile(`/a/app/[a-z]+/[a-zA-Z_-]+\.(?:csv|json)[^"]*`)

// Every page works with all its downloads, without a fleet and with one.
func TestPages(t *testing.T) {
	for _, filled := range []bool{false, true} {
		t.Run(fmt.Sprintf("filled %v", filled), func(t *testing.T) {
			s := newSite(t)
			if filled {
				s.fill(120, 60)
			}
			token := s.token(access.Admin, "")
			for _, page := range pages {
				for _, view := range []string{"", "?days=7", "?days=400", "?from=2026-01-01&to=2026-02-01", "?grain=day", "?grain=month", "?status=all", "?trend=system"} {
					if page != "features" && view == "?trend=system" || !filled && strings.Contains(view, "trend") {
						continue
					}
					body := s.get("/a/app/"+page+view, token, http.StatusOK)
					if !strings.Contains(body, "</html>") {
						t.Errorf("%s%s is incomplete", page, view)
					}
					if strings.Contains(body, "<b>App") {
						t.Errorf("%s: the app's name is not escaped", page)
					}
				}
				body := s.get("/a/app/"+page, token, http.StatusOK)
				for _, file := range files.FindAllString(body, -1) {
					data := s.get(strings.ReplaceAll(file, "&amp;", "&"), token, http.StatusOK)
					if strings.Contains(file, ".json") {
						if !json.Valid([]byte(data)) {
							t.Errorf("%s is not JSON", file)
						}
					} else if rows, err := csv.NewReader(strings.NewReader(data)).ReadAll(); err != nil || len(rows) == 0 {
						t.Errorf("%s: %d rows, %v", file, len(rows), err)
					}
				}
			}
			for _, page := range []string{"overview", "versions", "retention", "features", "health"} {
				body := s.get("/a/app/"+page, token, http.StatusOK)
				if has := strings.Contains(body, "No installation has reported yet"); has == filled {
					t.Errorf("%s shows the command for a first heartbeat: %v, want %v", page, has, !filled)
				}
				if has := strings.Contains(body, "<table"); has != filled {
					t.Errorf("%s shows figures: %v, want %v", page, has, filled)
				}
			}
		})
	}
}

// Each page says that the clock is not trusted, to those who are signed in.
func TestClockNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32), Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		app, err := c.AddApp(t.Context(), collector.App{Key: "app", Public: true})
		if err != nil {
			t.Fatal(err)
		}
		pages, token := pagesOf(t, c)
		heartbeat := collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
			Schema: 1, App: "app", InstallationID: "6f1c1f0e-8a52-4c7b-9d3e-2b1a7c5d9e04", IDPersistence: report.Persisted, SentAt: time.Now(),
		}}
		for _, jump := range []time.Duration{0, 500 * 24 * time.Hour} {
			ahead.Store(int64(jump))
			if _, err := c.Heartbeat(t.Context(), heartbeat); err != nil {
				t.Fatal(err)
			}
			for _, signedIn := range []bool{true, false} {
				r := httptest.NewRequest("GET", "/a/app/overview", nil)
				if signedIn {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				w := httptest.NewRecorder()
				pages.ServeHTTP(w, r)
				const notice = "The collector’s clock reads 2001-05-15 00:00 UTC, but 2000-01-01 00:00 UTC was expected"
				if has, want := strings.Contains(w.Body.String(), notice), signedIn && jump > 0; has != want || w.Code != 200 {
					t.Errorf("signed in: %v, %s ahead: got %d and notice: %v, want %v", signedIn, jump, w.Code, has, want)
				}
			}
		}
	})
}

// The command for a first heartbeat stays until one is counted, however long that
// takes and whatever its ID.
func TestFirstHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		app, err := c.AddApp(t.Context(), collector.App{Key: "app"})
		if err != nil {
			t.Fatal(err)
		}
		pages, token := pagesOf(t, c)
		wants := func(what string, want bool) {
			t.Helper()
			for _, page := range []string{"overview", "health"} {
				r := httptest.NewRequest("GET", "/a/app/"+page, nil)
				r.Header.Set("Authorization", "Bearer "+token)
				w := httptest.NewRecorder()
				pages.ServeHTTP(w, r)
				if has := strings.Contains(w.Body.String(), "curl --json"); w.Code != http.StatusOK || has != want {
					t.Errorf("%s, %s: got status %d, shows the command: %v, want %v", what, page, w.Code, has, want)
				}
			}
		}
		wants("on the first day", true)
		time.Sleep(100 * time.Hour)
		wants("days later", true)
		if _, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
			Schema: 1, App: "app", InstallationID: "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a", IDPersistence: report.InMemory,
			SentAt: time.Now(), Version: "1.0",
		}}); err != nil {
			t.Fatal(err)
		}
		wants("with an in-memory ID", false)
		time.Sleep(24 * time.Hour)
		wants("a day later", false)
	})
}

// The command for a first heartbeat uses the scheme that the reader came by, also
// through a proxy.
func TestFirstHeartbeatScheme(t *testing.T) {
	s := newSite(t)
	pages, err := dashboard.New(dashboard.Options{Collector: s.c, Access: s.access})
	if err != nil {
		t.Fatal(err)
	}
	for scheme, want := range map[string]string{"": "http://stats.example/v1/heartbeat", "https": "https://stats.example/v1/heartbeat"} {
		r := httptest.NewRequest("GET", "/a/app/overview", nil)
		r.Host, r.URL.Scheme = "stats.example", scheme // set by the server for a request over TLS
		r.Header.Set("Authorization", "Bearer "+s.token(access.Read, "app"))
		w := httptest.NewRecorder()
		pages.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("scheme %q: the page lacks %s: %s", scheme, want, w.Body)
		}
	}
}

// A wrong address is a client error.
func TestBadViews(t *testing.T) {
	s := newSite(t)
	s.fill(120, 60)
	token := s.token(access.Read, "app")
	for _, path := range []string{
		"/a/app/overview?days=0", "/a/app/overview?days=x", "/a/app/overview?from=yesterday", "/a/app/overview?from=2001-01-01&to=2026-01-01",
		"/a/app/overview?from=1000-01-01", "/a/app/retention?grain=year", "/a/app/features?row=nothing", "/a/app/features?trend=nothing", "/a/app/features?part=9",
		"/a/app/overview?compare=always", "/a/app/health?compare=always", "/a/app/overview?show=nothing", "/a/app/health?status=nothing",
		"/a/app/overview?segment=broken",
	} {
		// Nothing is lost: one click leads to the page without the wrong
		// parameters.
		page, bad, _ := strings.Cut(path, "?")
		link := `<a href="` + page + `?x=1">Show the page without it</a>`
		if body := s.get(page+"?x=1&"+bad, token, http.StatusBadRequest); !strings.Contains(body, link) {
			t.Errorf("%s: no link to the page without it: %s", path, body)
		}
		s.get(page+"?x=1", token, http.StatusOK)
	}
	if body := s.get("/a/app/health?component=nothing", token, http.StatusOK); !strings.Contains(body, "Component: <b>nothing</b>") {
		t.Error("the page does not say which component it is about")
	}
	for _, path := range []string{"/a/app/nothing", "/a/other/overview", "/a/app/overview/nothing.csv", "/a/app/overview/active.exe", "/nothing", "/a/app/settings"} {
		s.get(path, token, http.StatusNotFound)
	}
}

// Private apps lead to the sign-in page. Public apps have rounded figures and no
// private pages.
func TestAccess(t *testing.T) {
	s := newSite(t)
	s.fill(120, 60)
	for _, page := range pages {
		resp, _ := s.do("GET", "/a/app/"+page, "", nil)
		if resp.StatusCode != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/signin") {
			t.Errorf("%s of a private app: %d to %q", page, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	app := s.app
	app.Public, app.K = true, 50
	if err := s.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	private := []string{"retention", "quality", "settings"}
	for _, page := range pages {
		if !slices.Contains(private, page) {
			body := s.get("/a/app/"+page, "", http.StatusOK)
			if !strings.Contains(body, "Public figures cover 28 days at a time, the next from 2") || strings.Contains(body, "not anonymous") {
				t.Errorf("%s does not say what the public sees, or says that it is not anonymous", page)
			}
			for _, leak := range []string{"pairs", "moves", "newest", "growth", "aside", "rates"} {
				if strings.Contains(body, `id="`+leak+`"`) {
					t.Errorf("%s shows the public the panel %s", page, leak)
				}
			}
			continue
		}
		if resp, _ := s.do("GET", "/a/app/"+page, "", nil); resp.StatusCode != http.StatusFound {
			t.Errorf("%s for the public: %d", page, resp.StatusCode)
		}
	}
	data := s.get("/a/app/overview/active.csv", "", http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(data)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	shown := 0
	for _, row := range rows[1:] {
		for _, cell := range row[1:2] {
			if cell == "" {
				continue
			}
			shown++
			var n int
			if _, err := fmt.Sscan(cell, &n); err != nil || n%50 != 0 || n == 0 {
				t.Errorf("the public sees %q", cell)
			}
		}
	}
	if shown == 0 {
		t.Error("the public sees nothing")
	}
	admin := s.token(access.Admin, "app")
	for _, days := range []string{"7", "28", "90"} {
		if body := s.get("/a/app/overview?days="+days, "", http.StatusOK); strings.Contains(body, "No public figures") {
			t.Errorf("the public sees no figures of %s days", days)
		}
	}
	for _, change := range []func(){func() { app.K = 4 }, func() { app.K, app.PublicPairs = 5, true }} {
		if change(); s.c.UpdateApp(t.Context(), app) != nil || !strings.Contains(s.get("/a/app/features", "", http.StatusOK), "not anonymous") {
			t.Errorf("the page does not say that k = %d, pairs: %v is not anonymous", app.K, app.PublicPairs)
		}
		if settings := s.get("/a/app/settings", admin, http.StatusOK); strings.Contains(settings, "4 is not anonymous") != (app.K == 4) {
			t.Errorf("the settings say that 4 is not anonymous, or do not, with k = %d", app.K)
		}
	}
	for path, form := range map[string]url.Values{
		"/a/app/settings": {"do": {"app"}}, "/a/app/health": {"fault": {"x"}}, "/a/app/versions": {"version": {"x"}},
	} {
		if resp, _ := s.do("POST", path, s.token(access.Read, "app"), form); resp.StatusCode != http.StatusNotFound {
			t.Errorf("POST %s by a reader: %d", path, resp.StatusCode)
		}
	}
}

// The policy allows the page's own files only, and no page contains what it forbids.
func TestPolicy(t *testing.T) {
	s := newSite(t)
	s.fill(120, 60)
	token := s.token(access.Admin, "")
	for _, page := range pages {
		resp, body := s.do("GET", "/a/app/"+page, token, nil)
		policy := resp.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", page, policy)
		}
		for what, pattern := range map[string]string{
			"a style": `<style|\sstyle=`, "a script": `<script>|\son[a-z]+=`, "another host": `(src|href|action)="(https?:)?//`,
		} {
			if found := regexp.MustCompile(pattern).FindString(body); found != "" {
				t.Errorf("%s has %s: %q", page, what, found)
			}
		}
		for _, asset := range regexp.MustCompile(`/assets/[^"]+`).FindAllString(body, -1) {
			resp, _ := s.do("GET", asset, "", nil)
			if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d, %q", asset, resp.StatusCode, resp.Header.Get("Cache-Control"))
			}
		}
	}
}

// A page is sent again only if something changed.
func TestETag(t *testing.T) {
	s := newSite(t)
	token := s.token(access.Read, "app")
	resp, _ := s.do("GET", "/a/app/overview", token, nil)
	tag := resp.Header.Get("ETag")
	if resp, _ := s.do("GET", "/a/app/overview", token, nil, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified {
		t.Errorf("unchanged: %d", resp.StatusCode)
	}
	for what, path := range map[string]string{"another view": "/a/app/overview?days=7", "another page": "/a/app/versions"} {
		if resp, _ := s.do("GET", path, token, nil, "If-None-Match", tag); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", what, resp.StatusCode)
		}
	}
	s.send(hostile("1.0"))
	if resp, _ := s.do("GET", "/a/app/overview", token, nil, "If-None-Match", tag); resp.StatusCode != http.StatusOK {
		t.Errorf("changed: %d", resp.StatusCode)
	}
}

func (s *site) send(h report.Heartbeat) {
	s.t.Helper()
	if _, err := s.c.Heartbeat(s.t.Context(), collector.Received{App: s.app.Num, Heartbeat: h}); err != nil {
		s.t.Fatal(err)
	}
}

// hostile returns a heartbeat with texts made of markup, formulas and queries. In
// a real collector, package report refuses most of them earlier.
func hostile(version string) report.Heartbeat {
	return report.Heartbeat{
		Schema: 1, App: "app", InstallationID: "8f14e45f-ceea-467f-9575-5a2b5d1f3c11", IDPersistence: report.Persisted, SentAt: time.Now(),
		Version:  version,
		Platform: report.Platform{System: `"><script>alert(1)</script>`, Machine: `=HYPERLINK("http://x")`, Release: "a\x00b\u2028'; DROP TABLE record; --"},
		Facts:    report.Facts{{Name: "f", Value: "+cmd|' /C calc'!A0"}, {Name: "g", Value: "@SUM(1)"}},
	}
}

// The public overview of a small fleet shows how many are active, their versions,
// and their systems; before that it says from when on.
func TestPublicOverview(t *testing.T) {
	for _, size := range []int{13, 50} {
		synctest.Test(t, func(t *testing.T) {
			c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			app, err := c.AddApp(t.Context(), collector.App{Key: "app", Public: true})
			if err != nil {
				t.Fatal(err)
			}
			pages, err := dashboard.New(dashboard.Options{Collector: c, Access: access.New(c, nil)})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			overview := func() string {
				w := httptest.NewRecorder()
				pages.ServeHTTP(w, httptest.NewRequest("GET", "/a/app/overview", nil))
				return w.Body.String()
			}
			begins := collector.LastPublicDay(app.Created-1) + collector.PublicDays + 1
			nobody := overview()
			for collector.DayOf(time.Now()) < begins {
				for n := range size {
					_, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
						Schema: 1, App: "app", InstallationID: fmt.Sprintf("00000000-0000-4000-8000-%012x", n), IDPersistence: report.Persisted,
						SentAt: time.Now(), Version: []string{"2.0", "2.0", "1.9"}[n%3], Platform: report.Platform{System: []string{"linux", "windows"}[n%2]},
					}})
					if err != nil {
						t.Fatal(err)
					}
				}
				body := overview()
				if !strings.Contains(body, "There are public figures from "+begins.String()) {
					t.Fatalf("the page does not say that figures begin on %s: %s", begins, body)
				}
				if collector.DayOf(time.Now()) == app.Created && body != nobody {
					t.Errorf("the first reports change the page from %s to %s", nobody, body)
				}
				time.Sleep(24 * time.Hour)
			}
			body := overview()
			for _, want := range []string{">2.0<", ">linux<", ">windows<", "28-day active"} {
				if !strings.Contains(body, want) {
					t.Errorf("%d installations: the page lacks %q: %s", size, want, body)
				}
			}
			if strings.Contains(body, "There are public figures from") {
				t.Error("the page says that figures are yet to come")
			}
		})
	}
}

// S7: everything that clients send is shown as text.
func TestHostileTexts(t *testing.T) {
	s := newSite(t)
	s.send(hostile(`<img src=x onerror=alert(1)>`))
	h := hostile("1.0")
	h.InstallationID = "8f14e45f-ceea-467f-9575-5a2b5d1f3c12"
	s.send(h)
	token := s.token(access.Admin, "")
	for _, page := range pages {
		body := s.get("/a/app/"+page, token, http.StatusOK)
		for _, bad := range []string{"<script>alert", "<img src=x", "\x00"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %q", page, bad)
			}
		}
		for _, file := range files.FindAllString(body, -1) {
			data := s.get(strings.ReplaceAll(file, "&amp;", "&"), token, http.StatusOK)
			if !strings.Contains(file, ".csv") {
				if !json.Valid([]byte(data)) || strings.Contains(data, "<script") {
					t.Errorf("%s: %.200s", file, data)
				}
				continue
			}
			rows, err := csv.NewReader(strings.NewReader(data)).ReadAll()
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, row := range rows {
				for _, cell := range row {
					var number float64
					if _, err := fmt.Sscan(cell, &number); cell != "" && err != nil && strings.ContainsAny(cell[:1], "=+-@\t\r") {
						t.Errorf("%s has the formula %q", file, cell)
					}
				}
			}
		}
	}
	if body := s.get("/a/app/features", token, http.StatusOK); !strings.Contains(body, "&lt;script&gt;alert") {
		t.Error("the hostile value is not on the page as text")
	}
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	token := s.token(access.Read, "app")
	if resp, body := s.do("POST", "/signin", "", url.Values{"token": {"wrong"}}); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, "Unknown token") {
		t.Errorf("wrong token: %d", resp.StatusCode)
	}
	for in, out := range map[string]string{"/a/app/versions?days=7": "/a/app/versions?days=7", "//evil.example": "/", `/\evil.example`: "/", "https://evil.example": "/"} {
		resp, _ := s.do("POST", "/signin", "", url.Values{"token": {token}, "next": {in}})
		if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != out {
			t.Errorf("next %q: %d to %q, want %q", in, resp.StatusCode, got, out)
		}
		if len(resp.Cookies()) == 0 {
			t.Error("no session")
		}
	}
	if resp, _ := s.do("POST", "/signin", "", url.Values{"token": {token}}, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
}

func TestSettings(t *testing.T) {
	s := newSite(t)
	token := s.token(access.Admin, "app")
	form := url.Values{"do": {"app"}, "name": {"My app"}, "public": {"on"}, "k": {"20"}, "retention": {"100"}, "max_new": {"500"}}
	if resp, body := s.do("POST", "/a/app/settings", token, form); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	if app, _ := s.c.App("app"); !app.Public || app.K != 20 || app.Retention != 100 || app.MaxNewPerDay != 500 || app.Name != "My app" {
		t.Errorf("got %+v", app)
	}
	// Shutting down needs the app's key.
	for _, tt := range []struct {
		do, confirm string
		status      int
		gone        bool
	}{{"shutdown", "", 400, false}, {"shutdown", "My app", 400, false}, {"shutdown", "app", 303, true}, {"app", "", 303, true}, {"reopen", "", 303, false}} {
		change := url.Values{"do": {tt.do}, "confirm": {tt.confirm}}
		for name, values := range form {
			if name != "do" {
				change[name] = values
			}
		}
		if resp, body := s.do("POST", "/a/app/settings", token, change); resp.StatusCode != tt.status {
			t.Errorf("%s with %q: %d %s", tt.do, tt.confirm, resp.StatusCode, body)
		}
		if app, _ := s.c.App("app"); app.Gone != tt.gone {
			t.Errorf("%s with %q: got shut down: %v, want %v", tt.do, tt.confirm, app.Gone, tt.gone)
		}
	}
	form.Set("k", "1")
	if resp, body := s.do("POST", "/a/app/settings", token, form); resp.StatusCode != http.StatusBadRequest || !strings.Contains(body, "K is 1") {
		t.Errorf("k of 1: %d %s", resp.StatusCode, body)
	}
	resp, body := s.do("POST", "/a/app/settings", token, url.Values{"do": {"token"}, "name": {"reader"}, "scope": {"read"}})
	made := regexp.MustCompile(`rct_[0-9A-Za-z]+`).FindString(body)
	if resp.StatusCode != http.StatusOK || made == "" {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	s.get("/a/app/overview", made, http.StatusOK)
	if resp, _ := s.do("POST", "/a/app/settings", token, url.Values{"do": {"token"}, "name": {"all"}, "scope": {"read"}, "all": {"on"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an admin of one app made a token for all: %d", resp.StatusCode)
	}
	for scope, status := range map[string]int{"release": http.StatusOK, "owner": http.StatusBadRequest, "": http.StatusBadRequest} {
		form := url.Values{"do": {"token"}, "name": {"scope " + scope}, "scope": {scope}}
		resp, body := s.do("POST", "/a/app/settings", token, form)
		if resp.StatusCode != status {
			t.Errorf("token with scope %q: %d %s", scope, resp.StatusCode, body)
		} else if status == http.StatusOK {
			made := regexp.MustCompile(`rct_[0-9A-Za-z]+`).FindString(body)
			if resp, _ := s.do("GET", "/a/app/quality", made, nil); resp.StatusCode == http.StatusOK {
				t.Errorf("a token with scope %q shows figures", scope)
			}
		}
	}
	if resp, _ := s.do("POST", "/a/app/settings", token, url.Values{"do": {"revoke"}, "app": {"app"}, "name": {"reader"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("revoke: %d", resp.StatusCode)
	}
	if resp, _ := s.do("GET", "/a/app/quality", made, nil); resp.StatusCode != http.StatusFound {
		t.Errorf("with a revoked token: %d", resp.StatusCode)
	}
	if resp, _ := s.do("POST", "/a/app/settings", token, url.Values{"do": {"revoke"}, "app": {""}, "name": {"all"}}); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an admin of one app revoked a token for all: %d", resp.StatusCode)
	}
	// The audit log says so, and only admins see it.
	_, body = s.do("GET", "/a/app/audit", token, nil)
	if !strings.Contains(body, "app_changed") || !strings.Contains(body, "k, max_new_per_day, name, public, retention") {
		t.Errorf("audit log: %s", body)
	}
	if resp, _ := s.do("GET", "/a/app/audit", s.token(access.Read, "app"), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("audit log for a reader: %d", resp.StatusCode)
	}
	if resp, body := s.do("GET", "/a/app/audit/audit.json", token, nil); resp.StatusCode != http.StatusOK || !strings.Contains(body, "app_changed") {
		t.Errorf("audit log as JSON: %d %s", resp.StatusCode, body)
	}
}
