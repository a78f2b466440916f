package server_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

type recorderAlias = httptest.ResponseRecorder

func newRequest(method, target, body string) *http.Request {
	return httptest.NewRequest(method, target, strings.NewReader(body))
}

func record(h http.Handler, r *http.Request) *recorderAlias {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (r *rig) metrics() string {
	r.t.Helper()
	token, err := r.tokens.Add(r.t.Context(), access.Machine, "metrics", access.Read, "")
	if err != nil {
		r.t.Fatal(err)
	}
	defer r.tokens.Revoke(r.t.Context(), access.Machine, access.AnyApp, "metrics")
	w := r.do("GET", "/metrics", here, "", "Authorization: Bearer "+token)
	r.wants(w, 200, "rollcall_collector_requests_total")
	return w.Body.String()
}

// all are all questions, with parameters.
var all = []string{
	"series", "series?days=7", "series?from=2026-01-01", "dimensions", "breakdown?dimension=version&window=7", "trend?dimension=system&top=3",
	"retention?grain=month", "survival?top=3", "versions?days=30", "floor", "cooccurrence?row=system&column=machine", "faults", "quality", "changes",
}

func (r *rig) public() {
	r.t.Helper()
	r.app.Public, r.app.K = true, 5
	if err := r.c.UpdateApp(r.t.Context(), r.app); err != nil {
		r.t.Fatal(err)
	}
}

// Apps are closed by default: without a token for the app there are no figures,
// and no hint of which apps exist.
func TestClosed(t *testing.T) {
	r := newRig(t, nil)
	other, err := r.tokens.Add(t.Context(), access.Machine, "other", access.Admin, "other")
	if err != nil {
		t.Fatal(err)
	}
	for _, question := range append(all, "export", "export?of=quality") {
		for _, app := range []string{"app", "nothing"} {
			for _, header := range [][]string{nil, {"Authorization: Bearer rct_x"}, {"Authorization: Bearer " + other}} {
				w := r.do("GET", "/api/v1/apps/"+app+"/"+question, here, "", header...)
				if app+"/"+question == "app/"+question && w.Code != 401 || w.Code != 401 {
					t.Errorf("%s of %s with %v: got %d %s, want 401", question, app, header, w.Code, w.Body)
				}
			}
		}
	}
	r.wants(r.do("GET", "/api/v1/apps", here, ""), 200, `{"apps":[]}`)
	r.wants(r.get("/api/v1/apps"), 200, `"key":"app"`)
	r.wants(r.do("GET", "/api/v1/apps/app/badge/active.svg", here, ""), 404, "not_found")
	r.wants(r.get("/api/v1/apps/app/badge/active.svg"), 404, "not_found")
	r.wants(r.get("/metrics"), 401, "unauthorized") // the token is for one app
	r.wants(r.do("GET", "/metrics", here, ""), 401, "unauthorized")
}

func TestAnswers(t *testing.T) {
	r := newRig(t, noLimits)
	for n := range 30 {
		r.wants(r.beat(here, n), 200, "ok")
		r.wants(r.do("POST", "/v1/health", here, health(n, n+1)), 200, "ok")
	}
	for _, question := range all {
		w := r.get("/api/v1/apps/app/" + question)
		if w.Code != 200 {
			t.Errorf("%s: got %d %s", question, w.Code, w.Body)
			continue
		}
		if question == "dimensions" {
			continue
		}
		answer := decode[map[string]any](t, w)
		for _, field := range []string{"as_of", "complete", "denominator", "denominator_of", "suppressed"} {
			if _, ok := answer[field]; !ok {
				t.Errorf("%s: %s is missing", question, field)
			}
		}
	}
}

// The public sees the figures of a public app, except for small groups and data
// quality.
func TestPublic(t *testing.T) { synctest.Test(t, testPublic) }

// toWindow waits until the public window that includes now is over.
func toWindow() {
	day := collector.DayOf(time.Now())
	time.Sleep(time.Until((collector.LastPublicDay(day-1) + collector.PublicDays + 1).Time()) + time.Hour)
}

func testPublic(t *testing.T) {
	time.Sleep(time.Until(time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC))) // the questions are about that year
	r := newRig(t, noLimits)
	for range 2 {
		for n := range 9 {
			system := `{"system":"linux","machine":"amd64"}`
			if n < 2 {
				system = `{"system":"plan9","machine":"amd64"}`
			}
			r.wants(r.do("POST", "/v1/heartbeat", here, heartbeat(n, "platform", system)), 200, "ok")
		}
		time.Sleep(24 * time.Hour) // after the second day they are established
	}
	toWindow()
	for _, pairs := range []bool{true, false} {
		r.app.PublicPairs = pairs
		r.public()
		for _, question := range all {
			name, _, _ := strings.Cut(question, "?")
			want := 200
			if slices.Contains([]string{"quality", "retention", "survival", "changes"}, name) || name == "cooccurrence" && !pairs {
				want = 401
			}
			if w := r.do("GET", "/api/v1/apps/app/"+question, here, ""); w.Code != want {
				t.Errorf("%s: got %d %s, want %d", question, w.Code, w.Body, want)
			}
		}
	}
	r.wants(r.do("GET", "/api/v1/apps/app/export?of=quality", here, ""), 401, "unauthorized")
	const split = "/api/v1/apps/app/breakdown?dimension=system"
	public, closed := decode[figures.Breakdown](t, r.do("GET", split, here, "")), decode[figures.Breakdown](t, r.get(split))
	if len(public.Values) != 1 || len(closed.Values) != 2 || public.Next == 0 || closed.Next != 0 {
		t.Errorf("the public sees %+v, the maintainer %+v", public, closed)
	}
	for _, v := range public.Values {
		if v.Count != nil && *v.Count < 5 {
			t.Errorf("the public sees that %d have %s", *v.Count, v.Value)
		}
	}
	r.wants(r.do("GET", "/api/v1/apps", here, ""), 200, `"key":"app"`)
}

