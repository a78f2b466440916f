package sender

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// Where nothing can be written or read, each start could be the first.
// Reports are still as rare as one a day.
func TestUnsaved(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) { <-ctx.Done() }
	for name, broken := range map[string]func(*rig){
		"Save fails": func(r *rig) { r.saveErr = errDisk },
		"Load fails": func(r *rig) { r.loadErr, r.saveErr = errDisk, errDisk },
		"Save hangs": func(r *rig) { r.save = hangs },
		"Load hangs": func(r *rig) { r.load, r.save = hangs, hangs },
		"old state": func(r *rig) {
			r.state, r.saveErr = schedule.State{Success: midnight.Add(-20 * day), Attempt: midnight.Add(-20 * day), Attempts: 1}.Marshal(), errDisk
		},
		"state of a clock ahead": func(r *rig) {
			r.state, r.saveErr = schedule.State{Success: midnight.Add(400 * day), Attempt: midnight.Add(400 * day), Attempts: 1}.Marshal(), errDisk
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, life := range []time.Duration{time.Minute, time.Hour, 7 * time.Hour, 10 * day} {
				if raceEnabled && life == time.Minute {
					continue // it takes long, and TestRestarts does the same
				}
				inBubble(t, func(t *testing.T, r *rig) {
					broken(r)
					days := 10
					if life == time.Minute {
						days = 2
						if r.save != nil {
							return // the process may end before the disk answers
						}
					}
					for now := time.Duration(0); now < time.Duration(days)*day; now += life {
						r.live(life)
					}
					// A process that runs for more than six hours reports
					// without waiting for the slot.
					atMost := 1
					if life == 7*time.Hour {
						atMost = 4
					}
					checkPerDay(t, r.sent(), atMost)
					if n := r.count(); n < days-1 {
						t.Errorf("each lives for %v: got %d reports in %d days", life, n, days)
					}
					s := r.sender()
					if err := s.SendIfDue(t.Context()); err == nil {
						t.Error("SendIfDue sends")
					}
					if err := s.SendNow(t.Context()); err != nil {
						t.Errorf("SendNow: %v", err)
					}
				})
			}
		})
	}
}

// A host that has no functions to save the state with.
func TestNoStore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for range 10 * 24 {
			s := r.senderWith(func(c *Config) { c.Load, c.Save, c.Health, c.Logger = nil, nil, nil, nil })
			s.Start()
			time.Sleep(time.Hour)
			if s.Status().Kept {
				t.Error("the status says that the state is saved")
			}
			r.stop(s)
		}
		checkPerDay(t, r.sent(), 1)
		s := r.senderWith(func(c *Config) { c.Load, c.Save = nil, nil })
		if err := s.SendIfDue(t.Context()); !errors.Is(err, ErrNotKept) {
			t.Errorf("SendIfDue: got %v, want %v", err, ErrNotKept)
		}
	})
}

// A damaged state is replaced, and costs no more than a second report.
func TestDamagedStateFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", strings.Repeat("x", 1<<20), `{"last_attempt":"9000-01-01T00:00:00Z","attempts_today":4}`,
		`{"last_success":"2226-01-01T00:00:00Z"}`, `{"retry_after":"9000-01-01T00:00:00Z"}`} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.state = []byte(text)
			r.live(5 * day)
			checkPerDay(t, r.sent(), 1)
			if n := r.count(); n < 4 {
				t.Errorf("%.30q: got %d reports in 5 days", text, n)
			}
			if st := r.onDisk(); st.Success.Before(midnight.Add(3 * day)) {
				t.Errorf("%.30q: on disk: %+v", text, st)
			}
		})
	}
}

// What cannot be saved is remembered as long as the process runs.
func TestRemembered(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]schedule.State{
		"new":               {},
		"of a clock ahead":  {Success: midnight.Add(3650 * day), Attempt: midnight.Add(3650 * day), Attempts: 1},
		"of the day before": {Success: midnight.Add(-day), Attempt: midnight.Add(-day), Attempts: 1},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.state = state.Marshal()
			r.answers(func(context.Context, request) *Error { // the attempt is saved, and its outcome is not
				r.mu.Lock()
				defer r.mu.Unlock()
				r.saveErr = errDisk
				return nil
			})
			r.live(10 * day)
			checkPerDay(t, r.sent(), 1)
			if n := r.count(); n < 9 {
				t.Errorf("%s: got %d reports in 10 days", name, n)
			}
		})
	}
}

// A read or a write of the state takes five seconds at most, and no longer
// than 30 ms after its caller.
func TestStateTimeouts(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]func(*rig, func(context.Context)){
		"Load": func(r *rig, f func(context.Context)) { r.load = f },
		"Save": func(r *rig, f func(context.Context)) { r.save = f },
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			hang(r, func(ctx context.Context) { <-ctx.Done() })
			s := r.sender()
			began := time.Now()
			if err := s.SendIfDue(t.Context()); err == nil {
				t.Errorf("%s: no error", name)
			}
			if took := time.Since(began); took != 5*time.Second {
				t.Errorf("%s: took %v, want 5s", name, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began = time.Now()
			if err := s.SendIfDue(ctx); err == nil {
				t.Errorf("%s: no error within a second", name)
			}
			if took := time.Since(began); took < time.Second || took > 1030*time.Millisecond {
				t.Errorf("%s: took %v with a limit of a second, want 30ms more at most", name, took)
			}
		})
	}
}
