package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

func TestParseBaseURL(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "https://stats.example": "https://stats.example", "https://stats.example/": "https://stats.example",
		"http://stats.example:8080/telemetry/": "http://stats.example:8080/telemetry", "https://a.example/b/c": "https://a.example/b/c",
	} {
		if got, err := server.ParseBaseURL(text); err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"stats.example", "/telemetry", "ftp://stats.example", "https://", "https://me@stats.example", "https://stats.example?a=b",
		"https://stats.example/#a", "https://stats.example/a/../b", "https://stats.example/a//b", "https://stats.example/a%2fb", "%",
	} {
		if got, err := server.ParseBaseURL(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

// Pages answer under their own names only, and everything else under any.
func TestNames(t *testing.T) {
	base, err := server.ParseBaseURL("https://stats.example/telemetry")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *server.Options) {
		o.BaseURL, o.TrustedProxies = base, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		o.Dashboard = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("page " + r.URL.Path)) })
	})
	get := func(path, host string, header ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest("GET", path, nil)
		request.Host = host
		for i := 0; i+1 < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, request)
		return w
	}
	for _, host := range []string{"stats.example", "STATS.example:443", "localhost:8947", "127.0.0.1", "192.0.2.9:80", "[2001:db8::1]"} {
		if w := get("/a", host); w.Code != 200 || w.Body.String() != "page /a" {
			t.Errorf("%s: got %d %s", host, w.Code, w.Body)
		}
	}
	for _, host := range []string{"evil.example", "stats.example.evil.example", ""} {
		if w := get("/a", host); w.Code != http.StatusMisdirectedRequest || !strings.Contains(w.Body.String(), "--base-url") {
			t.Errorf("%s: got %d %s", host, w.Code, w.Body)
		}
		for _, path := range []string{"/healthz", "/api/v1/apps", "/telemetry/healthz"} {
			if w := get(path, host); w.Code != 200 {
				t.Errorf("%s at %s: got %d", path, host, w.Code)
			}
		}
	}
	// Other sites have no certificate for their name at this address.
	if w := get("/a", "other.example", "X-Forwarded-Proto", "https"); w.Code != 200 {
		t.Errorf("over TLS: got %d", w.Code)
	}
	for path, want := range map[string]string{"/telemetry/a/b": "page /a/b", "/telemetry/": "page /", "/telemetrya": "page /telemetrya"} {
		if w := get(path, "stats.example"); w.Body.String() != want {
			t.Errorf("%s: got %q, want %q", path, w.Body, want)
		}
	}
	// Redirects to a clean path stay below it, also if a proxy removed it.
	for path, want := range map[string]string{
		"/telemetry/a//b?c=d": "/telemetry/a/b?c=d", "/telemetry//": "/telemetry/", "/telemetry/a/../b/": "/telemetry/b/", "//evil.example/": "/telemetry/evil.example/",
		"/telemetry//evil.example/..": "/telemetry", "/x/../telemetry/a": "/telemetry/a",
	} {
		if w := get(path, "stats.example"); w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != want {
			t.Errorf("%s: got %d to %s, want %s", path, w.Code, w.Header().Get("Location"), want)
		}
	}
	if w := get("/telemetry", "stats.example"); w.Code != http.StatusPermanentRedirect || w.Header().Get("Location") != "/telemetry/" {
		t.Errorf("without a slash: got %d to %s", w.Code, w.Header().Get("Location"))
	}
}
