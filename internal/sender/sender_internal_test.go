package sender

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnceADay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep(3 * time.Hour)
		s := r.sender()
		s.Start()
		time.Sleep(firstDelay)
		if n := r.count(); n != 0 {
			t.Errorf("%d reports in the first minute, want none", n)
		}
		time.Sleep(firstDelay)
		if n := r.count(); n != 1 {
			t.Fatalf("%d reports in the first two minutes, want 1", n)
		}
		st := s.Status()
		if next := slot(phaseOf(r.id), midnight.Add(day)); st.NextDue.Before(midnight.Add(day)) || st.NextDue.After(next.Add(replicaSpread)) {
			t.Errorf("next due at %v, slot at %v", st.NextDue, next)
		}
		if st.LastSuccess.IsZero() || st.LastAttempt.IsZero() || st.LastError != "" || st.Gone || !st.Kept || st.Endpoint != testEndpoint {
			t.Errorf("status %+v", st)
		}
		time.Sleep(30 * day)
		r.stop(s)
		daily(t, r.sent(), 0, 30)
	})
}

// N5: the process ends every minute.
func TestRestarts(t *testing.T) {
	t.Parallel()
	for n := range 2 {
		inBubble(t, func(t *testing.T, r *rig) {
			r.id = testID(n)
			for range 3 * day / time.Minute {
				r.live(time.Minute)
			}
			daily(t, r.sent(), 1, 3)
		})
	}
}

// One that hosts a report that takes long is killed in the midst of it: the attempts are counted all the same.
func TestRestartsInTheMidst(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(hang)
		for range 5 * day / (10 * time.Minute) {
			r.live(10 * time.Minute)
		}
		perDay(t, r.sent(), dailyAttempts)
		if st := r.onDisk(); st.Error != "" || !st.Failing.IsZero() {
			t.Errorf("that the host stopped counts as a failure: %+v", st)
		}
	})
}

// perDay checks how many attempts there are on each day.
func perDay(t *testing.T, attempts []time.Time, atMost int) {
	t.Helper()
	byDay := map[time.Time]int{}
	for _, at := range attempts {
		byDay[at.Truncate(day)]++
	}
	for d, n := range byDay {
		if n > atMost {
			t.Errorf("%v: %d attempts, want at most %d", d, n, atMost)
		}
	}
	if len(attempts) == 0 {
		t.Error("no attempt at all")
	}
}

// Replicas with the same state send one heartbeat between them.
func TestReplicas(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		var replicas []*Sender
		for n := range 5 {
			s := r.sender()
			s.spread = time.Duration(n) * replicaSpread / 5 // which are random otherwise
			s.Start()
			replicas = append(replicas, s)
		}
		time.Sleep(10 * day)
		daily(t, r.sent(), 0, 10)
		failing := r.count()
		r.answers(always(Error{Status: 503}))
		time.Sleep(10 * day)
		perDay(t, r.sent()[failing:], dailyAttempts)
		for _, s := range replicas {
			r.stop(s)
		}
	})
}

