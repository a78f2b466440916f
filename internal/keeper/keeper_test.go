package keeper_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

var known = mustParse(knownID)

// A method is one of the methods of a script. Load calls it with a zero ID.
type method func(context.Context, installid.ID) (keeper.Record, error)

// A script is a store whose methods a test provides. A missing method returns
// ErrNotFound, or nothing for the upkeep.
type script struct {
	load, save, replace, maintain method
	recover                       func(context.Context) error

	mu                       sync.Mutex
	loads, saves, recoveries int
	running                  int
	concurrent               bool
}

// set sets a method while the keeper runs.
func (s *script) set(m *method, to method) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*m = to
}

func (s *script) call(ctx context.Context, count *int, of *method, id installid.ID) (keeper.Record, error) {
	s.mu.Lock()
	m := *of
	*count++
	s.running++
	s.concurrent = s.concurrent || s.running > 1
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	if m == nil {
		return keeper.Record{}, keeper.ErrNotFound
	}
	return m(ctx, id)
}

func (s *script) Load(ctx context.Context) (keeper.Record, error) {
	return s.call(ctx, &s.loads, &s.load, installid.ID{})
}

func (s *script) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.call(ctx, &s.saves, &s.save, id)
}

func (s *script) Replace(ctx context.Context, _, id installid.ID) (keeper.Record, error) {
	return s.call(ctx, new(int), &s.replace, id)
}

func (s *script) Maintain(ctx context.Context, id installid.ID) (keeper.Record, error) {
	rec, err := s.call(ctx, new(int), &s.maintain, id)
	if err == keeper.ErrNotFound {
		err = nil
	}
	return rec, err
}

func (s *script) Recover(ctx context.Context) error {
	var m method = func(ctx context.Context, _ installid.ID) (keeper.Record, error) {
		if s.recover == nil {
			return keeper.Record{}, nil
		}
		return keeper.Record{}, s.recover(ctx)
	}
	_, err := s.call(ctx, &s.recoveries, &m, installid.ID{})
	return err
}

func (s *script) Running() (op string, since time.Time) { return "", time.Time{} }

func (s *script) counts() (loads, saves, recoveries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads, s.saves, s.recoveries
}

// returns is a method that returns a record and an error.
func returns(rec keeper.Record, err error) method {
	return func(context.Context, installid.ID) (keeper.Record, error) { return rec, err }
}

// stores is a method that stores the ID.
func stores(_ context.Context, id installid.ID) (keeper.Record, error) {
	return keeper.Record{ID: id, Place: "here", Written: true}, nil
}

// hangs is a method that waits until its context ends.
func hangs(ctx context.Context, _ installid.ID) (keeper.Record, error) {
	<-ctx.Done()
	return keeper.Record{}, errors.Join(flight.ErrTimeout, context.Cause(ctx))
}

// startScript starts a keeper with the limits of the specification, unless
// change sets others.
func startScript(t *testing.T, store keeper.Store, change func(*keeper.Options)) *keeper.Keeper {
	t.Helper()
	opts := limits
	if change != nil {
		change(&opts)
	}
	k := keeper.New(store, opts)
	t.Cleanup(func() {
		if err := k.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestIncompleteStore uses a store that always reports a missing copy. The
// keeper asks it rarely.
func TestIncompleteStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{load: returns(keeper.Record{ID: known, Incomplete: true}, nil)}
		k := startScript(t, s, nil)
		time.Sleep(24 * time.Hour)
		if loads, saves, _ := s.counts(); loads > 40 || saves > 0 {
			t.Errorf("%d loads, %d saves in a day", loads, saves)
		}
		if st := k.Status(); !st.Persisted || !st.Incomplete || st.Reason == "" {
			t.Errorf("got %+v", st)
		}
	})
}

// TestOneAtATime: only one operation uses the store at a time.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(ctx context.Context, id installid.ID) (keeper.Record, error) {
			time.Sleep(time.Second)
			return stores(ctx, id)
		}
		s := &script{save: slowly, replace: slowly}
		k := startScript(t, s, func(o *keeper.Options) { o.Lazy = true })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if id, err := k.Reset(t.Context()); err != nil || id.IsZero() {
					t.Errorf("Reset: %q, %v", id, err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if s.concurrent {
			t.Error("two operations at the same time")
		}
	})
}

