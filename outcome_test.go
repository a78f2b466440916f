//go:build !rollcall_nosend

package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// A reporter notes what it is told of reports.
type reporter struct {
	witness
	mu       sync.Mutex
	outcomes []string
	states   []string
	panics   bool
}

func (r *reporter) ReportEnded(o rollcall.ReportOutcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes = append(r.outcomes, fmt.Sprintf("%s %s", o.Kind, o.Result))
	if (o.Err == nil) != (o.Result == rollcall.ReportSent) || o.At.IsZero() {
		r.outcomes = append(r.outcomes, fmt.Sprintf("%+v", o))
	}
	if r.panics {
		panic("observer")
	}
}

func (r *reporter) ReportingChanged(st rollcall.ReportingStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, fmt.Sprintf("withheld=%v accepted=%v", st.Withheld != "", !st.LastSuccess.IsZero()))
}

func (r *reporter) use(c *rollcall.Config) {
	c.Observer, c.Reporting.Ended = r, r.ReportEnded
}

func (r *reporter) want(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var twice []string // the function and the observer hear the same
	for _, outcome := range want {
		twice = append(twice, outcome, outcome)
	}
	if !slices.Equal(r.outcomes, twice) {
		t.Errorf("got %q, want %q, each twice", r.outcomes, want)
	}
	r.outcomes = nil
}

// TestReportOutcomes: the host learns how each attempt ended.
func TestReportOutcomes(t *testing.T) {
	s := newSite(t, grantedBoth)
	var told reporter
	service := s.start(told.use)
	send(t, service)
	told.want(t, "heartbeat sent")

	service.ReportFault(diskFull)
	send(t, service)
	told.want(t, "heartbeat sent", "health sent")

	for status, want := range map[int]string{
		http.StatusServiceUnavailable: "heartbeat failed", http.StatusBadRequest: "heartbeat refused", http.StatusGone: "heartbeat refused",
	} {
		s.collector.Answer(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(status); return true })
		if err := service.SendNow(t.Context()); err == nil {
			t.Error("got no error")
		}
		told.want(t, want)
	}

	arrived := s.collector.Arrived()
	release := make(chan struct{})
	defer close(release)
	s.collector.Answer(func(http.ResponseWriter, *http.Request) bool { <-release; return true })
	ended := make(chan error, 1)
	go func() { ended <- service.SendNow(t.Context()) }()
	<-arrived
	if err := service.SetConsent(t.Context(), false); err != nil {
		t.Error(err)
	}
	<-ended
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	told.want(t, "heartbeat withheld", "heartbeat withheld")
	if want := []string{"withheld=false accepted=false", "withheld=false accepted=true", "withheld=true accepted=true"}; !slices.Equal(slices.Compact(told.states), want) {
		t.Errorf("got states %q, want %q", told.states, want)
	}
}

// TestReportOutcomePanics: a panic of the host's functions harms nothing.
func TestReportOutcomePanics(t *testing.T) {
	s := newSite(t, granted)
	told := reporter{panics: true}
	service := s.start(told.use)
	send(t, service)
	send(t, service)
	told.want(t, "heartbeat sent", "heartbeat sent")
}

// roundTripper is the transport of a host.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTransport: requests go through the host's transport, with the same
// endpoint, answers, and rules.
func TestTransport(t *testing.T) {
	s := newSite(t, granted)
	var paths []string
	service := s.start(func(c *rollcall.Config) {
		c.Reporting.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			paths = append(paths, r.Method+" "+r.URL.Path)
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	send(t, service)
	if err := service.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if len(paths) != 2 || paths[0] != postHeartbeat {
		t.Errorf("got %q", paths)
	}
	if err := service.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) || len(paths) != 2 {
		t.Errorf("got %v, requests %q, though telemetry is denied", err, paths)
	}
}

// TestTransportMisbehaves: one that hangs, whatever its context says, holds up
// neither a sender nor Stop, and one that panics is a failed attempt.
func TestTransportMisbehaves(t *testing.T) {
	for _, variable := range slices.Concat(consentVariables, ciVariables) {
		t.Setenv(variable, "")
	}
	for name, tt := range map[string]struct {
		do    func() (*http.Response, error)
		limit time.Duration
	}{
		"hangs":  {func() (*http.Response, error) { time.Sleep(24 * time.Hour); return nil, errors.New("late") }, 30 * time.Second},
		"panics": {func() (*http.Response, error) { panic("host") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, granted)
				calls := 0
				service := r.start(func(c *rollcall.Config) {
					c.App, c.Endpoint, c.Version, c.Reporting.Development = "my-app", "https://collector.example", "v1.2.3", true
					c.Reporting.Transport = roundTripper(func(*http.Request) (*http.Response, error) { calls++; return tt.do() })
				})
				for range 3 {
					begin := time.Now()
					_, failed := asSendError(service.SendNow(t.Context()))
					if took := time.Since(begin); !failed || took != tt.limit {
						t.Errorf("failed: %v, after %v, want %v", failed, took, tt.limit)
					}
				}
				if name == "hangs" && calls != 1 {
					t.Errorf("got %d calls at once", calls)
				}
				begin := time.Now()
				r.stop(service)
				if took := time.Since(begin); took > 100*time.Millisecond { // the grace of an operation that has just begun
					t.Errorf("Stop took %v", took)
				}
			})
		})
	}
}

// TestServicesInOneProcess: each counts and decides on its own.
func TestServicesInOneProcess(t *testing.T) {
	first, second := newSite(t, granted), newSite(t, undecided)
	a := first.start(func(c *rollcall.Config) { c.App = "first" })
	b := second.start(func(c *rollcall.Config) { c.App = "second" })
	send(t, a)
	if err := b.SendNow(t.Context()); !errors.Is(err, rollcall.ErrWithheld) {
		t.Errorf("got %v", err)
	}
	if err := b.SetConsent(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	send(t, b)
	if x, y := first.lastHeartbeat(), second.lastHeartbeat(); x.App != "first" || y.App != "second" || x.InstallationID == y.InstallationID {
		t.Errorf("got %+v and %+v", x, y)
	}
	first.wantRequests(postHeartbeat)
}

// TestReload: another service takes over what is on disk, so that nothing is
// sent twice. The old one says why it does not start again.
func TestReload(t *testing.T) {
	s := newSite(t, granted)
	var told reporter
	old := s.start(told.use)
	send(t, old)
	id := old.ID()
	reloaded := s.make(told.use, func(c *rollcall.Config) { c.Version = "v1.3.0" })
	s.stop(old)
	if err := reloaded.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reloaded.ID() != id {
		t.Errorf("got ID %v, want %v", reloaded.ID(), id)
	}
	if err := reloaded.SendIfDue(t.Context()); !errors.Is(err, rollcall.ErrNotDue) {
		t.Errorf("got %v, though the report of today was sent", err)
	}
	for name, err := range map[string]error{
		"Start": old.Start(t.Context()), "Run": old.Run(t.Context()), "SendNow": old.SendNow(t.Context()), "SendIfDue": old.SendIfDue(t.Context()),
	} {
		if !errors.Is(err, rollcall.ErrStopped) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	contains(t, "error of a start after Stop", old.Start(context.Background()).Error(), "create another one with New")
}