// N4: offline for a year. Not parallel, since it looks at the goroutines.
func TestYearOffline(t *testing.T) {
	for _, restart := range []bool{false, true} {
		if raceEnabled && restart {
			continue // it takes long, and TestRestarts does the same for some days
		}
		inBubble(t, func(t *testing.T, r *rig) {
			r.answers(always(Error{Text: "no answer from the collector: network is unreachable"}))
			s := r.sender()
			s.Start()
			time.Sleep(day)
			const step = 5 * day
			most, size := 0, 0
			length := 365 * day
			if raceEnabled {
				length = 80 * day
			}
			for range length / step {
				time.Sleep(step)
				synctest.Wait()
				most = max(most, len(working()))
				size = max(size, len(r.kept()))
				if restart {
					r.stop(s)
					s = r.sender()
					s.Start()
				}
			}
			r.stop(s)
			attempts := r.sent()
			var daily, slow, verySlow int
			for _, at := range attempts {
				switch since := at.Sub(attempts[0]); {
				case since <= slowAfter:
					daily++
				case since <= verySlowAfter:
					slow++
				default:
					verySlow++
				}
			}
			t.Logf("restarts %v: %d attempts: %d in the first 14 days, %d until day 60, %d after; state at most %d bytes, %d goroutines",
				restart, len(attempts), daily, slow, verySlow, size, most)
			perDay(t, attempts, dailyAttempts)
			if slow > 47 || slow < 30 || verySlow > 45 || verySlow < 35 && !raceEnabled {
				t.Errorf("%d attempts from day 14 to 60, %d after; want about 46 and 44", slow, verySlow)
			}
			if most > 0 || size > 300 {
				t.Errorf("%d goroutines while idle, %d bytes kept", most, size)
			}
			if strings.Contains(r.logged.String(), "level=INFO") || strings.Contains(r.logged.String(), "level=WARN") {
				t.Errorf("logged: %s", r.logged.String())
			}

			// Back on line.
			r.answers(nil)
			s = r.sender()
			s.Start()
			time.Sleep(8 * day)
			r.stop(s)
			if st := r.onDisk(); st.Success.IsZero() || !st.Failing.IsZero() || st.Error != "" {
				t.Errorf("a week after it is back: %+v", st)
			}
		})
	}
}

// N3: 410 stops for good, over restarts, for that endpoint.
func TestGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Text: "gone", Status: 410, Gone: true}))
		r.live(3 * day)
		for range 5 {
			r.live(20 * day)
		}
		s := r.sender()
		s.Start()
		time.Sleep(day)
		if st := s.Status(); !st.Gone || !st.NextDue.IsZero() || st.LastError != "gone" {
			t.Errorf("status %+v", st)
		}
		if err := s.SendIfDue(t.Context()); !errors.Is(err, ErrNotDue) {
			t.Errorf("SendIfDue: %v, want %v", err, ErrNotDue)
		}
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Fatalf("%d requests, want 1", n)
		}

		other := r.senderWith(func(c *Config) { c.Endpoint = "https://other.example" })
		other.Start()
		time.Sleep(day)
		r.stop(other)
		if last := r.requests[r.total()-1]; r.total() != 2 || last.path != "https://other.example"+heartbeatPath {
			t.Errorf("%d requests, the last to %s; want one to the other endpoint", r.total(), last.path)
		}

		// The operator may try, and is believed if it works.
		r.answers(nil)
		s = r.sender()
		if err := s.SendNow(t.Context()); err != nil {
			t.Error(err)
		}
		r.stop(s)
		if st := r.onDisk(); st.Gone != "" {
			t.Errorf("after a success: %+v", st)
		}
	})
}

// A collector that wants no health reports still gets heartbeats.
func TestHealth(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.health = []byte("health")
		r.live(2*day + 12*time.Hour)
		health := func() (n int) {
			for _, req := range r.requests {
				if req.path == healthPath && req.body == "health" {
					n++
				}
			}
			return n
		}
		if n := health(); n != r.count() || n < 2 {
			t.Errorf("%d health reports after %d heartbeats", n, r.count())
		}
		r.answers(func(_ context.Context, req request) *Error {
			if req.path == healthPath {
				return &Error{Text: "gone", Status: 410, Gone: true}
			}
			return nil
		})
		was := health()
		for range 4 {
			r.live(day)
		}
		if n := health() - was; n != 1 {
			t.Errorf("%d health reports after one was answered with 410, want 1", n)
		}
		daily(t, r.sent(), 0, 5)
	})
}

// N3: what is refused is not tried again on that day.
func TestRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(always(Error{Status: 400, Refused: true}))
		r.live(10 * day)
		perDay(t, r.sent(), 1)
		if n := r.count(); n < 9 {
			t.Errorf("%d attempts in 10 days", n)
		}
	})
}

