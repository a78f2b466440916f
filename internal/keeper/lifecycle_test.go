package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func TestBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.newKeeper()
		select {
		case <-k.Settled():
			t.Error("settled before the start")
		default:
		}
		if st := k.Status(); !k.ID().IsZero() || st.Settled || st.Persisted {
			t.Errorf("got %+v", st)
		}
		r.stop(k)
		if err := k.Start(t.Context()); !errors.Is(err, keeper.ErrStopped) {
			t.Errorf("Start after Stop: got error %v", err)
		}
		if ops := r.fs.Log(); len(ops) > 0 || !k.ID().IsZero() {
			t.Errorf("started all the same: %v", ops)
		}
	})
}

func TestStartTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		if err := k.Start(t.Context()); !errors.Is(err, keeper.ErrStarted) {
			t.Errorf("second Start: got error %v", err)
		}
		r.stop(k)
		r.stop(k)
		if err := k.Start(t.Context()); err == nil {
			t.Error("Start after Stop: got no error")
		}
		r.wantState(k, knownID, true)
		if next := k.Status().NextTry; !next.IsZero() {
			t.Errorf("will try again at %v", next)
		}
		r.log.want(started(true))
	})
}

func TestConcurrentStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		k := r.newKeeper()
		var ok atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if k.Start(t.Context()) == nil {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		if n := ok.Load(); n != 1 {
			t.Errorf("%d starts succeeded", n)
		}
		r.log.want(generated(k.ID()), persisted(1), started(true))
	})
}

// TestStartAndStop starts, stops and resets a keeper and asks for its status at
// the same time, on a slow disk. Nothing is left running.
func TestStartAndStop(t *testing.T) {
	for round := range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			random := rand.New(rand.NewPCG(uint64(round), 0))
			jitterAll(r.fs, rand.New(rand.NewPCG(uint64(round), 1)), 2*time.Second)
			k := r.newKeeper(func(s *setup) { s.Lazy = round%2 == 0 })
			var wg sync.WaitGroup
			for _, do := range []func(){
				func() { k.Start(t.Context()) },
				func() { k.Stop(t.Context()) },
				func() { k.Reset(t.Context()) },
				func() { k.Status() },
				func() { k.ID() },
			} {
				after := time.Duration(random.Int64N(int64(10 * time.Second)))
				wg.Go(func() {
					time.Sleep(after)
					do()
				})
			}
			wg.Wait()
			r.stop(k)
			if st := k.Status(); st.ID != k.ID() || !st.NextTry.IsZero() {
				t.Errorf("got %+v, ID %q", st, k.ID())
			}
		})
	}
}

// TestStopLeavesNothing: an operation on a disk that answers comes to its next
// step before Stop returns, so that a host which ends then leaves no temporary
// file.
func TestStopLeavesNothing(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpLink, faultfs.OpSyncDir, faultfs.OpExchange} {
		for skip := range 2 { // the anchor's operation, the config's
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(faultfs.Rule{Op: op, Skip: skip, Delay: 40 * time.Millisecond})
				k := r.start(lazily)
				time.Sleep(20 * time.Millisecond)
				begin := time.Now()
				if err := k.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if d := time.Since(begin); d > 100*time.Millisecond {
					t.Errorf("%s: Stop took %v", op, d)
				}
				for _, name := range r.fs.Files() {
					if strings.HasSuffix(name, ".tmp") {
						t.Errorf("%s: left %s", op, name)
					}
				}
			})
		}
	}
}

// TestStopGrace: Stop waits a moment for an operation that may still end, and
// not at all for one that hangs.
func TestStopGrace(t *testing.T) {
	for running, want := range map[time.Duration]time.Duration{
		0:                      100 * time.Millisecond,
		900 * time.Millisecond: 100 * time.Millisecond,
		time.Second:            0,
		time.Hour:              0,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
			k := r.start(lazily)
			synctest.Wait()
			time.Sleep(running)
			begin := time.Now()
			if err := k.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d != want {
				t.Errorf("Stop took %v after %v, want %v", d, running, want)
			}
		})
	}
}

// TestStopWaitsNoLongerThanItsContext stops a keeper whose store does not
// return.
func TestStopWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		opts := limits
		opts.Lazy = true
		k := keeper.New(&script{load: func(context.Context, installid.ID) (keeper.Record, error) {
			<-release
			return keeper.Record{}, keeper.ErrNotFound
		}}, opts)
		if err := k.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := k.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		close(release)
		if err := k.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A witness is an observer that records its calls. It panics in each if panics
