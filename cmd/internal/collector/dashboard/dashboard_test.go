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
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// A site is a dashboard and its collector.
type site struct {
	t      *testing.T
	c      *engine.Engine
	access *access.Tokens
	alerts *alert.Watcher
	url    string
	app    collector.App
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
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	s := &site{t: t, c: c, access: access.New(c), alerts: alert.New(c, nil)}
	pages, err := dashboard.New(dashboard.Options{Collector: c, Access: s.access, Alerts: s.alerts, Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
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
	token, err := s.access.Add(s.t.Context(), fmt.Sprint(scope, app, time.Now().UnixNano()), scope, app)
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
		keeper := access.New(c)
		token, err := keeper.Add(t.Context(), "reader", access.Read, "app")
		if err != nil {
			t.Fatal(err)
		}
		pages, err := dashboard.New(dashboard.Options{Collector: c, Access: keeper})
		if err != nil {
			t.Fatal(err)
		}
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

// The command for a first heartbeat uses the scheme by which the reader came, also
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
		if !strings.Contains(w.Body.String(), " "+want) {
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
		"/a/app/overview?days=0", "/a/app/overview?days=x", "/a/app/overview?from=yesterday", "/a/app/overview?from=2026-02-01&to=2026-01-01",
		"/a/app/overview?from=1000-01-01", "/a/app/retention?grain=year", "/a/app/features?row=nothing",
	} {
		s.get(path, token, http.StatusBadRequest)
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
	for _, page := range pages[:5] {
		s.get("/a/app/"+page, "", http.StatusOK)
	}
	for _, page := range pages[5:] {
		if resp, _ := s.do("GET", "/a/app/"+page, "", nil); resp.StatusCode != http.StatusFound {
			t.Errorf("%s for the public: %d", page, resp.StatusCode)
		}
	}
	for page, want := range map[string]bool{"versions?days=90": true, "health?days=90": true, "versions?days=28": false, "health?days=28": false} {
		if got := strings.Contains(s.get("/a/app/"+page, "", http.StatusOK), "are public for"); got != want {
			t.Errorf("%s says that its range is shorter: %v, want %v", page, got, want)
		}
	}
	data := s.get("/a/app/overview/active.csv", "", http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(data)).ReadAll()
	if err != nil || len(rows) < 50 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	shown := 0
	for _, row := range rows[1:] {
		for _, cell := range row[1:7] {
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
	if resp, _ := s.do("POST", "/a/app/settings", token, url.Values{"do": {"revoke"}, "name": {"reader"}}); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("revoke: %d", resp.StatusCode)
	}
	if resp, _ := s.do("GET", "/a/app/quality", made, nil); resp.StatusCode != http.StatusFound {
		t.Errorf("with a revoked token: %d", resp.StatusCode)
	}
}
