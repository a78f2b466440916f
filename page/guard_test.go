package page_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/page"
)

func TestHeaders(t *testing.T) {
	s := newSite(t, hostConfig)
	want := map[string]string{
		"Cache-Control": "no-store",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
			"frame-ancestors 'none'; base-uri 'none'",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
	types := map[string]string{
		"/": "text/html; charset=utf-8", "/reset": "text/html; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/page.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml", "/nowhere": "text/plain; charset=utf-8",
	}
	for path, contentType := range types {
		for _, host := range []string{address, "evil.example"} {
			header := get(s, path, func(r *http.Request) { r.Host = host }).Header()
			for name, value := range want {
				if got := header.Get(name); got != value {
					t.Errorf("%s from %s: got %s %q, want %q", path, host, name, got, value)
				}
			}
			if got := header.Get("Content-Type"); host == address && got != contentType {
				t.Errorf("%s: got content type %q, want %q", path, got, contentType)
			}
			for name := range header {
				if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
					t.Errorf("%s: got %s", path, name)
				}
			}
		}
	}
	if got, want := do(s, http.MethodPost, "/consent", nil).Header().Get("X-Frame-Options"), "DENY"; got != want {
		t.Errorf("POST: got X-Frame-Options %q, want %q", got, want)
	}
	// The page contains nothing that the policy forbids.
	wantNoText(t, get(s, "/").Body.String(), "<style", " style=", "<script>", " onclick=", "<base", "data:")
}

// A foreign name that resolves to loopback is refused (DNS rebinding).
func TestHosts(t *testing.T) {
	service := newSite(t, hostConfig).service
	plain := page.Handler(service, page.Options{})
	allowing := page.Handler(service, page.Options{AllowHosts: []string{"nas.lan", "192.168.1.5", "[fe80::1]"}})
	checking := page.Handler(service, page.Options{AnyHost: true})
	tests := []struct {
		host                      string
		plain, allowing, checking bool
	}{
		{"localhost", true, true, true}, {"localhost:8946", true, true, true}, {"LocalHost.:80", true, true, true},
		{"127.0.0.1:8946", true, true, true}, {"127.8.9.1", true, true, true}, {"[::1]:8946", true, true, true}, {"[::1]", true, true, true},
		{"[::ffff:127.0.0.1]:80", true, true, true},
		{"nas.lan:8946", false, true, true}, {"NAS.lan", false, true, true}, {"192.168.1.5:8946", false, true, true}, {"[FE80::1]:80", false, true, true},
		{"evil.example", false, false, true}, {"127.0.0.1.evil.example", false, false, true}, {"localhost.evil.example:8946", false, false, true},
		{"192.168.1.6", false, false, true}, {"0.0.0.0:8946", false, false, true}, {"", false, false, true}, {"nas.lan.evil.example", false, false, true},
	}
	for _, tt := range tests {
		for name, h := range map[string]struct {
			http.Handler
			ok bool
		}{"plain": {plain, tt.plain}, "allowing": {allowing, tt.allowing}, "checking": {checking, tt.checking}} {
			w := get(h, "/", func(r *http.Request) { r.Host = tt.host })
			want := http.StatusMisdirectedRequest
			if h.ok {
				want = http.StatusOK
			}
			if w.Code != want {
				t.Errorf("%s, Host %q: got %d, want %d", name, tt.host, w.Code, want)
			}
			if !h.ok {
				wantNoText(t, w.Body.String(), knownID)
			}
		}
	}
}

// Requests that another origin caused read nothing and change nothing.
func TestForeign(t *testing.T) {
	s := newSite(t, hostConfig)
	foreign := map[string]func(*http.Request){
		"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
	}
	foreignForm := maps.Clone(foreign)
	foreignForm["old browser"] = func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "https://evil.example")
	}
	foreignForm["no origin"] = func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "null")
	}
	for name, change := range foreign {
		for _, path := range []string{"/", "/reset", "/style.css", "/page.js"} {
			w := get(s, path, change)
			if w.Code != http.StatusForbidden {
				t.Errorf("GET %s, %s: got %d, want 403", path, name, w.Code)
			}
			wantNoText(t, w.Body.String(), knownID)
		}
		// A link leads to a page that explains this, with a link to the page.
		w := get(s, "/", change, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") })
		if w.Code != http.StatusForbidden {
			t.Errorf("link, %s: got %d, want 403", name, w.Code)
		}
		wantText(t, w.Body.String(), "Opened from another site", `href="./"`)
		wantNoText(t, w.Body.String(), knownID, "<form")
	}
	form := url.Values{"decision": {"grant"}, "id": {"0b9d6f1e..."}}
	for name, change := range foreignForm {
		for _, path := range []string{"/consent", "/health-consent", "/reset", "/forget", "/send"} {
			if w := do(s, http.MethodPost, path, form, change); w.Code != http.StatusForbidden {
				t.Errorf("POST %s, %s: got %d, want 403", path, name, w.Code)
			}
		}
	}
	s.wantConfig(hostConfig)
}

// The operator's own requests work: typed, bookmarked, reloaded, by a program,
// and over plain HTTP, where browsers send fewer headers.
func TestOwn(t *testing.T) {
	s := newSite(t, hostConfig)
	own := map[string]func(*http.Request){
		"same origin": func(*http.Request) {},
		"typed":       func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"program": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Del("Origin")
		},
		"plain HTTP": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if got := get(s, "/", own[name]).Code; got != http.StatusOK {
			t.Errorf("GET, %s: got %d, want 200", name, got)
		}
		if got := do(s, http.MethodPost, "/consent", url.Values{"decision": {"deny"}}, own[name]).Code; got != http.StatusSeeOther {
			t.Errorf("POST, %s: got %d, want 303", name, got)
		}
	}
}
