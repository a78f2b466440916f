package daemon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// A site is a collector as its clients see it: one process, or several replicas.
type site struct {
	t         *testing.T
	verbs     *control.Client
	all       []*daemon.Daemon
	receivers []*daemon.Daemon // all that do not count; one process is its own
	turn      int
	senders   int
}

var (
	replicaSecret = []byte(strings.Repeat("replica!", 4))
	// siteOptions trust the test, so that each report can come from an address of its
	// own.
	siteOptions = daemon.Options{
		Listen: loopback, Wait: true, BaseURL: "http://collector.example", TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Limits: counter.Limits{PerPrefix: -1, NewPerPrefix: -1, KnownPerPrefix: -1, PerInstallation: -1}, Secret: replicaSecret,
	}
)

// oneProcess starts a collector with a file.
func oneProcess(t *testing.T) *site {
	t.Helper()
	opts := siteOptions
	opts.Dir, opts.Secret = t.TempDir(), nil
	if err := datadir.WriteSecret(replicaSecret, opts.Dir); err != nil {
		t.Fatal(err)
	}
	d, _ := start(t, opts)
	s := &site{t: t, all: []*daemon.Daemon{d}, receivers: []*daemon.Daemon{d}}
	s.connect(opts.Dir, datadir.Options{})
	return s
}

// threeReplicas starts replicas on a PostgreSQL, and waits until all are ready.
func threeReplicas(t *testing.T) *site {
	t.Helper()
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off"}})
	s := &site{t: t}
	opts := siteOptions
	opts.Store, opts.ReplicaListen, opts.Drain = server.URL(server.NewDatabase(t)), loopback, time.Millisecond
	opts.Lease = 15 * time.Second // so that the same one counts all the time, on a slow machine too
	for range 3 {
		d, _ := start(t, opts)
		s.all = append(s.all, d)
	}
	for _, d := range s.all {
		for s.request(d, "GET", "/readyz", "").status != http.StatusOK {
			time.Sleep(20 * time.Millisecond)
		}
	}
	s.connect(t.TempDir(), datadir.Options{Store: opts.Store, Secret: replicaSecret})
	token := s.token("probe", access.Read, "")
	for _, d := range s.all {
		if metrics := s.request(d, "GET", "/metrics", "", "Authorization: Bearer "+token); metrics.status != http.StatusOK {
			t.Fatalf("metrics: got %d", metrics.status)
		} else if strings.Contains(metrics.body, "\nrollcall_collector_counts 0\n") {
			s.receivers = append(s.receivers, d)
		}
	}
	if len(s.receivers) != 2 {
		t.Fatalf("got %d receivers, want 2", len(s.receivers))
	}
	return s
}

func (s *site) connect(dir string, opts datadir.Options) {
	s.t.Helper()
	var err error
	if s.verbs, err = control.Connect(s.t.Context(), dir, opts); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.verbs.Close)
}

// token makes a token.
func (s *site) token(name string, scope access.Scope, app string) string {
	s.t.Helper()
	token, err := s.verbs.AddToken(s.t.Context(), control.NewToken{Name: name, Scope: scope, App: app})
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

type response struct {
	status int
	header http.Header
	body   string
}

// direct makes a connection for each request, as installations do.
var direct = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (s *site) request(d *daemon.Daemon, method, path, body string, header ...string) response {
	s.t.Helper()
	return s.as(direct, d, method, path, body, header...)
}

func (s *site) as(client *http.Client, d *daemon.Daemon, method, path, body string, header ...string) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+d.Addr().String()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = "collector.example"
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	answer, err := client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, string(text)}
}

// send sends a request to the next receiver, from a new address.
func (s *site) send(method, path, body string, header ...string) response {
	s.t.Helper()
	s.turn++
	s.senders++
	from := fmt.Sprintf("X-Forwarded-For: 10.%d.%d.%d", s.senders>>16&255, s.senders>>8&255, s.senders&255)
	return s.request(s.receivers[s.turn%len(s.receivers)], method, path, body, append(header, from)...)
}

// A browser has one session, as long as its cookie lasts.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: anyPort{jar}, CheckRedirect: direct.CheckRedirect, Transport: direct.Transport}
}

// anyPort is a jar for one host, whatever its name: the replicas have one name behind a
// load balancer.
type anyPort struct{ http.CookieJar }

