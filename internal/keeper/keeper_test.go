package keeper_test

import (
	"context"
	"errors"
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

// A script is a store that does as it is told. It counts the calls, and those at the same time.
type script struct {
	load, save, replace func(context.Context, installid.ID) (keeper.Record, error)

	mu                    sync.Mutex
	loads, saves, running int
	together              bool
}

func (s *script) call(ctx context.Context, count *int, do func(context.Context, installid.ID) (keeper.Record, error), id installid.ID) (keeper.Record, error) {
	s.mu.Lock()
	*count++
	s.running++
	s.together = s.together || s.running > 1
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	if do == nil {
		return keeper.Record{}, keeper.ErrNotFound
	}
	return do(ctx, id)
}

func (s *script) Load(ctx context.Context) (keeper.Record, error) {
	return s.call(ctx, &s.loads, s.load, installid.ID{})
}

func (s *script) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.call(ctx, &s.saves, s.save, id)
}

func (s *script) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.call(ctx, new(int), s.replace, id)
}

func (s *script) Maintain(context.Context, installid.ID) (keeper.Record, error) {
	return keeper.Record{}, nil
}

func (s *script) Recover(context.Context) error { return nil }

func (s *script) Running() (op string, since time.Time) { return "", time.Time{} }

func (s *script) counts() (loads, saves int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads, s.saves
}

// gives is an operation that gives a record.
func gives(rec keeper.Record, err error) func(context.Context, installid.ID) (keeper.Record, error) {
	return func(context.Context, installid.ID) (keeper.Record, error) { return rec, err }
}

// stores is one that stores the ID.
func stores(_ context.Context, id installid.ID) (keeper.Record, error) {
	return keeper.Record{ID: id, Place: "here", Written: true}, nil
}

func start(t *testing.T, store keeper.Store, opts keeper.Options) *keeper.Keeper {
	t.Helper()
	k, err := keeper.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
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

// TestIncompleteStore is one that always says that a copy is missing, and has no upkeep to make it: it is asked rarely.
func TestIncompleteStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{load: gives(keeper.Record{ID: mustParse(knownID), Incomplete: true}, nil)}
		k := start(t, s, keeper.Options{})
		time.Sleep(24 * time.Hour)
		if loads, saves := s.counts(); loads > 40 || saves > 0 {
			t.Errorf("%d loads, %d saves in a day", loads, saves)
		}
		if st := k.Status(); !st.Persisted || !st.Incomplete || st.Reason == "" {
			t.Errorf("got %+v", st)
		}
	})
}

// TestOneAtATime: whatever is called on the keeper, its store is used by one at a time.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowly := func(ctx context.Context, id installid.ID) (keeper.Record, error) {
			time.Sleep(time.Second)
			return stores(ctx, id)
		}
		s := &script{save: slowly, replace: slowly}
		k := start(t, s, keeper.Options{Lazy: true})
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
		if s.together {
			t.Error("two operations at the same time")
		}
	})
}

// TestResetWaitsNoLongerThanItsContext while another operation has the store.
func TestResetWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ installid.ID) (keeper.Record, error) {
			<-ctx.Done()
			return keeper.Record{}, errors.Join(flight.ErrTimeout, context.Cause(ctx))
		}
		k := start(t, &script{load: hang, replace: stores}, keeper.Options{Lazy: true, AttemptTimeout: time.Hour, StartTimeout: time.Hour})
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

// TestPermanentAndNot: what is worth trying again, by what an error says.
func TestPermanentAndNot(t *testing.T) {
	tests := []struct {
		name     string
		err      error
		attempts int
		took     time.Duration
	}{
		{"transient", errors.New("oh"), 3, 3 * time.Second},
		{"permanent", replace.ErrReadOnly, 1, 0},
		{"permanent in another process", judged(true), 1, 0},
		{"transient in another process", judged(false), 3, 3 * time.Second},
		{"a time-out of something permanent", errors.Join(flight.ErrTimeout, replace.ErrReadOnly), 3, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{save: gives(keeper.Record{}, tt.err)}
				begin := time.Now()
				k := start(t, s, keeper.Options{})
				if d := time.Since(begin); d != tt.took {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
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

// TestMayCreate: it is asked before an ID is made or stored, and not about one that is stored.
func TestMayCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enabled := jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
		var asked []jsonedit.Value
		var may atomic.Bool
		s := &script{load: gives(keeper.Record{Enabled: enabled}, keeper.ErrNotFound), save: stores}
		k, err := keeper.New(s, keeper.Options{MayCreate: func(_ context.Context, v jsonedit.Value) bool {
			asked = append(asked, v)
			return may.Load()
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Reset(t.Context()); err == nil {
			t.Error("Reset made one")
		}
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !k.ID().IsZero() || len(asked) != 1 || asked[0] != enabled || k.Status().Enabled != enabled {
			t.Errorf("got ID %q, asked about %v", k.ID(), asked)
		}
		if next := time.Until(k.Status().NextTry); next != time.Minute {
			t.Errorf("looks again in %v", next)
		}
		may.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := k.Status(); st.ID.IsZero() || !st.Persisted || st.Attempts != 2 {
			t.Errorf("got %+v", st)
		}
		if err := k.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNoteEnabled: the consent that somebody else has read counts, until the keeper reads it again.
func TestNoteEnabled(t *testing.T) {
	k, err := keeper.New(&script{}, keeper.Options{})
	if err != nil {
		t.Fatal(err)
	}
	yes := jsonedit.Value{Kind: jsonedit.Bool, Text: "true"}
	k.NoteEnabled(yes, nil)
	if st := k.Status(); st.Enabled != yes || st.Unread {
		t.Errorf("got %+v", st)
	}
	k.NoteEnabled(jsonedit.Value{}, errors.New("oh"))
	if st := k.Status(); !st.Unread {
		t.Errorf("got %+v", st)
	}
}

func TestOptions(t *testing.T) {
	for _, opts := range []keeper.Options{
		{Attempts: -1}, {Attempts: keeper.MaxAttempts + 1},
		{AttemptTimeout: -1}, {StartTimeout: -1}, {Backoff: -1},
		{AttemptTimeout: keeper.MaxWait + 1}, {StartTimeout: keeper.MaxWait + 1}, {Backoff: keeper.MaxWait + 1},
	} {
		if _, err := keeper.New(&script{}, opts); err == nil {
			t.Errorf("%+v: got no error", opts)
		}
	}
}

// TestNobodyWaitsForTheCopy: a start is over once the ID is persisted in one place. The attempts to copy it go on without
// it, after the same pauses.
func TestNobodyWaitsForTheCopy(t *testing.T) {
	tests := []struct {
		name     string
		works    int // the attempt that makes the copy; 0 for none
		err      error
		attempts int
		took     time.Duration // until the last of them
	}{
		{"works at the second", 2, errors.New("oh"), 2, time.Second},
		{"works at the third", 3, errors.New("oh"), 3, 3 * time.Second},
		{"does not work", 0, errors.New("oh"), 3, 3 * time.Second},
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
				k := start(t, s, keeper.Options{})
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

const (
	knownID = "0b9d6f1e-7a3c-4d52-9c41-5f6e7d8c9b0a"
	otherID = "7c1f0e2d-3b4a-4c5d-8e9f-a0b1c2d3e4f5"
)

func mustParse(text string) installid.ID {
	id, err := installid.Parse(text)
	if err != nil {
		panic(err)
	}
	return id
}