// Where nothing can be written, or read, each start could be the first: it is as rare as a report a day all the same.
func TestUnkept(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) { <-ctx.Done() }
	for name, broken := range map[string]func(*rig){
		"Save fails": func(r *rig) { r.saveErr = errDisk },
		"Load fails": func(r *rig) { r.loadErr, r.saveErr = errDisk, errDisk },
		"Save hangs": func(r *rig) { r.save = hangs },
		"Load hangs": func(r *rig) { r.load, r.save = hangs, hangs },
		"old state": func(r *rig) {
			r.state, r.saveErr = State{Success: midnight.Add(-20 * day), Attempt: midnight.Add(-20 * day), Attempts: 1}.Marshal(), errDisk
		},
		"state of a clock ahead": func(r *rig) {
			r.state, r.saveErr = State{Success: midnight.Add(400 * day), Attempt: midnight.Add(400 * day), Attempts: 1}.Marshal(), errDisk
		},
	} {
		t.Run(name, func(t *testing.T) {
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
							return // it may be over before the disk has been waited for
						}
					}
					for now := time.Duration(0); now < time.Duration(days)*day; now += life {
						r.live(life)
					}
					// A process that runs for more than 6 hours reports without waiting for the slot.
					atMost := 1
					if life > blindDelay && life < day {
						atMost = 4
					}
					perDay(t, r.sent(), atMost)
					if n := r.count(); n < days-1 {
						t.Errorf("each lives for %v: %d reports in %d days", life, n, days)
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

// A host that gives no functions to keep the state with.
func TestNothingKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for range 10 * 24 {
			s := r.senderWith(func(c *Config) { c.Load, c.Save, c.Health, c.Logger = nil, nil, nil, nil })
			s.Start()
			time.Sleep(time.Hour)
			if s.Status().Kept {
				t.Error("status says that the state is kept")
			}
			r.stop(s)
		}
		perDay(t, r.sent(), 1)
		s := r.senderWith(func(c *Config) { c.Load, c.Save = nil, nil })
		if err := s.SendIfDue(t.Context()); !errors.Is(err, ErrNotKept) {
			t.Errorf("SendIfDue: %v, want %v", err, ErrNotKept)
		}
	})
}

// What is damaged is replaced; it does no harm beyond a second report.
func TestDamagedStateFile(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{", strings.Repeat("x", 1<<20), `{"last_attempt":"9000-01-01T00:00:00Z","attempts_today":4}`,
		`{"last_success":"2226-01-01T00:00:00Z"}`, `{"retry_after":"9000-01-01T00:00:00Z"}`} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.state = []byte(text)
			r.live(5 * day)
			perDay(t, r.sent(), 1)
			if n := r.count(); n < 4 {
				t.Errorf("%.30q: %d reports in 5 days", text, n)
			}
			if st := r.onDisk(); st.Success.Before(midnight.Add(3 * day)) {
				t.Errorf("%.30q: on disk: %+v", text, st)
			}
		})
	}
}

// What could not be written is remembered as long as the process runs.
func TestRemembered(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]State{
		"new":               {},
		"of a clock ahead":  {Success: midnight.Add(3650 * day), Attempt: midnight.Add(3650 * day), Attempts: 1},
		"of the day before": {Success: midnight.Add(-day), Attempt: midnight.Add(-day), Attempts: 1},
	} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.state = state.Marshal()
			r.answers(func(context.Context, request) *Error { // the attempt is kept, and what came of it is not
				r.mu.Lock()
				defer r.mu.Unlock()
				r.saveErr = errDisk
				return nil
			})
			r.live(10 * day)
			perDay(t, r.sent(), 1)
			if n := r.count(); n < 9 {
				t.Errorf("%s: %d reports in 10 days", name, n)
			}
		})
	}
}

