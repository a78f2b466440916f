package agent_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
)

const testListen = "127.0.0.1:8946"

// fakeService is a service with a status that the test sets.
type fakeService struct {
	agent.Service // panics when asked for anything else

	mu      sync.Mutex
	status  rollcall.Status
	settled chan struct{}
	asked   int // calls of Settled

	// start and stop, if not nil, are called by Start and Stop.
	start, stop func(context.Context) error
	// decide, if not nil, is called by Decisions.
	decide func(context.Context)
	// load, if not nil, is called by LoadHostValues.
	load    func() ([]byte, error)
	version string // set last
}

func newFakeService() *fakeService { return &fakeService{settled: make(chan struct{})} }

func (s *fakeService) Start(ctx context.Context) error {
	if s.start == nil {
		return nil
	}
	return s.start(ctx)
}

func (s *fakeService) Stop(ctx context.Context) error {
	if s.stop == nil {
		return nil
	}
	return s.stop(ctx)
}

func (s *fakeService) LoadHostValues(context.Context) ([]byte, error) {
	if s.load == nil {
		return nil, nil
	}
	return s.load()
}

func (s *fakeService) SetVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

func (s *fakeService) Settled() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.settled
}

func (s *fakeService) Status() rollcall.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *fakeService) Decisions(ctx context.Context) (d rollcall.Decisions) {
	if s.decide != nil {
		s.decide(ctx)
	}
	return d
}

// settle settles the ID, or the lack of one.
func (s *fakeService) settle(change func(*rollcall.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Settled = true
	change(&s.status)
	close(s.settled)
}

func newHandler(t *testing.T, service agent.Service, opts agent.Options) http.Handler {
	t.Helper()
	if opts.Listen == nil {
		opts.Listen = []string{testListen}
	}
	a, err := agent.New(service, opts)
	if err != nil {
		t.Fatal(err)
	}
	return a.Handler()
}

// get makes a request as a program on this machine would, after the given
// changes.
func get(h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = testListen
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	if got, want := w.Header().Get("Content-Type"), "application/json; charset=utf-8"; got != want {
		t.Errorf("got content type %q, want %q", got, want)
	}
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %q", err, w.Body)
	}
	return body
}

func TestInstallation(t *testing.T) {
	id := installid.New()
	tests := []struct {
		name   string
		settle func(*rollcall.Status)
		code   int
		retry  string
		body   map[string]any
	}{
		{
			name: "persisted", code: http.StatusOK,
			settle: func(st *rollcall.Status) { st.ID, st.Persisted = id, true },
			body:   map[string]any{"installation_id": id.String(), "persisted": true, "settled": true, "provisional": false},
		},
		{
			name: "provisional", code: http.StatusOK,
			settle: func(st *rollcall.Status) { st.ID, st.Provisional = id, true },
			body:   map[string]any{"installation_id": id.String(), "persisted": false, "settled": true, "provisional": true},
		},
		{
			name: "none before consent", code: http.StatusServiceUnavailable, retry: "60",
			settle: func(st *rollcall.Status) { st.Reason = "not yet" },
			body:   map[string]any{"error": "there is no installation ID: not yet", "settled": true},
		},
		{
			name: "not settled", code: http.StatusServiceUnavailable, retry: "1",
			body: map[string]any{"error": "the installation ID is not settled yet", "settled": false},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			service := newFakeService()
			if tt.settle != nil {
				service.settle(tt.settle)
			}
			w := get(newHandler(t, service, agent.Options{}), agent.PathInstallation)
			if w.Code != tt.code {
				t.Errorf("got code %d, want %d", w.Code, tt.code)
			}
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("got Retry-After %q, want %q", got, tt.retry)
			}
			if got := decode(t, w); !maps.Equal(got, tt.body) {
				t.Errorf("got %v, want %v", got, tt.body)
			}
		})
	}
}

func TestWait(t *testing.T) {
	tests := []struct {
		name, query string
		settleAfter time.Duration
		code        int
		took        time.Duration
	}{
		{"settled while waiting", "?wait=5s", 2 * time.Second, http.StatusOK, 2 * time.Second},
		{"not settled in time", "?wait=5s", time.Minute, http.StatusServiceUnavailable, 5 * time.Second},
		{"longest", "?wait=30s", time.Minute, http.StatusServiceUnavailable, 30 * time.Second},
		{"no wait", "", time.Minute, http.StatusServiceUnavailable, 0},
		{"zero", "?wait=0s", time.Minute, http.StatusServiceUnavailable, 0},
		{"too long", "?wait=31s", time.Minute, http.StatusBadRequest, 0},
		{"negative", "?wait=-1s", time.Minute, http.StatusBadRequest, 0},
		{"not a duration", "?wait=soon", time.Minute, http.StatusBadRequest, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := newFakeService()
				h := newHandler(t, service, agent.Options{})
				time.AfterFunc(tt.settleAfter, func() {
					service.settle(func(st *rollcall.Status) { st.ID = installid.New() })
				})
				begin := time.Now()
				w := get(h, agent.PathInstallation+tt.query)
				if got := time.Since(begin); got != tt.took {
					t.Errorf("took %v, want %v", got, tt.took)
				}
				if w.Code != tt.code {
					t.Errorf("got code %d, want %d", w.Code, tt.code)
				}
			})
		})
	}
}

func TestWaitEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, newFakeService(), agent.Options{})
		begin := time.Now()
		get(h, agent.PathInstallation+"?wait=30s", func(r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			t.Cleanup(cancel)
			*r = *r.WithContext(ctx)
		})
		if got, want := time.Since(begin), time.Second; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService()
		id := installid.New()
		service.settle(func(st *rollcall.Status) {
			st.ID, st.Place, st.Attempts, st.LastError = id, "config /c.json, key k", 3, "no space left on device"
			st.Consent = rollcall.Decision{
				State: rollcall.Denied, Source: rollcall.Source{Kind: rollcall.SourceEnvironment, Name: "DO_NOT_TRACK"},
			}
		})
		h := newHandler(t, service, agent.Options{Version: "v1.2.3"})
		time.Sleep(90 * time.Second)
		want := map[string]any{
			"installation_id": id.String(), "settled": true, "persisted": false, "provisional": false, "incomplete": false,
			"place": "config /c.json, key k", "attempts": 3.0, "last_error": "no space left on device",
			"consent": map[string]any{
				"state": "denied", "setting": "unset", "source": map[string]any{"kind": "environment", "name": "DO_NOT_TRACK"},
			},
			"version": "v1.2.3", "uptime_seconds": 90.0,
		}
		got := decode(t, get(h, agent.PathStatus))
		for key, value := range want {
			if !reflect.DeepEqual(got[key], value) {
				t.Errorf("got %s %v, want %v", key, got[key], value)
			}
		}
	})
}

func TestAliveAndReady(t *testing.T) {
	service := newFakeService()
	h := newHandler(t, service, agent.Options{})
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if got := get(h, path).Code; got != want {
			t.Errorf("before: got %d from %s, want %d", got, path, want)
		}
	}
	service.settle(func(*rollcall.Status) {})
	for _, path := range []string{"/healthz", "/readyz"} {
		if got := get(h, path).Code; got != http.StatusOK {
			t.Errorf("after: got %d from %s, want 200", got, path)
		}
	}
}

func TestMetrics(t *testing.T) {
	if got := get(newHandler(t, newFakeService(), agent.Options{}), "/metrics").Code; got != http.StatusNotFound {
		t.Errorf("got %d without metrics, want 404", got)
	}
	registry := prometheus.NewRegistry()
	if _, err := metrics.New(registry); err != nil {
		t.Fatal(err)
	}
	w := get(newHandler(t, newFakeService(), agent.Options{Metrics: registry}), "/metrics")
	if want := `rollcall_save_attempts_total{result="timeout"} 0`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("got %q, want %q in it", w.Body, want)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	h := newHandler(t, newFakeService(), agent.Options{})
	for _, path := range []string{"/", "/v1", "/v1/installation/", "/healthz/x", "/metrics"} {
		w := get(h, path)
		if w.Code != http.StatusNotFound || decode(t, w)["error"] != "no such path" {
			t.Errorf("got %d %s from %s, want 404", w.Code, w.Body, path)
		}
	}
	for _, path := range []string{agent.PathInstallation, agent.PathStatus, "/healthz", "/readyz"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, "NONSENSE"} {
			w := get(h, path, func(r *http.Request) { r.Method = method })
			if got := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || got != "GET, HEAD" {
				t.Errorf("%s %s: got %d, Allow %q, want 405", method, path, w.Code, got)
			}
			decode(t, w)
		}
		if w := get(h, path, func(r *http.Request) { r.Method = http.MethodHead }); w.Code == http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s is refused", path)
		}
	}
}

func TestHeaders(t *testing.T) {
	service := newFakeService()
	h := newHandler(t, service, agent.Options{})
	want := map[string]string{
		"Cache-Control":                "no-store",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options":       "nosniff",
	}
	for _, path := range []string{agent.PathInstallation, agent.PathStatus, "/healthz", "/readyz", "/nowhere"} {
		for _, host := range []string{testListen, "evil.example"} {
			header := get(h, path, func(r *http.Request) { r.Host = host }).Header()
			for name, value := range want {
				if got := header.Get(name); got != value {
					t.Errorf("%s from %s: got %s %q, want %q", path, host, name, got, value)
				}
			}
			for name := range header {
				if slices.ContainsFunc([]string{"Access-Control-", "Set-Cookie"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
					t.Errorf("%s: got %s", path, name)
				}
			}
		}
	}
}
