package sender

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

const (
	day          = 24 * time.Hour
	testEndpoint = "https://collector.example"
)

// midnight is when a bubble begins.
var midnight = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

var errDisk = errors.New("disk on fire")

func testID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// A rig is an installation: what it has on disk, and a collector that is a
// function.
type rig struct {
	t         *testing.T
	id        string
	denied    atomic.Bool
	unsettled atomic.Bool

	// Set before a sender starts, or by the functions that it calls.
	load      func(context.Context) // called before Load, if not nil
	save      func(context.Context)
	heartbeat func(context.Context) ([]byte, error)
	health    []byte

	mu       sync.Mutex
	logged   strings.Builder // the debug lines
	state    []byte          // on disk; nil for none
	loadErr  error
	saveErr  error
	answer   func(context.Context, request) *Error // nil accepts
	requests []request
}

// A request is one that reached the collector.
type request struct {
	at   time.Time
	path string
	body string
}

func newRig(t *testing.T) *rig { return &rig{t: t, id: testID(1)} }

// inBubble runs fn at midnight, in a bubble of its own.
func inBubble(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(midnight))
		fn(t, newRig(t))
	})
}

// sender returns one process of the installation.
func (r *rig) sender() *Sender { return r.senderWith(nil) }

func (r *rig) senderWith(change func(*Config)) *Sender {
	c := Config{
		Endpoint:  testEndpoint + "/",
		UserAgent: "test",
		ID:        func(context.Context) (string, bool) { return r.id, !r.unsettled.Load() },
		Allowed:   func(context.Context) bool { return !r.denied.Load() },
		Heartbeat: r.makeHeartbeat,
		Health:    func(context.Context) ([]byte, func()) { return r.health, nil },
		Load:      r.loadState,
		Save:      r.saveState,
		Logger:    slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	s := New(c)
	s.connect = func(context.Context) (Requester, error) { return r.do, nil }
	return s
}

func (r *rig) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logged.Write(line)
}

func (r *rig) makeHeartbeat(ctx context.Context) ([]byte, error) {
	if r.heartbeat != nil {
		return r.heartbeat(ctx)
	}
	return []byte("heartbeat"), nil
}

func (r *rig) loadState(ctx context.Context) ([]byte, error) {
	if r.load != nil {
		r.load(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case r.loadErr != nil:
		return nil, r.loadErr
	case r.state == nil:
		return nil, fs.ErrNotExist
	}
	return slices.Clone(r.state), nil
}

func (r *rig) saveState(ctx context.Context, data []byte) error {
	if r.save != nil {
		r.save(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.saveErr != nil:
		return r.saveErr
	case len(data) > 1000:
		r.t.Errorf("state of %d bytes: %s", len(data), data)
	}
	r.state = slices.Clone(data)
	return nil
}

// do is a Requester.
func (r *rig) do(ctx context.Context, m Message) (Answer, *Error) {
	if ctx.Err() != nil {
		return Answer{}, &Error{Text: "stopped", Err: ctx.Err()}
	}
	path := strings.TrimPrefix(m.URL, testEndpoint)
	if m.Method != "POST" {
		path = m.Method + " " + path
	}
	req := request{time.Now().UTC(), path, string(m.Body)}
	r.mu.Lock()
	r.requests = append(r.requests, req)
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return Answer{}, nil
	}
	return Answer{}, answer(ctx, req)
}

// hang is a collector that never answers.
func hang(ctx context.Context, _ request) *Error {
	<-ctx.Done()
	return &Error{Text: "no answer", Err: context.Cause(ctx)}
}

// always is a collector that always answers the same.
func always(e Error) func(context.Context, request) *Error {
	return func(context.Context, request) *Error { return &e }
}

// answers sets what the collector does from now on.
func (r *rig) answers(answer func(context.Context, request) *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// stateSize returns the size of the state on disk.
func (r *rig) stateSize() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.state)
}

// total counts the requests of all kinds.
func (r *rig) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// sent returns when heartbeats reached the collector.
func (r *rig) sent() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var times []time.Time
	for _, req := range r.requests {
		if req.path == "/v1/heartbeat" {
			times = append(times, req.at)
		}
	}
	return times
}

func (r *rig) count() int { return len(r.sent()) }

// onDisk returns the state that is saved.
func (r *rig) onDisk() schedule.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	st, err := schedule.Parse(r.state)
	if err != nil {
		r.t.Errorf("on disk: %v: %s", err, r.state)
	}
	return st
}

// stop ends a sender, at once.
func (r *rig) stop(s *Sender) {
	r.t.Helper()
	began := time.Now()
	if err := s.Stop(r.t.Context()); err != nil {
		r.t.Errorf("stop: %v", err)
	}
	if took := time.Since(began); took > 50*time.Millisecond {
		r.t.Errorf("stop took %v", took)
	}
}

// live runs a process for a while.
func (r *rig) live(length time.Duration) {
	r.t.Helper()
	s := r.sender()
	s.Start()
	time.Sleep(length)
	r.stop(s)
}

// checkDaily checks that each day has exactly one report.
func checkDaily(t *testing.T, reports []time.Time, first, last int) {
	t.Helper()
	byDay := map[int]int{}
	for _, at := range reports {
		byDay[int(at.Sub(midnight)/day)]++
	}
	for d := first; d < last; d++ {
		if byDay[d] != 1 {
			t.Errorf("day %d: got %d reports, want 1; all: %v", d, byDay[d], reports)
			return
		}
	}
}

// checkPerDay checks how many attempts each day has.
func checkPerDay(t *testing.T, attempts []time.Time, atMost int) {
	t.Helper()
	byDay := map[time.Time]int{}
	for _, at := range attempts {
		byDay[at.Truncate(day)]++
	}
	for d, n := range byDay {
		if n > atMost {
			t.Errorf("%v: got %d attempts, want at most %d", d, n, atMost)
		}
	}
	if len(attempts) == 0 {
		t.Error("no attempt at all")
	}
}