// A refusal names the invalid parameter.
func TestParameters(t *testing.T) {
	r := newRig(t, nil)
	for query, name := range map[string]string{
		"series?days=0": "days", "series?days=x": "days", "series?days=99999": "days", "series?from=2026-13-01": "from",
		"series?to=yesterday": "to", "series?from=2026-02-01&to=2026-01-01": "from", "series?from=2026-01-01&days=3": "days",
		"series?dyas=3": "dyas", "series?days=1&days=2": "days", "breakdown?dimension=version&window=5": "window", "trend?top=-1": "top",
		"retention?grain=year": "grain", "export?format=xls": "format", "export?of=everything": "of", "export?grain=week": "grain",
		"export?of=breakdown&from=2026-01-01": "from", "breakdown?dimension=platform.machine": "platform.machine",
		"breakdown?dimension=fact.nobody": "fact.nobody", "trend?dimension=fact.nobody": "fact.nobody",
		"cooccurrence?row=versions": "versions", "export?of=trend&dimension=sytem": "sytem",
	} {
		w := r.get("/api/v1/apps/app/" + query)
		if w.Code != 400 || !strings.Contains(w.Body.String(), name) {
			t.Errorf("%s: got %d %s, want 400 with %q", query, w.Code, w.Body, name)
		}
		if w.Header().Get("ETag") != "" {
			t.Errorf("%s: a refusal has an ETag", query)
		}
	}
	w := r.get("/api/v1/apps/app/series?from=%zz")
	if w.Code != 200 && w.Code != 400 {
		t.Errorf("a malformed query: got %d", w.Code)
	}
}