var oneHost = &url.URL{Scheme: "http", Host: "collector.example", Path: "/"}

func (j anyPort) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(oneHost, cookies)
}
func (j anyPort) Cookies(*url.URL) []*http.Cookie { return j.CookieJar.Cookies(oneHost) }

const formType = "Content-Type: application/x-www-form-urlencoded"

// Signing in at one replica signs in at all of them, and so does signing out. A
// new or revoked token counts at once, and so does each change, whichever
// replica is asked for it.
func TestSessionsAndChangesAtAnyReplica(t *testing.T) {
	s := threeReplicas(t)
	if _, err := s.verbs.AddApp(t.Context(), collector.App{Key: "myapp", MaxNewPerDay: 1000}); err != nil {
		t.Fatal(err)
	}
	admin := s.token("admin", access.Admin, "")
	one, two := s.receivers[0], s.receivers[1]
	browser := s.browser()
	signIn := func(b *http.Client, d *daemon.Daemon, token string, header ...string) response {
		return s.as(b, d, "POST", "/signin", url.Values{"token": {token}}.Encode(), append(header, formType)...)
	}
	if got := signIn(browser, one, "wrong"); got.status == http.StatusSeeOther {
		t.Errorf("a wrong token: got %d", got.status)
	}
	if got := signIn(browser, one, admin, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"); got.status != http.StatusForbidden {
		t.Errorf("sign-in from another site: got %d, want 403", got.status)
	}
	if got := signIn(browser, one, admin); got.status != http.StatusSeeOther {
		t.Fatalf("sign-in: got %d %s", got.status, got.body)
	}
	for i, d := range s.all {
		if got := s.as(browser, d, "GET", "/a/myapp/settings", ""); got.status != http.StatusOK || got.header.Get("Content-Security-Policy") == "" {
			t.Errorf("replica %d: settings: got %d", i, got.status)
		}
		if got := s.as(browser, d, "GET", "/metrics", ""); got.status != http.StatusOK {
			t.Errorf("replica %d: metrics with a session: got %d, want 200", i, got.status)
		}
	}
	// Each change goes to one receiver, and the other one shows it at once.
	post := func(what, path string, want int, form ...string) response {
		t.Helper()
		values := url.Values{}
		for i := 0; i < len(form); i += 2 {
			values.Set(form[i], form[i+1])
		}
		s.turn++
		got := s.as(browser, s.receivers[s.turn%2], "POST", path, values.Encode(), formType, "Origin: http://collector.example", "Sec-Fetch-Site: same-origin")
		if got.status != want {
			t.Errorf("%s: got %d %s, want %d", what, got.status, got.body, want)
		}
		return got
	}
	shows := func(what, path, text string) {
		t.Helper()
		for i, d := range s.all {
			if got := s.as(browser, d, "GET", path, ""); got.status != http.StatusOK || !strings.Contains(got.body, text) {
				t.Errorf("%s: replica %d: got %d without %q", what, i, got.status, text)
			}
		}
	}
	const settings = "/a/myapp/settings"
	post("settings", settings, 303, "do", "app", "name", "Name from a receiver", "k", "2", "retention", "90", "max_new", "500")
	shows("settings", settings, "Name from a receiver")
	post("note", settings, 303, "do", "note", "text", "Note from a receiver")
	shows("note", settings, "Note from a receiver")
	post("release", settings, 303, "do", "release", "channel", "stable", "version", "1.2.3", "url", "https://example.com/1.2.3")
	shows("release", settings, "1.2.3")
	post("app", "/apps", 303, "key", "other", "name", "Other")
	shows("app", "/a/other/settings", "Other")
	if got := s.as(browser, one, "POST", settings, "do=app&name=x", formType, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"); got.status != http.StatusForbidden {
		t.Errorf("a change from another site: got %d, want 403", got.status)
	}

	// A fault that an installation reports at one receiver is triaged at the other.
	const id = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"
	report := fmt.Sprintf(`{"schema":1,"app":"myapp","installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"1.2.3","faults":[
		{"source":"log","component":"storage","reason":"disk-full","severity":"error","count":2,"since":%[2]q,"first":%[2]q,"last":%[2]q}]}`,
		id, time.Now().UTC().Format(time.RFC3339))
	if got := s.request(one, "POST", "/v1/health", report); got.status != http.StatusOK {
		t.Fatalf("health report: got %d %s", got.status, got.body)
	}
	page := s.as(browser, two, "GET", "/a/myapp/health?status=all", "").body
	match := regexp.MustCompile(`name="fault" value="([^"]+)"`).FindStringSubmatch(page)
	if match == nil {
		t.Fatal("the page of faults has no fault")
	}
	post("triage", "/a/myapp/health", 303, "fault", match[1], "status", "fixed", "fixed_in", "1.2.4", "note", "Triage from a receiver")
	shows("triage", "/a/myapp/health?status=all", "Triage from a receiver")

	// Scripts publish releases and notes with tokens, at any replica.
	bearer := "Authorization: Bearer " + s.token("ci", access.Release, "myapp")
	if got := s.request(two, "POST", "/api/v1/apps/myapp/releases", `{"channel":"stable","version":"1.2.4","url":"https://example.com/1.2.4"}`, bearer); got.status >= 300 {
		t.Errorf("publish: got %d %s", got.status, got.body)
	}
	if got := s.request(one, "GET", "/v1/releases/myapp", ""); !strings.Contains(got.body, `"1.2.4"`) {
		t.Errorf("releases: got %d %s", got.status, got.body)
	}
	bearer = "Authorization: Bearer " + s.token("notes", access.Note, "myapp")
	if got := s.request(one, "POST", "/api/v1/apps/myapp/notes", `{"text":"By a script"}`, bearer); got.status >= 300 {
		t.Errorf("note: got %d %s", got.status, got.body)
	}
	shows("note of a script", settings, "By a script")

	// A deletion at one replica deletes everywhere.
	if got := s.request(two, "GET", "/v1/installations/"+id, ""); got.status != http.StatusOK {
		t.Errorf("installation: got %d", got.status)
	}
	if got := s.request(two, "DELETE", "/v1/installations/"+id, ""); got.status != http.StatusOK || !strings.Contains(got.body, `"deleted":1`) {
		t.Errorf("deletion: got %d %s", got.status, got.body)
	}
	for i, d := range s.all {
		if got := s.request(d, "GET", "/v1/installations/"+id, ""); got.status != http.StatusNotFound {
			t.Errorf("replica %d: after the deletion: got %d, want 404", i, got.status)
		}
	}

	// A token counts from the moment it is made to the moment it is revoked.
	made := post("token", settings, 200, "do", "token", "name", "fresh", "scope", string(access.Read))
	match = regexp.MustCompile(`<code class="token">([^<]+)<`).FindStringSubmatch(made.body)
	if match == nil {
		t.Fatalf("the page does not show the new token:\n%s", made.body)
	}
	fresh := match[1]
	for i, d := range s.all {
		if got := s.request(d, "GET", "/api/v1/apps/myapp/export", "", "Authorization: Bearer "+fresh); got.status != http.StatusOK {
			t.Errorf("replica %d: new token: got %d", i, got.status)
		}
	}
	other := s.browser()
	if got := signIn(other, two, fresh); got.status != http.StatusSeeOther {
		t.Errorf("sign-in with the new token: got %d", got.status)
	}
	const signedIn = `action="/signout"`
	if !strings.Contains(s.as(other, one, "GET", "/a/myapp/overview", "").body, signedIn) {
		t.Error("the page does not show that its reader is signed in")
	}
	post("revoke", settings, 303, "do", "revoke", "app", "myapp", "name", "fresh")
	for i, d := range s.all {
		if got := s.request(d, "GET", "/api/v1/apps/myapp/export", "", "Authorization: Bearer "+fresh); got.status != http.StatusUnauthorized {
			t.Errorf("replica %d: revoked token: got %d, want 401", i, got.status)
		}
		if strings.Contains(s.as(other, d, "GET", "/a/myapp/overview", "").body, signedIn) {
			t.Errorf("replica %d: a session of a revoked token lives on", i)
		}
	}

	// A copy of the cookie is of no use once its browser has signed out elsewhere.
	kept := browser.Jar.Cookies(oneHost)
	if got := s.as(browser, two, "POST", "/signout", "", formType, "Sec-Fetch-Site: same-origin"); got.status != http.StatusSeeOther && got.status != http.StatusFound {
		t.Errorf("sign-out: got %d", got.status)
	}
	browser.Jar.SetCookies(oneHost, kept)
	for i, d := range s.all {
		if got := s.as(browser, d, "GET", settings, ""); got.status == http.StatusOK {
			t.Errorf("replica %d: it is signed in after the sign-out elsewhere", i)
		}
	}
}