// TestResetWaitsNoLongerThanItsContext resets the ID while another operation
// uses the store.
func TestResetWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := startScript(t, &script{load: hangs, replace: stores}, func(o *keeper.Options) {
			o.Lazy, o.AttemptTimeout, o.StartTimeout = true, time.Hour, time.Hour
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := k.Reset(ctx); !errors.Is(err, flight.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v", err)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// TestPermanentErrors: only errors that may pass are worth another attempt.
func TestPermanentErrors(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		attempts int
		took     time.Duration
	}{
		{"transient", errors.New("broken"), 3, 3 * time.Second},
		{"permanent", replace.ErrReadOnly, 1, 0},
		{"permanent in another process", judged(true), 1, 0},
		{"transient in another process", judged(false), 3, 3 * time.Second},
		// After a timeout, the background tries again at once.
		{"timeout of something permanent", errors.Join(flight.ErrTimeout, replace.ErrReadOnly), 3 + 1, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{save: returns(keeper.Record{}, tt.err)}
				begin := time.Now()
				k := startScript(t, s, nil)
				if d := time.Since(begin); d != tt.took {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
				synctest.Wait()
				if st := k.Status(); st.Attempts != tt.attempts || st.Persisted || st.Provisional {
					t.Errorf("got %+v", st)
				}
			})
		})
	}
}

type judged bool

func (j judged) Error() string   { return "judged elsewhere" }
func (j judged) Permanent() bool { return bool(j) }

// TestBackoff: the pauses double with each attempt, and the start ends at its
// limit.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		s := &script{save: func(context.Context, installid.ID) (keeper.Record, error) {
			at = append(at, time.Since(begin))
			return keeper.Record{}, errors.New("broken")
		}}
		startScript(t, s, func(o *keeper.Options) { o.Attempts = 10 })
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second}
		if len(at) != len(want) {
			t.Fatalf("attempts at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Errorf("attempts at %v, want %v", at, want)
			}
		}
		if d := time.Since(begin); d != 20*time.Second {
			t.Errorf("Start took %v, want 20s", d)
		}
	})
}

// TestMayCreate: the hook is asked before an ID is created or stored, and not
// about a stored one.
func TestMayCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enabled := jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
		var asked []jsonedit.Value
		var may atomic.Bool
		s := &script{load: returns(keeper.Record{Enabled: enabled}, keeper.ErrNotFound), save: stores}
		opts := limits
		w := &witness{}
		opts.Observer = w
		opts.MayCreate = func(_ context.Context, v jsonedit.Value) bool {
			asked = append(asked, v)
			return may.Load()
		}
		k := keeper.New(s, opts)
		if _, err := k.Reset(t.Context()); err == nil {
			t.Error("Reset created an ID")
		}
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !k.ID().IsZero() || len(asked) != 1 || asked[0] != enabled || k.Status().Enabled != enabled {
			t.Errorf("got ID %q, asked about %v", k.ID(), asked)
		}
		if st := k.Status(); st.Reason != "an ID is made only after consent" || !st.Settled {
			t.Errorf("got %+v", st)
		}
		w.want(t) // no attempt was made
		if next := time.Until(k.Status().NextTry); next != time.Minute {
			t.Errorf("checks again in %v, want 1m", next)
		}
		may.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := k.Status(); st.ID.IsZero() || !st.Persisted || st.Attempts != 2 || st.Reason != "" {
			t.Errorf("got %+v", st)
		}
		if err := k.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestMayCreateAndUnread: without consent, a failed read does not bring an ID.
func TestMayCreateAndUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &witness{}
		k := startScript(t, &script{load: returns(keeper.Record{}, errors.New("broken"))}, func(o *keeper.Options) {
			o.Observer = w
			o.MayCreate = func(context.Context, jsonedit.Value) bool { return false }
		})
		if st := k.Status(); !st.ID.IsZero() || !st.Settled || !st.Unread || st.Reason != "read installation ID: broken" {
			t.Errorf("got %+v", st)
		}
		w.want(t, "attempt 1: failed in 0s", "attempt 2: failed in 0s", "attempt 3: failed in 0s")
	})
}

// TestNoteEnabled: a consent that someone else has read counts until the
// keeper reads it again.
func TestNoteEnabled(t *testing.T) {
	k := keeper.New(&script{}, limits)
	yes := jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
	k.NoteEnabled(yes, nil)
	if st := k.Status(); st.Enabled != yes || st.Unread {
		t.Errorf("got %+v", st)
	}
	k.NoteEnabled(jsonedit.Value{}, errors.New("broken"))
	if st := k.Status(); st.Enabled != yes || !st.Unread {
		t.Errorf("got %+v", st)
	}
}

