package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// Of unfinished requests, only so many are read, and others from elsewhere are.
func TestUnfinishedAreBounded(t *testing.T) {
	r := newRig(t, noLimits)
	over := make(chan struct{})
	var waiting, done sync.WaitGroup
	for range 256 {
		waiting.Add(1)
		done.Go(func() {
			request := httptest.NewRequest("POST", "/v1/heartbeat", &stalled{started: waiting.Done, over: over})
			request.RemoteAddr = here
			r.h.ServeHTTP(httptest.NewRecorder(), request)
		})
	}
	waiting.Wait()
	w := r.do("POST", "/v1/heartbeat", here, "unread")
	r.wants(w, 429, "rate_limited")
	if w.Header().Get("Retry-After") == "" || w.Header().Get("Connection") != "close" {
		t.Errorf("got headers %v", w.Header())
	}
	r.wants(r.do("GET", "/healthz", here, ""), 200, "ok")
	r.wants(r.beat("198.51.100.1:1", 1), 200, "ok")
	close(over)
	done.Wait()
	r.wants(r.beat(here, 1), 200, "ok")
	if n := strings.Count(r.logs.String(), "Refusing what is too much"); n != 1 {
		t.Errorf("got %d warnings: %s", n, r.logs)
	}
}

// A stalled body says when it is read, and ends when told to.
type stalled struct {
	once    sync.Once
	started func()
	over    <-chan struct{}
}

func (s *stalled) Read([]byte) (int, error) {
	s.once.Do(s.started)
	<-s.over
	return 0, io.ErrUnexpectedEOF
}

// Wrong requests have a limit. After it, the server reads nothing of further ones.
// Those of forged installations are not wrong: they have limits of their own.
func TestWrongRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes here
		r := newRig(t, noLimits)
		wrong := func(from string) int { return r.do("POST", "/v1/heartbeat", from, "{").Code }
		n := 0
		for wrong(here) == 400 {
			if n++; n > 5000 {
				t.Fatal("no limit")
			}
		}
		if n < 1000 {
			t.Errorf("got %d wrong requests, want 1000 at least", n)
		}
		r.wants(r.do("GET", "/nonsense", here, ""), 429, "rate_limited")
		if got := wrong("198.51.100.1:1"); got != 400 {
			t.Errorf("from elsewhere: got %d", got)
		}
	})
}

// Probes are answered whatever else comes from their address, such as through
// a proxy on the same machine.
func TestProbesHaveNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes here
		r := newRig(t, noLimits)
		n := 0
		for r.do("GET", "/api/v1/apps", here, "").Code == 200 {
			if n++; n > 5000 {
				t.Fatal("no limit")
			}
		}
		r.wants(r.do("GET", "/healthz", here, ""), 200, "ok")
		r.wants(r.do("GET", "/readyz", here, ""), 200, "ready")
	})
}

// A collector behind a proxy that was not named says so once.
func TestProxyHint(t *testing.T) {
	r := newRig(t, func(o *server.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	for i := range 3 {
		for _, from := range []string{"127.0.0.1:1", "192.0.2.1:1", "192.0.2.2:1"} {
			request := httptest.NewRequest("GET", "/healthz2", nil)
			request.RemoteAddr = from
			request.Header.Set("X-Forwarded-For", fmt.Sprint("203.0.113.", i))
			r.h.ServeHTTP(httptest.NewRecorder(), request)
			if got, want := strings.Count(r.logs.String(), "--trusted-proxy"), 1; from != "127.0.0.1:1" && got != want {
				t.Errorf("%d, %s: got %d warnings, want %d", i, from, got, want)
			}
		}
	}
	if strings.Contains(r.logs.String(), "192.0.2") || strings.Contains(r.logs.String(), "203.0.113") {
		t.Errorf("the log has an address: %s", r.logs)
	}
}

// Proxies write addresses of IPv6 with and without brackets and ports.
func TestForwardedBrackets(t *testing.T) {
	for _, text := range []string{"2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:4711"} {
		var got string
		r := newRig(t, func(o *server.Options) {
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			o.Dashboard = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })
		})
		request := httptest.NewRequest("GET", "/", nil)
		request.RemoteAddr = "127.0.0.1:1"
		request.Header.Set("X-Forwarded-For", text)
		r.h.ServeHTTP(httptest.NewRecorder(), request)
		if want := "[2001:db8::1]:0"; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