// N7: a clock that starts in 1970, or beyond all belief, is waited for.
func TestImplausibleClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // which starts in 2000
		r := &rig{t: t, id: testID(1)}
		r.live(2 * day)
		if n := r.count(); n != 0 || r.state != nil {
			t.Errorf("%d reports in the year %d, state %s", n, time.Now().Year(), r.state)
		}
		if err := r.sender().SendIfDue(t.Context()); !errors.Is(err, ErrNotDue) {
			t.Errorf("SendIfDue: %v, want %v", err, ErrNotDue)
		}
		time.Sleep(time.Until(plausibleTo))
		r.live(2 * day)
		if n := r.count(); n != 0 {
			t.Errorf("%d reports in the year %d", n, time.Now().Year())
		}
	})
}

// Without consent, or without an ID, nothing happens: no request, nothing written.
func TestWithheld(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.denied.Store(true)
		s := r.sender()
		s.Start()
		time.Sleep(20 * day)
		for name, send := range map[string]func(context.Context) error{"SendNow": s.SendNow, "SendIfDue": s.SendIfDue} {
			if err := send(t.Context()); !errors.Is(err, ErrWithheld) {
				t.Errorf("%s: %v, want %v", name, err, ErrWithheld)
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
			t.Errorf("SendNow: %v, want %v", err, ErrNoID)
		}
		r.unsettled.Store(false)
		time.Sleep(2 * firstDelay)
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Errorf("%d reports once the ID is known, want 1", n)
		}
	})
}

// A report that cannot be made counts as an attempt: no loop, whatever is wrong.
func TestReportFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		made := 0
		r.heartbeat = func(context.Context) ([]byte, error) {
			made++
			return nil, errors.New("no report")
		}
		s := r.sender()
		s.Start()
		time.Sleep(10 * day)
		if st := s.Status(); !strings.Contains(st.LastError, "no report") {
			t.Errorf("status %+v", st)
		}
		r.stop(s)
		if made < 10 || made > 10*dailyAttempts || r.count() > 0 {
			t.Errorf("tried %d times in 10 days, sent %d", made, r.count())
		}
	})
}

// N8: Stop returns at once whatever is under way, and within its context if that goes on all the same.
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
				if req.path == healthPath {
					return hang(ctx, req)
				}
				return nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, after := range []time.Duration{0, time.Second, overdueDelay, overdueDelay + time.Millisecond, firstDelay,
				2 * firstDelay, 2*firstDelay + 10*time.Second, 12*time.Hour + time.Second} {
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
					s.Look()
					s.Withdraw()
					if err := s.SendNow(t.Context()); !errors.Is(err, ErrStopped) {
						t.Errorf("SendNow after Stop: %v, want %v", err, ErrStopped)
					}
					if err := s.Upload(t.Context(), nil); !errors.Is(err, ErrStopped) {
						t.Errorf("Upload after Stop: %v, want %v", err, ErrStopped)
					}
					time.Sleep(10 * day)
					if r.total() != n {
						t.Errorf("stopped after %v: %d requests more", after, r.total()-n)
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
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(began); took > time.Second+50*time.Millisecond {
			t.Errorf("stop took %v with a context of a second", took)
		}
		s.Status() // which waits for no disk
		close(thaw)
		r.stop(s)
		if n := r.count(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// What was sent is kept even when the host stops at that moment.
func TestStopAfterAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(func(context.Context, request) *Error {
			r.save = func(context.Context) { time.Sleep(10 * time.Millisecond) }
			return nil
		})
		s := r.sender()
		s.Start()
		for r.count() == 0 {
			time.Sleep(time.Millisecond)
		}
		r.stop(s)
		if st := r.onDisk(); st.Success.IsZero() {
			t.Errorf("on disk: %+v", st)
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
		"told":           {func(_ *rig, s *Sender) { s.Withdraw() }, 0},
		"in the config":  {func(r *rig, _ *Sender) { r.denied.Store(true) }, withdrawnEvery},
		"told and there": {func(r *rig, s *Sender) { r.denied.Store(true); s.Withdraw() }, 0},
	} {
		for _, path := range []string{heartbeatPath, healthPath} {
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
				time.Sleep(withdrawnEvery)
				synctest.Wait()
				if took := ended.Sub(withdrawn); ended.IsZero() || took > tt.within {
					t.Errorf("%s, %s: cancelled after %v, want %v", name, path, took, tt.within)
				}
				n := r.total()
				time.Sleep(retryMin - firstDelay)
				if r.total() != n {
					t.Errorf("%s, %s: %d requests after it", name, path, r.total()-n)
				}
				r.denied.Store(true)
				time.Sleep(5 * day)
				if r.total() != n {
					t.Errorf("%s, %s: %d requests after it", name, path, r.total()-n)
				}
				if st := r.onDisk(); st.Error != "" || !st.Failing.IsZero() {
					t.Errorf("%s, %s: that consent was withdrawn counts as a failure: %+v", name, path, st)
				}

				// And granted again.
				r.denied.Store(false)
				r.answers(nil)
				s.Look()
				time.Sleep(day)
				r.stop(s)
				if r.total() == n {
					t.Errorf("%s, %s: nothing is sent after a new grant", name, path)
				}
			})
		}
	}
}