// TestNobodyWaitsForTheCopy: the start is over once the ID is persisted in one
// place. The attempts to copy it go on in the background, after the same
// pauses.
func TestNobodyWaitsForTheCopy(t *testing.T) {
	tests := []struct {
		name     string
		works    int // the attempt that makes the copy, or 0
		err      error
		attempts int
		took     time.Duration // until the last attempt
	}{
		{"works at the second attempt", 2, errors.New("broken"), 2, time.Second},
		{"works at the third attempt", 3, errors.New("broken"), 3, 3 * time.Second},
		{"does not work", 0, errors.New("broken"), 3, 3 * time.Second},
		{"cannot work", 0, replace.ErrReadOnly, 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var at []time.Duration
				s := &script{save: func(_ context.Context, id installid.ID) (keeper.Record, error) {
					if at = append(at, time.Since(begin)); len(at) == tt.works {
						return keeper.Record{ID: id, Written: true}, nil
					}
					return keeper.Record{ID: id, Incomplete: true}, tt.err
				}}
				k := startScript(t, s, nil)
				if d := time.Since(begin); d != 0 {
					t.Errorf("Start took %v", d)
				}
				if st := k.Status(); !st.Settled || !st.Persisted || !st.Incomplete {
					t.Errorf("got %+v after Start", st)
				}
				time.Sleep(30 * time.Second)
				synctest.Wait()
				if len(at) != tt.attempts || at[len(at)-1] != tt.took {
					t.Errorf("attempts at %v, want %d until %v", at, tt.attempts, tt.took)
				}
				if st := k.Status(); !st.Persisted || st.Incomplete != (tt.works == 0) || st.NextTry.IsZero() {
					t.Errorf("got %+v in the end", st)
				}
			})
		})
	}
}

// TestJitter: the pauses between checks differ, by up to a tenth, so that
// replicas do not check in step.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := time.Now()
		var pauses []time.Duration
		s := &script{load: func(context.Context, installid.ID) (keeper.Record, error) {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			return keeper.Record{ID: known}, nil
		}}
		startScript(t, s, nil)
		time.Sleep(150 * time.Hour)
		synctest.Wait()
		pauses = pauses[1:] // without the start
		shortest, longest := slices.Min(pauses), slices.Max(pauses)
		if shortest < time.Hour || shortest > 61*time.Minute || longest < 65*time.Minute || longest > 66*time.Minute {
			t.Errorf("%d pauses of %v to %v, want 1h0m to 1h6m", len(pauses), shortest, longest)
		}
	})
}

// TestRecover: a store that cannot make its ID durable is asked again before
// the next check. The ID does not count as persisted meanwhile.
func TestRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var repaired atomic.Bool
		s := &script{load: returns(keeper.Record{ID: known}, nil), recover: func(context.Context) error {
			if !repaired.Load() {
				return errors.New("broken")
			}
			return nil
		}}
		w := &witness{}
		k := startScript(t, s, func(o *keeper.Options) { o.Observer = w })
		synctest.Wait()
		if st := k.Status(); st.Persisted || st.Reason != "broken" || st.LastError != "broken" || st.LastErrorTime.IsZero() {
			t.Errorf("got %+v", st)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if loads, _, recoveries := s.counts(); loads != 1 || recoveries != 4 { // at 0, 1, 3 and 7 minutes
			t.Errorf("%d loads, %d recoveries", loads, recoveries)
		}
		repaired.Store(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if loads, _, recoveries := s.counts(); loads != 2 || recoveries != 5 {
			t.Errorf("%d loads, %d recoveries", loads, recoveries)
		}
		if st := k.Status(); !st.Persisted || st.Reason != "" || st.LastError != "" {
			t.Errorf("got %+v", st)
		}
		w.want(t, "persisted: true", "attempt 1: found in 0s", "persisted: false", "persisted: true", "attempt 2: found in 0s")
		time.Sleep(24 * time.Hour)
		if _, _, recoveries := s.counts(); recoveries != 5 {
			t.Errorf("%d recoveries", recoveries)
		}
	})
}

// TestRecoverPermanently: where nothing can ever be synced, the stored ID
// counts as persisted.
func TestRecoverPermanently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{load: returns(keeper.Record{ID: known}, nil), recover: func(context.Context) error { return replace.ErrReadOnly }}
		k := startScript(t, s, nil)
		time.Sleep(10 * time.Hour)
		if st := k.Status(); !st.Persisted || st.Reason != "" {
			t.Errorf("got %+v", st)
		}
		if _, _, recoveries := s.counts(); recoveries != 1 {
			t.Errorf("%d recoveries", recoveries)
		}
	})
}

