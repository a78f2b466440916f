package server_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// fleet loads an app with installations that report each day, 70 of 1.0, 20 of
// 1.1, and 3 of another version, and one that reports once.
func (r *rig) fleet(app collector.App, days int) {
	r.t.Helper()
	l, err := r.c.Load(r.t.Context(), app.Num)
	today := collector.DayOf(time.Now())
	for day := today - collector.Day(days) + 1; day <= today && err == nil; day++ {
		if err = l.Day(r.t.Context(), day); err != nil {
			break
		}
		for i := range 94 {
			version := "1.0"
			switch {
			case i >= 90:
				version = "9.9-secret"
			case i >= 70:
				version = "1.1"
			}
			if i == 93 && day != today-40 || err != nil {
				continue
			}
			err = l.Heartbeat(r.t.Context(), collector.Received{Heartbeat: report.Heartbeat{
				Schema: 1, App: app.Key, InstallationID: fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i), IDPersistence: report.Persisted,
				SentAt: day.Time(), Version: version, Platform: report.Platform{System: "linux"},
			}})
		}
	}
	if err == nil {
		err = l.Close(r.t.Context())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Pictures show what the public page shows, to any site, and may be cached.
func TestPictures(t *testing.T) {
	r := newRig(t, nil)
	get := func(path string, want int, header ...string) *httptest.ResponseRecorder {
		t.Helper()
		w := r.do("GET", "/api/v1/apps/app/"+path, here, "", header...)
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, want)
		}
		return w
	}
	for _, path := range []string{"chart/active.svg", "chart/version.svg", "card.png"} {
		get(path, 404)
		if w := r.get("/api/v1/apps/app/" + path); w.Code != 404 { // a README has no token
			t.Errorf("%s with a token: got %d", path, w.Code)
		}
	}
	app := r.app
	app.Public, app.Name = true, "My <App>"
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	if body := get("chart/active.svg", 200).Body.String(); !strings.Contains(body, "none yet") || !strings.Contains(body, "First figures on ") {
		t.Errorf("before the first window: got %s", body)
	}
	if body := get("chart/version.svg", 200).Body.String(); !strings.Contains(body, "none yet") || strings.Contains(body, "0001") {
		t.Errorf("before the first window: got %s", body)
	}
	r.fleet(app, 120)
	for path, parts := range map[string][]string{
		"chart/active.svg":                      {"My &lt;App&gt;", "28 days to ", `width="640"`, "prefers-color-scheme"},
		"chart/version.svg":                     {"1.0", "1.1", "%"},
		"chart/system.svg":                      {"linux", "Operating systems"},
		"chart/active.svg?theme=dark&width=800": {`width="800"`, "#62b6dc"},
		"chart/version.svg?height=300":          {`height="300"`},
	} {
		w := get(path, 200)
		body := w.Body.String()
		for _, part := range parts {
			if !strings.Contains(body, part) {
				t.Errorf("%s lacks %q: %s", path, part, body)
			}
		}
		if strings.Contains(body, "secret") || strings.Contains(body, ">93<") || strings.Contains(body, ">94<") || strings.Contains(body, "<script") {
			t.Errorf("%s shows what is hidden: %s", path, body)
		}
		h := w.Header()
		if h.Get("Content-Type") != "image/svg+xml" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "public, max-age=3600" ||
			h.Get("Cross-Origin-Resource-Policy") != "cross-origin" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: got %v", path, h)
		}
		if again := get(path, 304, "If-None-Match: "+h.Get("ETag")); again.Body.Len() > 0 {
			t.Errorf("%s: 304 with a body", path)
		}
	}
	for _, path := range []string{"chart/secret.svg", "chart/active.png", "chart/active", "chart/.svg", "chart/fact.x.svg"} {
		get(path, 404)
	}
	for _, path := range []string{
		"chart/active.svg?theme=pink", "chart/active.svg?width=239", "chart/active.svg?width=1601", "chart/active.svg?height=119",
		"chart/active.svg?height=901", "chart/active.svg?width=x", "chart/active.svg?to=2020-01-01", "card.png?theme=dark",
	} {
		get(path, 400)
	}
	for range 2 {
		w := get("card.png", 200)
		config, err := png.DecodeConfig(bytes.NewReader(w.Body.Bytes()))
		if err != nil || config.Width != 1200 || config.Height != 630 || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("ETag") == "" {
			t.Errorf("card: got %v, %v, %v", config, w.Header(), err)
		}
	}
	if w := get("badge/active.svg", 200); w.Header().Get("ETag") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("badge: got %v", w.Header())
	}
}

// The feed of a public app has what its page shows of each window.
func TestPublicFeed(t *testing.T) {
	r := newRig(t, nil)
	app := r.app
	app.Public = true
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/apps/app/feed.atom"
	if f := parseFeed(t, r.do("GET", path, here, "")); len(f.Entries) != 0 {
		t.Errorf("before the first window: got %+v", f)
	}
	r.fleet(app, 120)
	w := r.do("GET", path, here, "")
	if w.Header().Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("got %v", w.Header())
	}
	body := w.Body.String()
	f := parseFeed(t, w)
	if len(f.Entries) < 3 || !strings.Contains(f.Entries[0].Title, "installations were active in the 28 days to ") || !strings.Contains(f.Entries[0].Title, "most used version: 1.0") ||
		strings.Contains(body, "secret") || strings.Contains(body, " 93 ") {
		t.Errorf("got %s", body)
	}
	if w := r.do("GET", path, here, "", "If-None-Match: "+w.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("unchanged: got %d", w.Code)
	}
}