// N9: consent to health reports is withdrawn while one is under way; the heartbeat was accepted.
func TestWithdrawHealth(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.health = []byte("health")
		began := time.Now()
		var cause error
		r.answers(func(ctx context.Context, req request) *Error {
			if req.path != healthPath {
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
		if took := time.Since(began); !errors.Is(cause, ErrWithheld) || took > 2*time.Second+withdrawnEvery {
			t.Errorf("cancelled after %v: %v", took, cause)
		}
		if st := r.onDisk(); st.Success.IsZero() || st.Error != "" {
			t.Errorf("kept %+v", st)
		}
		r.stop(s)
	})
}

// A report that is withheld when it is made says nothing about the collector.
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
			t.Errorf("kept %+v, %d requests", st, r.total())
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
		time.Sleep(20 * day)
		if st := s.Status(); !st.NextDue.IsZero() {
			t.Errorf("next due at %v", st.NextDue)
		}
		r.stop(s)
		if n != 1 || r.count() != n {
			t.Errorf("%d requests before consent was withdrawn, %d after; want 1 and none", n, r.count()-n)
		}
	})
}

// A grant is followed at once, also when a look that saw none is just under way.
func TestLook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		looking, goOn := make(chan struct{}), make(chan struct{})
		var slow atomic.Bool
		s := r.senderWith(func(c *Config) {
			c.Allowed = func(context.Context) bool {
				denied := r.denied.Load()
				if slow.Load() {
					looking <- struct{}{}
					<-goOn
				}
				return !denied
			}
		})
		r.denied.Store(true)
		s.Look() // which does nothing before Start
		s.Start()
		time.Sleep(time.Hour)
		slow.Store(true)
		<-looking
		slow.Store(false)
		r.denied.Store(false)
		s.Look()
		close(goOn)
		time.Sleep(2 * time.Second)
		if n := r.count(); n != 1 {
			t.Errorf("%d reports two seconds after the grant, want 1", n)
		}
		r.stop(s)
	})
}

// A program that does not run long sends once a day, however often it runs, and within its budget.
func TestSendIfDue(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{10 * time.Minute, time.Hour, day} {
		inBubble(t, func(t *testing.T, r *rig) {
			for i := range 10 * int(day/every) {
				if err := r.sender().SendIfDue(t.Context()); err != nil && !errors.Is(err, ErrNotDue) {
					t.Fatalf("run %d: %v", i, err)
				}
				time.Sleep(every)
			}
			daily(t, r.sent(), 0, 10)
		})
	}
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(hang)
		for range 10 * 24 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			began := time.Now()
			err := r.sender().SendIfDue(ctx)
			if took := time.Since(began); took > 2*time.Second+50*time.Millisecond || err == nil {
				t.Errorf("took %v with a budget of 2 seconds: %v", took, err)
			}
			cancel()
			time.Sleep(time.Hour)
		}
		perDay(t, r.sent(), dailyAttempts)
		if st := r.onDisk(); st.Error == "" {
			t.Errorf("a budget that does not suffice is not told: %+v", st)
		}
	})
	// Many at a time are one.
	inBubble(t, func(t *testing.T, r *rig) {
		r.answers(func(context.Context, request) *Error { time.Sleep(time.Second); return nil })
		s := r.sender()
		s.Start()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() { s.SendIfDue(t.Context()) })
		}
		calls.Wait()
		r.stop(s)
		if n := r.count(); n != 1 {
			t.Errorf("%d reports from 20 calls, want 1", n)
		}
	})
	// A state from a future that did not come yet is not for ever.
	inBubble(t, func(t *testing.T, r *rig) {
		r.state = State{Success: midnight.Add(3650 * day), Attempt: midnight.Add(3650 * day), Attempts: 1}.Marshal()
		for range 10 * 24 {
			r.sender().SendIfDue(t.Context())
			time.Sleep(time.Hour)
		}
		daily(t, r.sent(), 2, 10)
	})
}