// TestMaintain: after a check, the keeper adopts and reports what Maintain
// returns.
func TestMaintain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{load: returns(keeper.Record{ID: known, Place: "here"}, nil), maintain: func(_ context.Context, id installid.ID) (keeper.Record, error) {
			if id != known {
				t.Errorf("got ID %v", id)
			}
			return keeper.Record{}, nil
		}}
		w := &witness{}
		k := startScript(t, s, func(o *keeper.Options) { o.Observer = w })
		check := func() {
			time.Sleep(time.Until(k.Status().NextTry))
			synctest.Wait()
		}
		synctest.Wait()
		check() // nothing to do
		s.set(&s.maintain, returns(keeper.Record{ID: known, Place: "there", Written: true}, nil))
		check()
		if st := k.Status(); st.Place != "there" || st.Incomplete {
			t.Errorf("got %+v", st)
		}
		s.set(&s.maintain, returns(keeper.Record{ID: known, Place: "there", Incomplete: true}, errors.New("broken")))
		check()
		if st := k.Status(); !st.Persisted || !st.Incomplete || st.Reason != "broken" || st.LastError != "broken" {
			t.Errorf("got %+v", st)
		}
		if next := time.Until(k.Status().NextTry); next > 2*time.Minute {
			t.Errorf("checks again in %v", next)
		}
		w.want(t, "persisted: true", "attempt 1: found in 0s", "attempt 2: found in 0s", "attempt 3: saved in 0s", "attempt 4: failed in 0s")
	})
}

// TestInvalidIsLoggedOnce: the warning about an invalid value is repeated only
// after a read has found the value gone.
func TestInvalidIsLoggedOnce(t *testing.T) {
	invalid := returns(keeper.Record{Invalid: true}, keeper.ErrNotFound)
	for name, tt := range map[string]struct {
		between method
		want    int
	}{
		"stays":      {invalid, 1},
		"unreadable": {returns(keeper.Record{}, errors.New("broken")), 1},
		"gone":       {returns(keeper.Record{}, keeper.ErrNotFound), 2},
		"valid":      {returns(keeper.Record{ID: known}, nil), 2},
		"in the config only": {
			returns(keeper.Record{ID: known, Invalid: true, Incomplete: true}, nil), 1},
		"unreadable, yet invalid": {returns(keeper.Record{Invalid: true}, errors.New("broken")), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{load: invalid, save: returns(keeper.Record{}, replace.ErrReadOnly)}
				log := &logbook{t: t, begin: time.Now()}
				k := startScript(t, s, func(o *keeper.Options) { o.Logger = slog.New(log) })
				synctest.Wait()
				for _, load := range []method{tt.between, invalid} {
					s.set(&s.load, load)
					time.Sleep(time.Until(k.Status().NextTry))
					synctest.Wait()
				}
				n := 0
				for _, line := range log.lines {
					if line.text == replacing {
						n++
					}
				}
				if n != tt.want {
					t.Errorf("logged %d times, want %d", n, tt.want)
				}
			})
		})
	}
}

// TestEmptyForAWhile: a config that is empty counts as absent only at the last
// attempt.
func TestEmptyForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{load: returns(keeper.Record{}, jsonedit.ErrEmpty), save: stores}
		begin := time.Now()
		k := startScript(t, s, nil)
		if loads, saves, _ := s.counts(); loads != 3 || saves != 1 || time.Since(begin) != 3*time.Second {
			t.Errorf("%d loads, %d saves in %v", loads, saves, time.Since(begin))
		}
		if st := k.Status(); !st.Persisted || st.Attempts != 3 {
			t.Errorf("got %+v", st)
		}
	})
}

// TestRetryAfter: what makes the next check come soon.
func TestRetryAfter(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		script *script
		soon   bool
	}{
		"all is well":   {&script{load: returns(keeper.Record{ID: known}, nil)}, false},
		"not persisted": {&script{save: returns(keeper.Record{}, broken)}, true},
		"incomplete":    {&script{load: returns(keeper.Record{ID: known, Incomplete: true}, nil)}, true},
		"last error": {&script{load: returns(keeper.Record{ID: known}, nil),
			maintain: returns(keeper.Record{ID: known}, broken)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := startScript(t, tt.script, nil)
				synctest.Wait()
				if name == "last error" {
					time.Sleep(time.Until(k.Status().NextTry))
					synctest.Wait()
				}
				next := time.Until(k.Status().NextTry)
				if soon := next >= time.Minute && next <= 66*time.Second; soon != tt.soon {
					t.Errorf("checks again in %v", next)
				}
			})
		})
	}
}