// Unmodified clients of YA-WAMF report to receivers, and people and programs
// read at receivers: every answer and figure matches a collector that is one
// process.
func TestReplicasAnswerAsOneProcess(t *testing.T) {
	data, err := os.ReadFile("../legacy/testdata/pairs.json")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []struct {
		What, Method, Path string
		Headers            map[string]string
		Body               json.RawMessage
		Pad, Status        int
	}
	if err := json.Unmarshal(data, &pairs); err != nil || len(pairs) < 50 {
		t.Fatalf("got %d pairs, %v", len(pairs), err)
	}
	lab.SameDay(t, 5*time.Minute)
	sites := []*site{oneProcess(t), threeReplicas(t)}
	tokens := make([]string, len(sites))
	for i, s := range sites {
		app, err := s.verbs.AddApp(t.Context(), collector.App{Key: "wamf", Name: "YA-WAMF", MaxNewPerDay: 1000, Legacy: true, Public: true, K: 2})
		if err != nil {
			t.Fatal(err)
		}
		if !app.Legacy {
			t.Fatal("the app is not the one of the format")
		}
		for channel, version := range map[string]string{release.Stable: "2.15.1", "dev": "2.16.0-dev"} {
			published := release.Release{Version: version, URL: "https://example.com/" + version, Commit: "abc1234"}
			if err := s.verbs.SetRelease(t.Context(), "wamf", channel, published); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.verbs.AddNote(t.Context(), "wamf", note.Note{Text: "A note", Day: collector.DayOf(time.Now())}); err != nil {
			t.Fatal(err)
		}
		tokens[i] = "Authorization: Bearer " + s.token("reader", access.Read, "")
	}
	compare := func(what string, ask func(s *site, token string) response) {
		t.Helper()
		want, got := ask(sites[0], tokens[0]), ask(sites[1], tokens[1])
		if got.status != want.status || normal(got.body) != normal(want.body) {
			theirs, ours := difference(normal(got.body), normal(want.body))
			t.Errorf("%s: replicas answer %d %s, and one process %d %s", what, got.status, theirs, want.status, ours)
		}
		for name := range want.header {
			if name != "Date" && name != "Etag" && name != "Content-Length" && got.header.Get(name) != want.header.Get(name) {
				t.Errorf("%s: replicas answer %s %q, and one process %q", what, name, got.header.Get(name), want.header.Get(name))
			}
		}
	}
	time.Sleep(2100 * time.Millisecond) // receivers cache the apps for two seconds
	for _, p := range pairs {
		compare(p.What, func(s *site, token string) response {
			body := string(p.Body)
			var text string
			if json.Unmarshal(p.Body, &text) == nil {
				body = text
			}
			header := []string{"Content-Type: application/json", token}
			if p.Pad > 0 {
				header = append(header, "Expect: 100-continue") // the body is refused unread
				body = strings.TrimSuffix(body, "}") + `,"pad":"` + strings.Repeat("x", p.Pad) + `"}`
			}
			for name, value := range p.Headers {
				if name != "Content-Length" {
					header = append(header, name+": "+value)
				}
			}
			answer := s.send(p.Method, p.Path, body, header...)
			if answer.status != p.Status {
				t.Errorf("%s: got %d, want %d", p.What, answer.status, p.Status)
			}
			return answer
		})
	}
	today := collector.DayOf(time.Now()).String()
	const known = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"
	for _, path := range []string{
		"/version", "/stats/summary", "/stats/health-issues", "/dashboard", "/dashboard?view=health&days=30",
		"/v1/releases/wamf", "/v1/releases/none", "/v1/installations/" + known, "/v1/installations/not-a-uuid", "/v1/installations/" + strings.ToUpper(known),
		"/v1/installations/00000000-0000-4000-8000-000000000000",
		"/api/v1/apps", "/api/v1/apps/wamf/export", "/api/v1/apps/wamf/notes", "/api/v1/apps/wamf/totals", "/api/v1/apps/wamf/versions",
		"/api/v1/apps/wamf/series?from=" + today + "&to=" + today, "/api/v1/apps/wamf/badge/active.svg", "/api/v1/apps/wamf/chart/active.svg",
		"/api/v1/apps/wamf/chart/version.svg", "/api/v1/apps/wamf/card.png", "/api/v1/apps/wamf/feed.atom", "/api/openapi.json", "/api/v1/nothing",
		"/", "/a/wamf/overview", "/a/wamf/versions", "/a/wamf/health", "/a/wamf/platforms", "/a/wamf/quality", "/a/wamf/retention", "/a/none/overview",
		"/signin", "/assets/style.css", "/nothing", "/healthz", "/readyz", "/metrics",
	} {
		for _, who := range []string{"anyone", "reader"} {
			if path == "/metrics" && who == "reader" {
				continue // TestMetricsOfReplicas
			}
			read := func(s *site, token string) response {
				if who == "anyone" {
					return s.send("GET", path, "")
				}
				return s.send("GET", path, "", token)
			}
			// The counter learns what receivers refused a second later.
			for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				if normal(read(sites[0], tokens[0]).body) == normal(read(sites[1], tokens[1]).body) {
					break
				}
			}
			compare(path+" by "+who, read)
		}
	}
	compare("deletion", func(s *site, _ string) response { return s.send("DELETE", "/v1/installations/"+known, "") })
	compare("deletion by the format's ID", func(s *site, _ string) response { return s.send("DELETE", "/v1/installations/not-a-uuid", "") })
	compare("after the deletion", func(s *site, token string) response { return s.send("GET", "/stats/summary", "", token) })
}