func TestSendNow(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		s := r.sender()
		for range 3 {
			if err := s.SendNow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.count(); n != 3 {
			t.Errorf("%d reports, want 3", n)
		}
		r.answers(always(Error{Text: "the collector answered 503 (service unavailable)", Status: 503}))
		err := s.SendNow(t.Context())
		failed, ok := errors.AsType[*Error](err)
		if !ok || failed.Status != 503 || s.Status().LastError != failed.Text {
			t.Errorf("got %v, status %+v", err, s.Status())
		}
		// Another is under way: the caller's context still holds.
		r.answers(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go s.SendNow(ctx)
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := s.SendNow(short); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// And Stop ends it.
		r.stop(s)
	})
}

// Forget and Upload go on when consent is withdrawn, which is when Forget is called, and end with Stop.
func TestForgetAndUpload(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.denied.Store(true)
		s := r.sender()
		if err := s.Forget(t.Context(), r.id); err != nil {
			t.Error(err)
		}
		if err := s.Upload(t.Context(), []byte("made elsewhere")); err != nil {
			t.Error(err)
		}
		want := []string{"DELETE " + installPath + r.id, heartbeatPath}
		for i, req := range r.requests {
			if req.path != want[i] {
				t.Errorf("request %d: %s, want %s", i, req.path, want[i])
			}
		}
		if r.state != nil {
			t.Errorf("kept: %s", r.state)
		}
		r.answers(hang)
		done := make(chan error, 1)
		go func() { done <- s.Forget(t.Context(), r.id) }()
		synctest.Wait()
		s.Withdraw()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("ended by Withdraw: %v", err)
		default:
		}
		r.stop(s)
		if err := <-done; err == nil {
			t.Error("no error after Stop")
		}
	})
}

// The counts of N8 and N9 in real time, with everything at once, for the race detector.
func TestStorm(t *testing.T) {
	t.Parallel()
	for range 20 {
		r := &rig{t: t, id: testID(1), answer: func(ctx context.Context, _ request) *Error {
			select {
			case <-ctx.Done():
				return &Error{Text: "stopped", Err: ctx.Err()}
			case <-time.After(time.Millisecond):
				return nil
			}
		}}
		s := r.sender()
		s.Start()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		var callers sync.WaitGroup
		for _, call := range []func(){
			s.Start, s.Withdraw, s.Look, s.tick, func() { s.Status() },
			func() { s.SendNow(ctx) }, func() { s.SendIfDue(ctx) }, func() { s.Forget(ctx, r.id) }, func() { s.Upload(ctx, nil) },
		} {
			callers.Go(func() {
				for ctx.Err() == nil {
					call()
				}
			})
		}
		time.Sleep(15 * time.Millisecond)
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
			t.Errorf("%d requests after Stop", r.total()-n)
		}
	}
}

func ExampleError() {
	err := error(&Error{Text: "the collector answered 400 (bad request)", Status: 400, Refused: true})
	if failed, ok := errors.AsType[*Error](fmt.Errorf("send: %w", err)); ok {
		fmt.Println(failed.Status, failed)
	}
	// Output: 400 the collector answered 400 (bad request)
}
