package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/report"
)

// Only a token with the scope publishes releases, and it can do nothing else.
func TestPublish(t *testing.T) {
	var releases *release.Store
	r := newRig(t, func(o *server.Options) {
		releases = release.New(o.Collector)
		o.Releases = releases
	})
	ci, err := r.tokens.Add(t.Context(), access.Machine, "ci", access.Release, "app")
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path, token, body string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, req)
		return w
	}
	const path = "/api/v1/apps/app/releases"
	const good = `{"channel":"dev","version":"v2.0","commit":"0123abc","url":"https://example.com/","date":"2026-05-06","severity":"security"}`
	for _, tt := range []struct {
		what, path, token, body string
		status                  int
	}{
		{"nobody", path, "", good, 401},
		{"a reader", path, r.token, good, 401},
		{"another app", "/api/v1/apps/other/releases", ci, good, 401},
		{"no JSON", path, ci, `{`, 400},
		{"an unknown field", path, ci, `{"channel":"dev","version":"1","notes":"x"}`, 400},
		{"an invalid channel", path, ci, `{"channel":"","version":"1"}`, 400},
		{"too much", path, ci, `{"channel":"` + strings.Repeat("x", 5000) + `"}`, 400},
		{"a release", path, ci, good, 200},
	} {
		if w := do("POST", tt.path, tt.token, tt.body); w.Code != tt.status {
			t.Errorf("%s: got %d %s, want %d", tt.what, w.Code, w.Body, tt.status)
		}
	}
	if w := do("POST", path, ci, good, "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusForbidden {
		t.Errorf("from a page of another site: got %d", w.Code)
	}
	if w := do("GET", "/api/v1/apps/app/series", ci, ""); w.Code != 401 {
		t.Errorf("reading with the token: got %d", w.Code)
	}
	channels, err := releases.Channels(t.Context(), r.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := channels.Current("dev")
	if got.Version != "2.0" || got.Commit != "0123abc" || got.URL != "https://example.com/" || got.Date.String() != "2026-05-06" || got.Severity != release.Security {
		t.Errorf("got %+v", got)
	}
}

// Anyone may ask which releases there are, and caches may keep the answer.
func TestReleased(t *testing.T) {
	var releases *release.Store
	r := newRig(t, func(o *server.Options) {
		releases = release.New(o.Collector)
		o.Releases = releases
	})
	get := func(path string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, req)
		return w
	}
	const path = "/v1/releases/app"
	if w := get(path); w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"releases":[]}` {
		t.Errorf("before any release: got %d %s", w.Code, w.Body)
	}
	for channel, versions := range map[string][]string{"stable": {"1.0", "1.1", "0.9"}, "dev": {"2.0"}} {
		for _, version := range versions {
			one := release.Release{Version: version, URL: "https://example.com/" + version, Severity: release.Security}
			one.Date, _ = collector.ParseDay("2026-05-06")
			if err := releases.Set(t.Context(), r.app.Num, channel, one); err != nil {
				t.Fatal(err)
			}
		}
	}
	item := func(channel, version string) string {
		return `{"channel":"` + channel + `","version":"` + version + `","url":"https://example.com/` + version + `","date":"2026-05-06","severity":"security"}`
	}
	stable := `{"releases":[` + item("stable", "0.9") + "," + item("stable", "1.1") + "," + item("stable", "1.0") + `]}` // as set, not by version
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{path, 200, stable},
		{path + "?channel=stable", 200, stable},
		{path + "?channel=dev", 200, `{"releases":[` + item("dev", "2.0") + `]}`},
		{path + "?channel=none", 200, `{"releases":[]}`},
		{path + "?channel=%00%ff", 200, `{"releases":[]}`},
		{path + "?chanel=dev", 400, ""},
		{path + "?channel=dev&channel=stable", 400, ""},
		{"/v1/releases/other", 404, ""},
		{"/v1/releases/", 404, ""},
	} {
		w := get(tt.path)
		if w.Code != tt.status || tt.body != "" && strings.TrimSpace(w.Body.String()) != tt.body {
			t.Errorf("%s: got %d %s, want %d %s", tt.path, w.Code, w.Body, tt.status, tt.body)
		}
		if cached := w.Header().Get("Cache-Control") == "public, max-age=1800"; cached != (tt.status == 200) {
			t.Errorf("%s: got Cache-Control %q", tt.path, w.Header().Get("Cache-Control"))
		}
	}
	tag := get(path).Header().Get("ETag")
	if w := get(path, "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("with the current ETag %s: got %d %s", tag, w.Code, w.Body)
	}
	if err := releases.Remove(t.Context(), r.app.Num, "stable", "0.9"); err != nil {
		t.Fatal(err)
	}
	if w := get(path, "If-None-Match", tag); w.Code != 200 || strings.Contains(w.Body.String(), `"0.9"`) {
		t.Errorf("after a change: got %d %s", w.Code, w.Body)
	}
	// A full channel with the longest of everything fits into what a client reads.
	channel := strings.Repeat("c", 64)
	for i := range release.MaxReleases {
		one := release.Release{Version: fmt.Sprintf("1.0.%d-%s", 100+i, strings.Repeat("x", report.MaxVersionLen-8)),
			Commit: strings.Repeat("f", 64), Severity: release.Recommended}
		one.URL = "https://h/?" + strings.Repeat("\"\xff&<", (release.MaxURLLen-11)/4)
		if err := releases.Set(t.Context(), r.app.Num, channel, one); err != nil {
			t.Fatal(err)
		}
	}
	w := get(path + "?channel=" + channel)
	if n := w.Body.Len(); strings.Count(w.Body.String(), `"url"`) != release.MaxReleases || n > 64<<10 {
		t.Errorf("a full channel: got %d bytes", n)
	} else {
		t.Logf("A full channel has %d bytes", n)
	}
}

// The example of the protocol is an answer that the collector can give.
func TestReleasesExample(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Releases\n")
	_, rest, _ := strings.Cut(section, "```json\n")
	example, _, _ := strings.Cut(rest, "```")
	var list server.ReleaseList
	decoder := json.NewDecoder(strings.NewReader(example))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil || len(list.Releases) == 0 {
		t.Fatalf("%v in %s", err, example)
	}
	for _, one := range list.Releases {
		if err := one.Validate(one.Channel); err != nil || one.Date == 0 {
			t.Errorf("%+v: %v", one, err)
		}
	}
	if want := fmt.Sprintf("at most %d in 64 KiB", release.MaxReleases); !strings.Contains(strings.Join(strings.Fields(section), " "), want) {
		t.Errorf("the section does not say %q", want)
	}
	if want := fmt.Sprintf("for %d minutes", release.MaxAge/time.Minute); !strings.Contains(section, want) {
		t.Errorf("the section does not say %q", want)
	}
}
