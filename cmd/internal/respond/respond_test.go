package respond_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

func request(name string, values ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, value := range values {
		r.Header.Add(name, value)
	}
	return r
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "GZIP": true, "x-gzip": true, "br, gzip": true, "br,gzip;q=0.5": true, "gzip;q=1.000": true,
		"gzip ; q=0.001": true, "gzip;Q=1": true, "*": true, "*;q=0.1": true, "identity;q=0, *": true, "br;q=1, *;q=0.5": true,
		"": false, "identity": false, "br": false, "deflate, br": false, "gzipped": false,
		"gzip;q=0": false, "gzip; q=0.000": false, "gzip;Q=0": false, "br, gzip;q=0": false, "*;q=0": false,
		"gzip;q=0, *": false, "*, gzip;q=0": false, "gzip;q=": false, "gzip;q=-1": false, "gzip;q=2": false, "gzip;q=NaN": false,
	} {
		if got := respond.AcceptsGzip(request("Accept-Encoding", header)); got != want {
			t.Errorf("Accept-Encoding %q: got %v, want %v", header, got, want)
		}
	}
	if respond.AcceptsGzip(request("Accept-Encoding")) {
		t.Error("a client that names no coding gets gzip")
	}
	if !respond.AcceptsGzip(request("Accept-Encoding", "br", "gzip")) {
		t.Error("the second line of the header is not read")
	}
}

func TestBody(t *testing.T) {
	large := strings.Repeat("figures ", 1000)
	for _, tt := range []struct {
		name, body, encoding string
		compressed           bool
	}{
		{"large", large, "gzip", true},
		{"refused", large, "gzip;q=0", false},
		{"small", "figures", "gzip", false},
		{"1399 bytes", large[:1399], "gzip", false},
		{"1400 bytes", large[:1400], "gzip", true},
		{"identity", large, "identity", false},
	} {
		w := httptest.NewRecorder()
		respond.Body(w, request("Accept-Encoding", tt.encoding), []byte(tt.body))
		if got := w.Header().Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%s: got Vary %q", tt.name, got)
		}
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.compressed {
			t.Errorf("%s: compressed is %v, want %v", tt.name, got, tt.compressed)
		}
		if got := unpack(t, w); got != tt.body {
			t.Errorf("%s: got %d bytes, want %d", tt.name, len(got), len(tt.body))
		}
	}
}

func unpack(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var body io.Reader = w.Body
	if w.Header().Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestPacked(t *testing.T) {
	large := strings.Repeat("figures ", 1000)
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Cookie, Accept-Encoding")
	respond.Packed(w, request("Accept-Encoding", "gzip"), []byte(large), respond.Gzip([]byte("packed before")))
	if got := unpack(t, w); got != "packed before" {
		t.Errorf("got %q, want what was packed before", got)
	}
	if got := w.Header().Values("Vary"); len(got) != 1 || got[0] != "Cookie, Accept-Encoding" {
		t.Errorf("got Vary %q, want it unchanged", got)
	}
}

func TestUnchanged(t *testing.T) {
	for header, want := range map[string]bool{
		`W/"tag"`: true, `"tag"`: true, `"x", W/"tag"`: true, "*": true, ` W/"tag" `: true,
		"": false, `W/"other"`: false, "tag": false, `W/"tag2"`: false, `W/"ta"`: false,
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Security-Policy", "of pages")
		if got := respond.Unchanged(w, request("If-None-Match", header), "tag"); got != want {
			t.Errorf("If-None-Match %q: got %v, want %v", header, got, want)
		}
		if got := w.Header().Get("Content-Security-Policy") == ""; got != want {
			t.Errorf("If-None-Match %q: the answer replaces the policy of the one that is kept: %v", header, !got)
		}
		if got := w.Code == http.StatusNotModified; got != want {
			t.Errorf("If-None-Match %q: got status %d", header, w.Code)
		}
		for name, value := range map[string]string{
			"ETag": `W/"tag"`, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie, Accept-Encoding",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("got %s %q, want %q", name, got, value)
			}
		}
	}
}

func TestUnchangedForAll(t *testing.T) {
	for header, want := range map[string]bool{`W/"tag"`: true, `W/"other"`: false} {
		w := httptest.NewRecorder()
		if got := respond.UnchangedForAll(w, request("If-None-Match", header), "tag", 30*time.Minute); got != want {
			t.Errorf("If-None-Match %q: got %v, want %v", header, got, want)
		}
		for name, value := range map[string]string{
			"ETag": `W/"tag"`, "Cache-Control": "public, max-age=1800", "Vary": "Accept-Encoding",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("got %s %q, want %q", name, got, value)
			}
		}
	}
}