func TestETag(t *testing.T) {
	r := newRig(t, nil)
	r.public()
	const path = "/api/v1/apps/app/series?days=7"
	first := r.get(path)
	tag := first.Header().Get("ETag")
	if tag == "" || !strings.Contains(first.Header().Get("Cache-Control"), "no-cache") {
		t.Fatalf("got header %v", first.Header())
	}
	same := r.get(path, "If-None-Match: \"x\", "+tag)
	if same.Code != 304 || same.Body.Len() != 0 {
		t.Errorf("got %d %s, want 304", same.Code, same.Body)
	}
	if w := r.do("GET", path, here, "", "If-None-Match: "+tag); w.Code != 200 {
		t.Errorf("the public: got %d with the maintainer's tag, want an answer of its own", w.Code)
	}
	r.wants(r.beat(here, 1), 200, "ok")
	if w := r.get(path, "If-None-Match: "+tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after a heartbeat: got %d and %s", w.Code, w.Header().Get("ETag"))
	}
}

func TestGzip(t *testing.T) {
	r := newRig(t, nil)
	const path = "/api/openapi.json"
	plain, small := r.get(path), r.get("/api/v1/apps", "Accept-Encoding: gzip")
	for _, w := range []*recorderAlias{plain, small} {
		if w.Code != 200 || w.Header().Get("Content-Encoding") != "" {
			t.Errorf("got %d %v, want 200 and no compression", w.Code, w.Header())
		}
	}
	w := r.get(path, "Accept-Encoding: br, gzip")
	z, err := gzip.NewReader(w.Body)
	if err != nil || w.Header().Get("Content-Encoding") != "gzip" || !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Accept-Encoding") {
		t.Fatalf("got %v, header %v", err, w.Header())
	}
	body, err := io.ReadAll(z)
	if err != nil || string(body) != plain.Body.String() {
		t.Errorf("got %d bytes, %v, want %d", len(body), err, plain.Body.Len())
	}
	if w := r.get(path, "Accept-Encoding: br, gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
		t.Error("an answer is compressed for a client that refuses gzip")
	}
}

// S7: no cell of an export is a formula to a spreadsheet, and every row has as
// many cells as there are columns.
func TestExport(t *testing.T) {
	r := newRig(t, noLimits)
	for n, version := range []string{"=1+1", "+cmd", "-2", "@SUM(A1)", `a"b,c`, "1.0"} {
		text, _ := json.Marshal(version)
		r.wants(r.do("POST", "/v1/heartbeat", here, heartbeat(n, "version", string(text))), 200, "ok")
		r.wants(r.do("POST", "/v1/health", here, health(n, 1)), 200, "ok")
	}
	for _, question := range all {
		name, query, _ := strings.Cut(question, "?")
		w := r.get("/api/v1/apps/app/export?of=" + name + "&" + query)
		if w.Code != 200 || !strings.Contains(w.Header().Get("Content-Disposition"), "app-"+name+".csv") ||
			w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %d %v %s", question, w.Code, w.Header(), w.Body)
			continue
		}
		rows, err := csv.NewReader(w.Body).ReadAll() // which refuses rows of different lengths
		if err != nil {
			t.Errorf("%s: %v", question, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
					t.Errorf("%s: a cell is %q", question, cell)
				}
			}
		}
		lines := r.get("/api/v1/apps/app/export?format=jsonl&of=" + name + "&" + query)
		count := 0
		for decoder := json.NewDecoder(lines.Body); decoder.More(); count++ {
			var row map[string]any
			if err := decoder.Decode(&row); err != nil {
				t.Fatalf("%s: %v", question, err)
			}
			if len(row) != len(rows[0]) {
				t.Errorf("%s: a line has %d names, and the CSV %d", question, len(row), len(rows[0]))
			}
		}
		if count != len(rows)-1 {
			t.Errorf("%s: %d lines of JSON and %d rows of CSV", question, count, len(rows)-1)
		}
	}
	r.wants(r.get("/api/v1/apps/app/export?of=breakdown&dimension=version"), 200, "'=1+1")
	r.wants(r.get("/api/v1/apps/app/export?of=breakdown&dimension=version&format=jsonl"), 200, `"value":"=1+1"`)
}
func TestBadges(t *testing.T) { synctest.Test(t, testBadges) }