var (
	changing = regexp.MustCompile(`"erased":.*|<span class="tile-value">[0-9.]+ <small>MB</small>|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?|\d\d:\d\d(:\d\d)? UTC|rollcall_[a-z]+_seconds\S* \S+`)
	address  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// normal removes from a text what may differ: times, the size of the database,
// and what is promised of its files.
func normal(text string) string {
	return address.ReplaceAllString(changing.ReplaceAllString(text, "TIME"), "ADDRESS")
}

// difference returns excerpts of two texts from where they differ.
func difference(a, b string) (ofA, ofB string) {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	some := func(text string) string { return strconv.Quote(text[max(0, same-100):min(len(text), same+200)]) }
	return some(a), some(b)
}

// Each replica has metrics of its own, and only the one that counts has those of
// closed days: added up, they match one process.
func TestMetricsOfReplicas(t *testing.T) {
	s := threeReplicas(t)
	if _, err := s.verbs.AddApp(t.Context(), collector.App{Key: "myapp", MaxNewPerDay: 1000}); err != nil {
		t.Fatal(err)
	}
	token := "Authorization: Bearer " + s.token("reader", access.Read, "")
	limited := "Authorization: Bearer " + s.token("limited", access.Read, "myapp")
	for n := range 9 {
		if got := sendReport(t, s.all[n%3], n+1); got != http.StatusOK {
			t.Fatalf("report %d: got %d", n, got)
		}
	}
	accepted, clocks := 0, 0
	for i, d := range s.all {
		got := s.request(d, "GET", "/metrics", "", token)
		if n := bytes.Count([]byte(got.body), []byte("\nrollcall_collector_clock_trusted ")); n > 0 {
			clocks++
		}
		match := regexp.MustCompile(`rollcall_collector_reports_total\{kind="heartbeat",outcome="new"\} (\d+)`).FindStringSubmatch(got.body)
		if match == nil {
			t.Fatalf("replica %d: got %d %s", i, got.status, got.body)
		}
		var n int
		fmt.Sscan(match[1], &n)
		if accepted += n; n != 3 {
			t.Errorf("replica %d: got %d accepted, want 3", i, n)
		}
		for what, header := range map[string]string{"nobody": "X: y", "a reader of one app": limited, "a wrong token": "Authorization: Bearer x"} {
			if got := s.request(d, "GET", "/metrics", "", header); got.status != http.StatusUnauthorized {
				t.Errorf("replica %d: metrics for %s: got %d, want 401", i, what, got.status)
			}
		}
	}
	if accepted != 9 || clocks != 1 {
		t.Errorf("got %d accepted and %d clocks, want 9 and 1", accepted, clocks)
	}
}
