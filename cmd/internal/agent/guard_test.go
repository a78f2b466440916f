package agent_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
)

func TestHostHeader(t *testing.T) {
	tests := []struct {
		listen  string
		allow   []string
		good    []string
		refused []string
	}{
		{
			listen: "127.0.0.1:8946",
			good: []string{
				"127.0.0.1:8946", "127.0.0.1", "127.0.0.1:1", "127.8.9.10:8946", "localhost:8946", "LocalHost", "localhost.:8946",
				"[::1]:8946", "[::1]", "[::ffff:127.0.0.1]:8946",
			},
			refused: []string{
				"", "evil.example", "evil.example:8946", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost",
				"192.168.1.5:8946", "[2001:db8::1]:8946", "0.0.0.0:8946", "127.1:8946", "2130706433", "127.0.0.1@evil.example",
				"rollcall:8946", "[::1]evil.example",
			},
		},
		{
			listen:  "127.0.0.1:8946",
			allow:   []string{"Rollcall", "agent.internal."},
			good:    []string{"rollcall:8946", "ROLLCALL", "agent.internal", "127.0.0.1"},
			refused: []string{"rollcall.evil.example", "internal"},
		},
		{
			listen:  "192.168.1.5:8946",
			good:    []string{"192.168.1.5:8946", "127.0.0.1:8946", "localhost"},
			refused: []string{"192.168.1.6:8946", "evil.example"},
		},
		{
			listen:  "agent.internal:8946",
			good:    []string{"agent.internal:8946", "127.0.0.1"},
			refused: []string{"192.168.1.5:8946", "evil.internal"},
		},
		{
			listen:  "0.0.0.0:8946",
			good:    []string{"192.168.1.5:8946", "10.0.0.1", "[2001:db8::1]:8946", "localhost:8946"},
			refused: []string{"evil.example:8946", "rollcall"},
		},
		{
			listen:  ":8946",
			good:    []string{"192.168.1.5:8946"},
			refused: []string{"evil.example:8946", ""},
		},
		{
			listen:  "[::]:8946",
			good:    []string{"[2001:db8::1]:8946", "192.168.1.5"},
			refused: []string{"evil.example:8946"},
		},
	}
	for _, tt := range tests {
		h := newHandler(t, newFakeService(), agent.Options{Listen: []string{tt.listen}, AllowHosts: tt.allow})
		code := func(host string) int {
			return get(h, "/healthz", func(r *http.Request) { r.Host = host }).Code
		}
		for _, host := range tt.good {
			if got := code(host); got != http.StatusOK {
				t.Errorf("listening on %s: got %d for host %q, want 200", tt.listen, got, host)
			}
		}
		for _, host := range tt.refused {
			if got := code(host); got != http.StatusMisdirectedRequest {
				t.Errorf("listening on %s: got %d for host %q, want 421", tt.listen, got, host)
			}
		}
	}
}

func TestCrossSite(t *testing.T) {
	h := newHandler(t, newFakeService(), agent.Options{})
	tests := []struct {
		method, header, value string
		code                  int
	}{
		{http.MethodGet, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{http.MethodGet, "Sec-Fetch-Site", "same-site", http.StatusForbidden},
		{http.MethodHead, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{http.MethodGet, "Sec-Fetch-Site", "same-origin", http.StatusOK},
		{http.MethodGet, "Sec-Fetch-Site", "none", http.StatusOK}, // typed by the operator
		{http.MethodGet, "Accept", "*/*", http.StatusOK},          // not a browser
		{http.MethodPost, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		{http.MethodPost, "Origin", "https://evil.example", http.StatusForbidden},
		{http.MethodPost, "Origin", "null", http.StatusForbidden},
		{http.MethodPost, "Accept", "*/*", http.StatusMethodNotAllowed},
		{http.MethodOptions, "Sec-Fetch-Site", "cross-site", http.StatusForbidden},
	}
	for _, tt := range tests {
		w := get(h, "/healthz", func(r *http.Request) {
			r.Method = tt.method
			r.Header.Set(tt.header, tt.value)
		})
		if w.Code != tt.code {
			t.Errorf("%s with %s: %s: got %d, want %d", tt.method, tt.header, tt.value, w.Code, tt.code)
		}
		decode(t, w)
	}
}

func TestListenAddress(t *testing.T) {
	for _, address := range []string{"foo", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1", "127.0.0.1:"} {
		if _, err := agent.New(newFakeService(), agent.Options{Listen: []string{address}}); !errors.Is(err, listen.ErrAddress) {
			t.Errorf("got %v for %q, want ErrAddress", err, address)
		}
	}
}