func testBadges(t *testing.T) {
	r := newRig(t, noLimits)
	r.public()
	for range 2 {
		for n := range 12 {
			r.wants(r.do("POST", "/v1/heartbeat", here, heartbeat(n, "version", `"<script>&\"'"`)), 200, "ok")
		}
		time.Sleep(24 * time.Hour)
	}
	r.wants(r.do("GET", "/api/v1/apps/app/badge/active.svg", here, ""), 200, "none yet")
	toWindow()
	r.wants(r.do("GET", "/api/v1/apps/app/badge/active.svg", here, ""), 200, "active installations: 1")
	for _, name := range []string{"active.svg", "version.svg"} {
		w := r.do("GET", "/api/v1/apps/app/badge/"+name, here, "")
		if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || w.Header().Get("Content-Security-Policy") == "" ||
			!strings.HasPrefix(w.Header().Get("Cache-Control"), "public, max-age=") || strings.Contains(w.Body.String(), "<script") {
			t.Errorf("%s: got %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		if err := xml.Unmarshal(w.Body.Bytes(), new(struct{})); err != nil {
			t.Errorf("%s: %v in %s", name, err, w.Body)
		}
	}
	r.wants(r.do("GET", "/api/v1/apps/app/badge/version.svg", here, ""), 200, "&lt;script&gt;&amp;")
	r.wants(r.do("GET", "/api/v1/apps/app/badge/other.svg", here, ""), 404, "not_found")
}

func TestInstallations(t *testing.T) {
	r := newRig(t, nil)
	path := "/v1/installations/" + id(1)
	r.wants(r.do("GET", path, here, ""), 404, "not_held")
	r.wants(r.beat(here, 1), 200, "ok")
	w := r.do("GET", path, here, "")
	r.wants(w, 200, `"app":"app"`)
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got header %v, want no-store", w.Header())
	}
	r.wants(r.do("DELETE", path, here, "", "Sec-Fetch-Site: cross-site"), 403, "cross_origin")
	r.wants(r.do("DELETE", path, here, ""), 200, `"deleted":1`)
	r.wants(r.do("DELETE", path, here, ""), 200, `"deleted":0`)
	r.wants(r.do("GET", path, here, ""), 404, "not_held")
	for _, bad := range []string{"x", id(1)[1:], id(1) + "0", "urn:uuid:" + id(1), "%7B" + id(1) + "%7D", strings.ReplaceAll(id(1), "-", "")} {
		r.wants(r.do("DELETE", "/v1/installations/"+bad, here, ""), 400, "UUID")
	}
	limited := 0
	for range 40 {
		if r.do("GET", path, here, "").Code == 429 {
			limited++
		}
	}
	if limited < 20 {
		t.Errorf("%d of 40 requests are refused, want at least 20", limited)
	}
	r.wants(r.do("GET", path, "198.51.100.1:1", ""), 404, "not_held")
}

// An ID of the YA-WAMF format, which need not be a UUID, grants access too.
func TestLegacyInstallations(t *testing.T) {
	r := newRig(t, func(o *server.Options) {
		wire, err := legacy.New(legacy.Options{Collector: o.Collector, Releases: release.New(o.Collector), MayRead: func(*http.Request, string) bool { return false }})
		if err != nil {
			t.Fatal(err)
		}
		o.Legacy = wire
	})
	const path = "/v1/installations/My%20Birds"
	r.wants(r.do("GET", path, here, ""), 400, "UUID")
	r.app.Legacy = true
	if err := r.c.UpdateApp(t.Context(), r.app); err != nil {
		t.Fatal(err)
	}
	r.wants(r.do("GET", path, here, ""), 404, "not_held")
	r.wants(r.do("POST", "/heartbeat", here, `{"installation_id":"My Birds","version":"2.0"}`), 200, "ok")
	r.wants(r.beat(here, 1), 200, "ok")
	r.wants(r.do("GET", path, here, ""), 200, `"version":"2.0"`)
	r.wants(r.do("DELETE", path, here, ""), 200, `"deleted":1`)
	r.wants(r.do("GET", path, here, ""), 404, "not_held")
	r.wants(r.do("GET", "/v1/installations/"+strings.ToUpper(id(1)), here, ""), 200, `"app":"app"`)
}

