package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
	"github.com/rollcall-dev/rollcall/installid"
)

// stopLimit bounds the time that an agent takes to stop.
const stopLimit = 700 * time.Millisecond

func TestRunEndsWhileTheServiceHangs(t *testing.T) {
	for _, tt := range []struct {
		name string
		hang func(s *fakeService, until <-chan struct{})
	}{
		{"start", func(s *fakeService, until <-chan struct{}) {
			s.start = func(context.Context) error { <-until; return nil }
		}},
		{"stop", func(s *fakeService, until <-chan struct{}) {
			s.stop = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := newFakeService()
				until := make(chan struct{})
				defer close(until)
				tt.hang(service, until)
				a, err := agent.New(service, agent.Options{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				if err := a.Run(ctx); err != nil {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begin) - time.Hour; took > stopLimit {
					t.Errorf("ended after %v, want at most %v", took, stopLimit)
				}
			})
		})
	}
}

// A hungSource has a token on a disk that hangs.
type hungSource struct{ until <-chan struct{} }

func (s hungSource) CreateToken(context.Context) (rollcall.Operator, error) {
	<-s.until
	return rollcall.Operator{}, errors.New("late")
}

func TestRunEndsWhileTheTokenHangs(t *testing.T) {
	until := make(chan struct{})
	defer close(until)
	service := newFakeService()
	service.settle(func(st *rollcall.Status) { st.ID = installid.New() })
	gate := operator.New(hungSource{until})
	_, log, stop := run(t, service, agent.Options{Listen: []string{"127.0.0.1:0"}, Gate: gate})
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %v to stop while the token hangs", took)
	}
	if strings.Contains(log.String(), "token") {
		t.Errorf("got log %s", log)
	}
}

func TestRunStartsAndStopsTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService()
		var events []string
		service.start = func(context.Context) error { events = append(events, "start"); return nil }
		service.stop = func(context.Context) error { events = append(events, "stop"); return nil }
		a, err := agent.New(service, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := strings.Join(events, " "); got != "start stop" {
			t.Errorf("got %q, want \"start stop\"", got)
		}
	})
}

// TestRunLoadsWhatTheHostSet: what the host set before is loaded once the ID is
// settled, again soon if that failed, and later what another agent took.
func TestRunLoadsWhatTheHostSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService()
		var values atomic.Value // none can be read
		service.load = func() ([]byte, error) {
			text, _ := values.Load().(string)
			if text == "" {
				return nil, errors.New("the disk does not answer")
			}
			return []byte(text), nil
		}
		service.settle(func(*rollcall.Status) {})
		a, err := agent.New(service, agent.Options{Host: agent.NewHost(nil, "1.0.0")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		for _, step := range []struct {
			values, want string
			wait         time.Duration
		}{
			{"", "", time.Second / 2},
			{`{"version": "1.2.3"}`, "1.2.3", 2 * time.Second},
			{`{"version": "1.2.4"}`, "1.2.4", 2 * time.Hour},
			{`{}`, "1.0.0", 2 * time.Hour},
		} {
			values.Store(step.values)
			time.Sleep(step.wait)
			service.mu.Lock()
			got := service.version
			service.mu.Unlock()
			if got != step.want {
				t.Errorf("%v after the file had %q: got version %q, want %q", step.wait, step.values, got, step.want)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestRunFailsWithTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newFakeService()
		failure := errors.New("no")
		service.start = func(context.Context) error { return failure }
		a, err := agent.New(service, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Run(t.Context()); !errors.Is(err, failure) {
			t.Errorf("got %v, want %v", err, failure)
		}
	})
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	service := newFakeService()
	service.start = func(context.Context) error { t.Error("started the service"); return nil }
	a, err := agent.New(service, agent.Options{Listen: []string{listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if !errors.Is(err, listen.ErrAddress) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want ErrAddress and EADDRINUSE", err)
	}
	if want := "listen on " + listener.Addr().String() + ": "; !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "listen") != 1 {
		t.Errorf("got %q, want %q and the cause", err, want)
	}
}

// await waits until enough returns true.
func await(t *testing.T, what string, enough func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !enough(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// run starts an agent and returns the address it listens on.
func run(t *testing.T, service agent.Service, opts agent.Options) (address string, log *syncbuffer.Buffer, stop func() error) {
	t.Helper()
	log = &syncbuffer.Buffer{}
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	a, err := agent.New(service, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	await(t, "an address", func() bool {
		_, line, ok := strings.Cut(log.String(), "msg=Listening address=")
		address, _, _ = strings.Cut(line, "\n")
		return ok
	})
	return address, log, stop
}

func TestServesWhileTheServiceStarts(t *testing.T) {
	service := newFakeService()
	service.start = func(ctx context.Context) error { <-ctx.Done(); return nil } // as on a hung disk
	address, log, stop := run(t, service, agent.Options{Listen: []string{"127.0.0.1:0"}})
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, agent.PathInstallation: 503, agent.PathStatus: 200} {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("got %d from %s, want %d", response.StatusCode, path, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("got a warning on loopback: %s", log)
	}
}

func TestStopEndsWaitingRequests(t *testing.T) {
	service := newFakeService()
	address, _, stop := run(t, service, agent.Options{Listen: []string{"127.0.0.1:0"}})
	code := make(chan int, 1)
	go func() {
		response, err := http.Get("http://" + address + agent.PathInstallation + "?wait=30s")
		if err != nil {
			code <- 0
			return
		}
		response.Body.Close()
		code <- response.StatusCode
	}()
	await(t, "the request to wait", func() bool {
		service.mu.Lock()
		defer service.mu.Unlock()
		return service.asked == 2 // the agent itself asks once
	})
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := <-code; got != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", got)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %v to stop with a waiting request", took)
	}
}

func TestWarnsBeyondLoopback(t *testing.T) {
	service := newFakeService()
	service.settle(func(st *rollcall.Status) { st.ID = installid.New() })
	_, log, _ := run(t, service, agent.Options{Listen: []string{"0.0.0.0:0"}})
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("no warning in the log: %s", log)
	}
}
