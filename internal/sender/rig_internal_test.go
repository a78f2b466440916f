package sender

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A rig is an installation: what it keeps on disk, and a collector that is a function.
type rig struct {
	t         *testing.T
	id        string
	denied    atomic.Bool
	unsettled atomic.Bool

	// Set before a sender starts, or by the functions that it calls.
	load      func(context.Context) // called before Load, when not nil
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

const testEndpoint = "https://collector.example"

// inBubble runs fn at midnight of the simulations, in a bubble of its own.
func inBubble(t *testing.T, fn func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(midnight))
		fn(t, &rig{t: t, id: testID(1)})
	})
}

// sender gives one process of the installation.
func (r *rig) sender() *Sender { return r.senderWith(nil) }

func (r *rig) senderWith(change func(*Config)) *Sender {
	c := Config{
		Endpoint:  testEndpoint + "/",
		UserAgent: "test",
		ID:        func() (string, bool) { return r.id, !r.unsettled.Load() },
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
	s.open = func(context.Context) (poster, error) { return r, nil }
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
	case len(data) > maxState:
		r.t.Errorf("state of %d bytes: %s", len(data), data)
	}
	r.state = slices.Clone(data)
	return nil
}

func (r *rig) post(ctx context.Context, url string, body []byte) *Error {
	return r.take(ctx, strings.TrimPrefix(url, testEndpoint), string(body))
}

func (r *rig) remove(ctx context.Context, url string) *Error {
	return r.take(ctx, "DELETE "+strings.TrimPrefix(url, testEndpoint), "")
}

func (r *rig) take(ctx context.Context, path, body string) *Error {
	if ctx.Err() != nil {
		return &Error{Text: "stopped", Err: ctx.Err()}
	}
	req := request{time.Now().UTC(), path, body}
	r.mu.Lock()
	r.requests = append(r.requests, req)
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, req)
}

// hang is a collector that never answers.
func hang(ctx context.Context, _ request) *Error {
	<-ctx.Done()
	return &Error{Text: "no answer", Err: context.Cause(ctx)}
}

// always is a collector that always gives the same answer.
func always(e Error) func(context.Context, request) *Error {
	return func(context.Context, request) *Error { return &e }
}

// answers sets what the collector does from now on.
func (r *rig) answers(answer func(context.Context, request) *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// kept gives what is on disk, as it is.
func (r *rig) kept() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// total counts the requests of all kinds.
func (r *rig) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// sent gives when heartbeats reached the collector.
func (r *rig) sent() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var times []time.Time
	for _, req := range r.requests {
		if req.path == heartbeatPath {
			times = append(times, req.at)
		}
	}
	return times
}

func (r *rig) count() int { return len(r.sent()) }

// onDisk gives what is kept.
func (r *rig) onDisk() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	st, err := ParseState(r.state)
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

// live runs a process for a time.
func (r *rig) live(length time.Duration) {
	r.t.Helper()
	s := r.sender()
	s.Start()
	time.Sleep(length)
	r.stop(s)
}

var errDisk = errors.New("disk on fire")