func TestRequestsAreLimited(t *testing.T) {
	r := newRig(t, nil)
	limited := 0
	for range 3000 {
		if w := r.get("/api/v1/apps/app/floor"); w.Code == 429 {
			r.retry(w.Header(), 1, 5)
			limited++
		}
	}
	if limited == 0 {
		t.Error("none of 3000 requests is refused")
	}
	r.wants(r.beat(here, 1), 200, "ok") // reports have their own limits
}

func TestReady(t *testing.T) { synctest.Test(t, testReady) } // no time passes here

func testReady(t *testing.T) {
	r := newRig(t, nil)
	r.store.Fail(collector.ErrUnavailable)
	if w := r.do("GET", "/readyz", here, ""); w.Code != 503 {
		t.Errorf("got %d, want 503", w.Code)
	}
	r.wants(r.do("GET", "/healthz", here, ""), 200, "")
	other := newRig(t, nil)
	other.wants(other.do("GET", "/readyz", here, ""), 200, "")
	other.store.Fail(errors.New("broken"))
	other.wants(other.do("GET", "/readyz", here, ""), 200, "") // still the cached answer
}

// S11 in docs/failures.md: while the clock is not trusted, reports are
// acknowledged and shown, and whoever looks is told.
func TestClock(t *testing.T) {
	r := newRig(t, nil)
	trusted := func(want string) {
		t.Helper()
		if got := r.metrics(); !strings.Contains(got, "\nrollcall_collector_clock_trusted "+want+"\n") {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	r.wants(r.beat(here, 1), 200, "ok")
	trusted("1")
	r.wants(r.get("/api/v1/apps/app/quality"), 200, `"clock":{"trusted":true,`)
	r.ahead.Store(int64(500 * 24 * time.Hour))
	r.wants(r.beat(here, 1), 200, "ok")
	r.wants(r.beat(here, 2), 200, "ok")
	if got := r.active(); got != 2 {
		t.Errorf("got %d active, want 2", got)
	}
	trusted("0")
	r.wants(r.do("GET", "/readyz", here, ""), 200, "provisionally")
	r.wants(r.get("/api/v1/apps/app/quality"), 200, `"clock":{"trusted":false,`)
	if n := strings.Count(r.logs.String(), "Clock is not plausible"); n != 1 {
		t.Errorf("got %d lines, want one", n)
	}
}

// S16 in docs/failures.md: an ID that is part of an image is shown as shared, and
// can be refused.
func TestSharedID(t *testing.T) {
	r := newRig(t, noLimits)
	r.wants(r.beat(here, 2), 200, "ok")
	for i := range 120 {
		r.wants(r.beat(fmt.Sprintf("198.51.100.%d:1", i%100), 1), 200, "ok")
		r.wants(r.beat(fmt.Sprintf("[2001:db8::%d]:1", i), 2), 200, "ok") // one network
	}
	r.wants(r.get("/api/v1/apps/app/quality"), 200, `"shared":1,"refused_ids":0,`)
	if err := r.c.RefuseID(t.Context(), r.app.Num, id(1)); err != nil {
		t.Fatal(err)
	}
	r.wants(r.beat(here, 1), 403, `"reason":"refused_id"`)
	r.wants(r.get("/api/v1/apps/app/quality"), 200, `"shared":0,"refused_ids":1,`)
	r.wants(r.get("/api/v1/apps/app/quality"), 200, `"refused":{"refused_id":1}`)
}

// A report that was exported counts on the day that it was made, and a live one
// today.
func TestExportedReport(t *testing.T) {
	r := newRig(t, nil)
	r.ahead.Store(int64(-48 * time.Hour)) // a new store trusts any clock
	r.wants(r.beat(here, 1), 200, "ok")
	r.ahead.Store(0)
	if _, _, err := r.c.FixDay(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	made := now.Add(-24 * time.Hour)
	body := heartbeat(1, "sent_at", `"`+made.Format(time.RFC3339)+`"`)
	r.wants(r.do("POST", "/v1/heartbeat?exported=true", here, body), 200, "ok")
	path := "/v1/installations/" + id(1)
	r.wants(r.do("GET", path, here, ""), 200, `"last_seen":"`+made.Format(time.DateOnly)+`"`)
	r.wants(r.do("POST", "/v1/heartbeat", here, body), 200, "ok")
	r.wants(r.do("GET", path, here, ""), 200, `"last_seen":"`+now.Format(time.DateOnly)+`"`)
}

// A legacyPage is a legacy format with one path.
type legacyPage struct{ http.Handler }

func (legacyPage) Paths() []string                   { return []string{"/stats/summary"} }
func (legacyPage) InstallationID(text string) string { return text }

// Pages see the address of the client, not of the proxy, and whether the client
// uses TLS.
func TestPagesSeeTheClient(t *testing.T) {
	var addr, scheme string
	page := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { addr, scheme = r.RemoteAddr, r.URL.Scheme })
	r := newRig(t, func(o *server.Options) { trust(o); o.Dashboard, o.Legacy = page, legacyPage{page} })
	for _, test := range []struct {
		from         string
		header       []string
		addr, scheme string
	}{
		{"127.0.0.1:1", []string{"X-Forwarded-For: 9.9.9.9, 203.0.113.9", "X-Forwarded-Proto: https"}, "203.0.113.9:0", "https"},
		{"127.0.0.1:1", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https, http"}, "203.0.113.9:0", ""},
		{"198.51.100.1:1", []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"}, "198.51.100.1:0", ""},
		{"[2001:db8::1]:1", nil, "[2001:db8::1]:0", ""},
	} {
		for _, path := range []string{"/page", "/stats/summary"} {
			w := r.do("GET", path, test.from, "", test.header...)
			if addr != test.addr || scheme != test.scheme || (w.Header().Get("Strict-Transport-Security") != "") != (scheme == "https") {
				t.Errorf("%s from %s with %v: got %s, %q, %v", path, test.from, test.header, addr, scheme, w.Header())
			}
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	r := newRig(t, nil)
	description := decode[struct {
		OpenAPI string                               `json:"openapi"`
		Paths   map[string]map[string]map[string]any `json:"paths"`
	}](t, r.do("GET", "/api/openapi.json", here, ""))
	if !strings.HasPrefix(description.OpenAPI, "3.1") {
		t.Errorf("got version %q", description.OpenAPI)
	}
	replace := strings.NewReplacer("{app}", "app", "{badge}", "active.svg", "{id}", id(1))
	for path, methods := range description.Paths {
		for method := range methods {
			w := r.do(strings.ToUpper(method), replace.Replace(path), here, "")
			if w.Code == 404 && strings.Contains(w.Body.String(), "no such path") || w.Code == 405 {
				t.Errorf("%s %s is described, and answers %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	r := newRig(b, noLimits)
	bodies := make([]string, 1000)
	for n := range bodies {
		bodies[n] = heartbeat(n)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			r.do("POST", "/v1/heartbeat", here, bodies[n%len(bodies)])
		}
	})
}

// To the admins of an app, a token of another app is nobody.
func TestExportsNameOwnTokens(t *testing.T) {
	var log *audit.Log
	r := newRig(t, func(o *server.Options) {
		log = audit.New(o.Collector, nil)
		o.Audit = log
	})
	r.app.Public = true
	if err := r.c.UpdateApp(t.Context(), r.app); err != nil {
		t.Fatal(err)
	}
	token, err := r.tokens.Add(t.Context(), access.Machine, "of another app", access.Read, "other")
	if err != nil {
		t.Fatal(err)
	}
	r.wants(r.do("GET", "/api/v1/apps/app/export", here, "", "Authorization: Bearer "+token), 200, "day")
	if list, err := log.Entries(t.Context(), ""); err != nil || len(list) != 1 || list[0].Actor != audit.Nobody {
		t.Errorf("got %+v, %v", list, err)
	}
}
