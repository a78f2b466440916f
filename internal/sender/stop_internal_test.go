package sender

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// N8: Stop returns at once, whatever is under way.
func TestStop(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) { <-ctx.Done() }
	for name, hold := range map[string]func(*rig){
		"before the first look": nil,
		"load":                  func(r *rig) { r.load = wait },
		"save":                  func(r *rig) { r.save = wait },
		"report": func(r *rig) {
			r.heartbeat = func(ctx context.Context) ([]byte, error) { wait(ctx); return nil, ctx.Err() }
		},
		"request": func(r *rig) { r.answers(hang) },
		"health": func(r *rig) {
			r.health = []byte("health")
			r.answers(func(ctx context.Context, req request) *Error {
				if req.path == "/v1/health" {
					return hang(ctx, req)
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 5001 * time.Millisecond, time.Minute,
				2 * time.Minute, 130 * time.Second, 12*time.Hour + time.Second} {
				inBubble(t, func(t *testing.T, r *rig) {
					if hold != nil {
						hold(r)
					}
					s := r.sender()
					s.Start()
					time.Sleep(after)
					r.stop(s)
					synctest.Wait()
					n := r.total()
					s.Start()
					s.Wake()
					s.Withdraw()
					if err := s.SendNow(t.Context()); !errors.Is(err, ErrStopped) {
						t.Errorf("SendNow after Stop: got %v, want %v", err, ErrStopped)
					}
					if err := s.Upload(t.Context(), nil); !errors.Is(err, ErrStopped) {
						t.Errorf("Upload after Stop: got %v, want %v", err, ErrStopped)
					}
					time.Sleep(10 * day)
					if r.total() != n {
						t.Errorf("stopped after %v: got %d requests more", after, r.total()-n)
					}
					if st := s.Status(); !st.NextDue.IsZero() {
						t.Errorf("status after Stop: %+v", st)
					}
					r.stop(s)
				})
			}
		})
	}
}

// N8: a disk that hangs beyond all bounds does not keep Stop.
func TestStopWhileSaveHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		thaw := make(chan struct{})
		r.save = func(context.Context) { <-thaw }
		s := r.sender()
		s.Start()
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("stop: got %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("stop took %v with a context of a second", took)
		}
		s.Status() // which waits for no disk
		close(thaw)
		r.stop(s)
		if n := r.count(); n != 0 {
			t.Errorf("got %d requests", n)
		}
	})
}

// The outcome is saved even if the host stops at that moment.
func TestStopAfterAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		answered := make(chan struct{})
		r.answers(func(context.Context, request) *Error {
			r.save = func(context.Context) { time.Sleep(10 * time.Millisecond) }
			close(answered)
			return nil
		})
		s := r.sender()
		s.Start()
		<-answered
		r.stop(s)
		if st := r.onDisk(); st.Success.IsZero() {
			t.Errorf("on disk: %+v", st)
		}
	})
}

// N8 and N9 in real time, with everything at once, for the race detector.
func TestStorm(t *testing.T) {
	t.Parallel()
	for range 20 {
		r := newRig(t)
		r.answers(func(ctx context.Context, _ request) *Error {
			select {
			case <-ctx.Done():
				return &Error{Text: "stopped", Err: ctx.Err()}
			case <-time.After(time.Millisecond):
				return nil
			}
		})
		s := r.sender()
		s.Start()
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Millisecond)
		var callers sync.WaitGroup
		for _, call := range []func(){
			s.Start, s.Withdraw, s.Wake, s.tick, func() { s.Status() },
			func() { s.SendNow(ctx) }, func() { s.SendIfDue(ctx) }, func() { s.Forget(ctx, r.id) }, func() { s.Upload(ctx, nil) },
		} {
			callers.Go(func() {
				for ctx.Err() == nil {
					call()
				}
			})
		}
		time.Sleep(6 * time.Millisecond)
		var stops sync.WaitGroup
		for range 2 {
			stops.Go(func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		stops.Wait()
		n := r.total()
		callers.Wait()
		cancel()
		if r.total() != n {
			t.Errorf("got %d requests after Stop", r.total()-n)
		}
	}
}
