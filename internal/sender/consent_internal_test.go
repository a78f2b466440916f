package sender

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Without consent, or without an ID, nothing happens: no request, and
// nothing is written.
func TestWithheld(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.denied.Store(true)
		s := r.sender()
		s.Start()
		time.Sleep(20 * day)
		for name, send := range map[string]func(context.Context) error{"SendNow": s.SendNow, "SendIfDue": s.SendIfDue} {
			if err := send(t.Context()); !errors.Is(err, ErrWithheld) {
				t.Errorf("%s: got %v, want %v", name, err, ErrWithheld)
			}
		}
		r.stop(s)
		if r.total() > 0 || r.state != nil {
			t.Errorf("without consent: %v, state %s", r.requests, r.state)
		}
		r.denied.Store(false)
		r.unsettled.Store(true)
		s = r.sender()
		s.Start()
		time.Sleep(2 * day)
		if err := s.SendNow(t.Context()); !errors.Is(err, ErrNoID) {
			t.Errorf("SendNow: got %v, want %v", err, ErrNoID)
		}
		if n := r.total(); n > 0 {
			t.Errorf("got %d requests without an ID", n)
		}
		r.unsettled.Store(false)
		time.Sleep(2 * time.Minute)
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Errorf("got %d reports once the ID is known, want 1", n)
		}
	})
}

// N9: consent is withdrawn while a request waits.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		withdraw func(*rig, *Sender)
		within   time.Duration
	}{
		"by a call":   {func(_ *rig, s *Sender) { s.Withdraw() }, 0},
		"in a config": {func(r *rig, _ *Sender) { r.denied.Store(true) }, 250 * time.Millisecond},
		"by both":     {func(r *rig, s *Sender) { r.denied.Store(true); s.Withdraw() }, 0},
	} {
		for _, path := range []string{"/v1/heartbeat", "/v1/health"} {
			inBubble(t, func(t *testing.T, r *rig) {
				r.health = []byte("health")
				var ended time.Time
				r.answers(func(ctx context.Context, req request) *Error {
					if req.path != path {
						return nil
					}
					<-ctx.Done()
					ended = time.Now()
					return &Error{Text: "no answer", Err: context.Cause(ctx)}
				})
				s := r.sender()
				s.Start()
				waiting := func() bool {
					r.mu.Lock()
					defer r.mu.Unlock()
					return len(r.requests) > 0 && r.requests[len(r.requests)-1].path == path
				}
				for !waiting() {
					time.Sleep(100 * time.Millisecond)
				}
				time.Sleep(5 * time.Second)
				withdrawn := time.Now()
				tt.withdraw(r, s)
				time.Sleep(250 * time.Millisecond)
				synctest.Wait()
				if took := ended.Sub(withdrawn); ended.IsZero() || took > tt.within {
					t.Errorf("%s, %s: cancelled after %v, want %v", name, path, took, tt.within)
				}
				n := r.total()
				time.Sleep(3*time.Hour - time.Minute)
				if r.total() != n {
					t.Errorf("%s, %s: got %d requests after it", name, path, r.total()-n)
				}
				r.denied.Store(true)
				time.Sleep(5 * day)
				if r.total() != n {
					t.Errorf("%s, %s: got %d requests after it", name, path, r.total()-n)
				}
				if st := r.onDisk(); st.Error != "" || !st.Failing.IsZero() {
					t.Errorf("%s, %s: the withdrawal counts as a failure: %+v", name, path, st)
				}

				// And granted again.
				r.denied.Store(false)
				r.answers(nil)
				s.Wake()
				time.Sleep(day)
				r.stop(s)
				if r.total() == n {
					t.Errorf("%s, %s: nothing is sent after a new grant", name, path)
				}
			})
		}
	}
}

// N9: consent to health reports is withdrawn while one is under way. The
// heartbeat was accepted.
func TestWithdrawHealth(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.health = []byte("health")
		began := time.Now()
		var cause error
		r.answers(func(ctx context.Context, req request) *Error {
			if req.path != "/v1/health" {
				return nil
			}
			<-ctx.Done()
			cause = context.Cause(ctx)
			return &Error{Text: "no answer", Err: cause}
		})
		s := r.senderWith(func(c *Config) {
			c.HealthAllowed = func(context.Context) bool { return time.Since(began) < 2*time.Second }
		})
		if err := s.SendNow(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); !errors.Is(cause, ErrWithheld) || took > 2250*time.Millisecond {
			t.Errorf("cancelled after %v: %v", took, cause)
		}
		if st := r.onDisk(); st.Success.IsZero() || st.Error != "" {
			t.Errorf("saved %+v", st)
		}
		r.stop(s)
	})
}

// A report that is withheld while it is made is no failure of the collector.
func TestWithheldReport(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.heartbeat = func(context.Context) ([]byte, error) { return nil, fmt.Errorf("%w: too late", ErrWithheld) }
		s := r.sender()
		if err := s.SendNow(t.Context()); !errors.Is(err, ErrWithheld) {
			t.Errorf("got %v, want %v", err, ErrWithheld)
		}
		r.stop(s)
		if st := r.onDisk(); st.Error != "" || !st.Failing.IsZero() || r.total() > 0 {
			t.Errorf("saved %+v, got %d requests", st, r.total())
		}
	})
}

// N9: consent is withdrawn while a retry waits.
func TestWithdrawBeforeRetry(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Status: 503}))
		s := r.sender()
		s.Start()
		time.Sleep(time.Hour)
		n := r.count()
		r.denied.Store(true)
		s.Withdraw()
		if st := s.Status(); !st.NextDue.IsZero() {
			t.Errorf("next due at %v", st.NextDue)
		}
		time.Sleep(20 * day)
		if st := s.Status(); !st.NextDue.IsZero() {
			t.Errorf("next due at %v", st.NextDue)
		}
		r.stop(s)
		if n != 1 || r.count() != n {
			t.Errorf("got %d requests before consent was withdrawn, %d after; want 1 and none", n, r.count()-n)
		}
	})
}

// A grant is followed at once, even if a check that saw none is under way.
func TestWake(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		checking, goOn := make(chan struct{}), make(chan struct{})
		var slow atomic.Bool
		s := r.senderWith(func(c *Config) {
			c.Allowed = func(context.Context) bool {
				denied := r.denied.Load()
				if slow.Load() {
					checking <- struct{}{}
					<-goOn
				}
				return !denied
			}
		})
		r.denied.Store(true)
		s.Wake() // which does nothing before Start
		s.Start()
		time.Sleep(time.Hour)
		slow.Store(true)
		<-checking
		slow.Store(false)
		r.denied.Store(false)
		s.Wake()
		close(goOn)
		time.Sleep(2 * time.Second)
		if n := r.count(); n != 1 {
			t.Errorf("got %d reports two seconds after the grant, want 1", n)
		}
		r.stop(s)
	})
}