// is set.
type witness struct {
	panics bool

	mu    sync.Mutex
	busy  atomic.Int32
	calls []string
}

func (w *witness) record(format string, args ...any) {
	if w.busy.Add(1) > 1 {
		panic("concurrent calls")
	}
	defer w.busy.Add(-1)
	w.mu.Lock()
	w.calls = append(w.calls, fmt.Sprintf(format, args...))
	w.mu.Unlock()
	if w.panics {
		panic("observer")
	}
}

func (w *witness) SaveAttempted(a installid.SaveAttempt) {
	w.record("attempt %d: %s in %v", a.Attempt, a.Result, a.Duration)
}
func (w *witness) FellBack(reason string)          { w.record("fell back: %s", reason) }
func (w *witness) PersistedChanged(persisted bool) { w.record("persisted: %v", persisted) }
func (w *witness) watch(s *setup)                  { s.Observer = w }

func (w *witness) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.EqualFunc(w.calls, want, matches) {
		t.Errorf("the observer was called with\n\t%s\nwant\n\t%s", strings.Join(w.calls, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestObserver(t *testing.T) {
	const nextCheck = -1
	slow := faultfs.Rule{Op: faultfs.OpSync, Delay: 7 * time.Second, Times: 1}
	tests := []struct {
		name, config string
		set          func(*rig)
		run          time.Duration
		want         []string
	}{
		{"first start", hostConfig, nil, 0, []string{"persisted: true", "attempt 1: saved in 0s"}},
		{"restart", withID(knownID), nil, 0, []string{"persisted: true", "attempt 1: found in 0s"}},
		{"slow disk", hostConfig, func(r *rig) { r.fs.Inject(slow) }, 0, []string{
			"attempt 1: timeout in 5s", "persisted: true", "attempt 2: saved in 1s",
		}},
		{"read-only, then not", hostConfig, func(r *rig) {
			r.fs.Chmod(configPath, 0o444)
			time.AfterFunc(30*time.Second, func() { r.fs.Chmod(configPath, 0o640) })
		}, 2 * time.Minute, []string{
			"attempt 1: failed in 0s", "fell back: *read-only*", "persisted: false", "persisted: true", "attempt 2: saved in 0s",
		}},
		{"lost", withID(knownID), func(r *rig) {
			time.AfterFunc(30*time.Second, func() { r.fs.WriteFile(configPath, []byte(hostConfig), 0o444) })
		}, nextCheck, []string{
			"persisted: true", "attempt 1: found in 0s", "persisted: false", "attempt 2: failed in 0s",
		}},
	}
	for _, tt := range tests {
		for _, panics := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, tt.config)
					if tt.set != nil {
						tt.set(r)
					}
					w := &witness{panics: panics}
					k := r.start(w.watch)
					synctest.Wait()
					run := tt.run
					if run == nextCheck {
						run = time.Until(k.Status().NextTry) + time.Second
					}
					time.Sleep(run)
					synctest.Wait()
					w.want(t, tt.want...)
				})
			})
		}
	}
}

// TestObserverOneAtATime resets the ID while the background checks it. The
// observer's calls are serialized.
func TestObserverOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		jitterAll(r.fs, rand.New(rand.NewPCG(1, 1)), 20*time.Minute)
		w := &witness{}
		k := r.start(w.watch, lazily)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { k.Reset(t.Context()) })
		}
		wg.Wait()
		st := k.Status()
		if got := idIn(r.fs); got != st.ID.String() {
			t.Errorf("got ID %q in the config, %q in use", got, st.ID)
		}
	})
}

// TestOneGoroutine: an idle keeper has one goroutine.
func TestOneGoroutine(t *testing.T) {
	for name, set := range map[string]func(*setup){"": func(*setup) {}, "lazy": lazily} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.start(set)
				time.Sleep(time.Hour / 2)
				synctest.Wait()
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				own := 0
				for stack := range strings.SplitSeq(string(stacks), "\n\n") {
					if strings.Contains(stack, "synctest bubble") && strings.Contains(stack, "created by github.com/rollcall-dev/rollcall/") {
						own++
					}
				}
				if own != 1 {
					t.Errorf("%d goroutines:\n%s", own, stacks)
				}
			})
		})
	}
}
