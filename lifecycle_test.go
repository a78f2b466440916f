package rollcall_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// callAll calls every method of a service with an ended context and otherwise zero arguments: none panics.
func callAll(t *testing.T, service *rollcall.Service) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	v := reflect.ValueOf(service)
	for i := range v.NumMethod() {
		method := v.Type().Method(i)
		var args []reflect.Value
		for n := 1; n < method.Type.NumIn() && !(method.Type.IsVariadic() && n == method.Type.NumIn()-1); n++ {
			switch in := method.Type.In(n); in {
			case reflect.TypeFor[context.Context]():
				args = append(args, reflect.ValueOf(ended))
			default:
				args = append(args, reflect.Zero(in))
			}
		}
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s panicked: %v", method.Name, p)
				}
			}()
			v.Method(i).Call(args)
		}()
	}
}

// TestNilService: the host of a service that could not be made notices nothing.
func TestNilService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var service *rollcall.Service
		callAll(t, service)
		if err := errors.Join(service.Start(t.Context()), service.WaitSettled(t.Context()), service.Stop(t.Context())); err != nil {
			t.Error(err)
		}
		if st := service.Status(); !service.ID().IsZero() || st.Persisted || st.Consent != rollcall.Unset {
			t.Errorf("got %+v", st)
		}
		if _, err := service.Reset(t.Context()); err == nil {
			t.Error("Reset: got no error")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if err := service.Run(ctx); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("Run: got %v after %v", err, time.Since(begin))
		}
	})
}

// TestEveryMethodAnyTime calls every method before the start, after it and after the stop.
func TestEveryMethodAnyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		callAll(t, r.make())
		service := r.start()
		callAll(t, service)
		r.stop(service)
		callAll(t, service)
	})
}

func TestBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.make()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := service.WaitSettled(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitSettled: got error %v", err)
		}
		if st := service.Status(); !service.ID().IsZero() || st.Settled || st.Persisted || st.Consent != rollcall.Unset {
			t.Errorf("got %+v", st)
		}
		r.stop(service)
		if err := service.Start(t.Context()); !errors.Is(err, keeper.ErrStopped) {
			t.Errorf("Start after Stop: got error %v", err)
		}
		if ops := r.fs.Log(); len(ops) > 0 || !service.ID().IsZero() {
			t.Errorf("started all the same: %v", ops)
		}
	})
}

func TestStartTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		if err := service.Start(t.Context()); !errors.Is(err, keeper.ErrStarted) {
			t.Errorf("second Start: got error %v", err)
		}
		r.stop(service)
		r.stop(service)
		if err := service.Start(t.Context()); err == nil {
			t.Error("Start after Stop: got no error")
		}
		r.wantState(service, knownID, true)
		if next := service.Status().NextTry; !next.IsZero() {
			t.Errorf("will look again at %v", next)
		}
		r.log.want(started(true))
	})
}

func TestConcurrentStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		service := r.make()
		var ok atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if service.Start(t.Context()) == nil {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		if n := ok.Load(); n != 1 {
			t.Errorf("%d starts succeeded", n)
		}
		r.log.want(generated(service.ID()), persisted(1), started(true))
	})
}

// TestStartAndStop starts, stops, resets and asks at the same time, on a slow disk: nothing is left running.
func TestStartAndStop(t *testing.T) {
	for round := range 50 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			random := rand.New(rand.NewPCG(uint64(round), 0))
			jitterAll(r.fs, rand.New(rand.NewPCG(uint64(round), 1)), 2*time.Second)
			service := r.make(func(c *rollcall.Config) { c.Lazy = round%2 == 0 })
			var wg sync.WaitGroup
			for _, do := range []func(){
				func() { service.Start(t.Context()) },
				func() { service.Stop(t.Context()) },
				func() { service.Reset(t.Context()) },
				func() { service.Status() },
				func() { service.ID() },
			} {
				after := time.Duration(random.Int64N(int64(10 * time.Second)))
				wg.Go(func() {
					time.Sleep(after)
					do()
				})
			}
			wg.Wait()
			r.stop(service)
			if st := service.Status(); st.ID != service.ID() || !st.NextTry.IsZero() {
				t.Errorf("got %+v, ID %q", st, service.ID())
			}
		})
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		service := r.make()
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- service.Run(ctx) }()
		time.Sleep(time.Hour)
		r.wantPersisted(service, service.ID().String())
		if err := service.Run(ctx); !errors.Is(err, keeper.ErrStarted) {
			t.Errorf("second Run: got error %v", err)
		}
		begin := time.Now()
		cancel()
		if err := <-ran; err != nil || time.Since(begin) != 0 {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

// TestStopLeavesNothing: a save that is under way on a disk that answers comes to its next step before Stop returns, so that
// a host which ends then leaves no temporary file.
func TestStopLeavesNothing(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpLink, faultfs.OpSyncDir, faultfs.OpExchange} {
		for skip := range 2 { // the anchor's, the config's
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(faultfs.Rule{Op: op, Skip: skip, Delay: 40 * time.Millisecond})
				service := r.start(lazily)
				time.Sleep(20 * time.Millisecond)
				begin := time.Now()
				if err := service.Stop(t.Context()); err != nil {
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

// TestRunEnds while all of the disk hangs: at once, but for the moment in which an operation that has just begun could end.
func TestRunEnds(t *testing.T) {
	for _, after := range []time.Duration{0, time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hostConfig)
			r.fs.Inject(faultfs.Rule{Hang: true})
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if err := r.make().Run(ctx); err != nil {
				t.Error(err)
			}
			if late := time.Since(r.log.begin) - after; late != 0 && (after > 0 || late > 100*time.Millisecond) {
				t.Errorf("Run took %v more than %v", late, after)
			}
		})
	}
}

func TestWaitSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second})
		service := r.start(lazily)
		select {
		case <-service.Settled():
			t.Error("settled before anything was written")
		default:
		}
		if err := service.WaitSettled(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(r.log.begin); d != 2*time.Second {
			t.Errorf("settled after %v", d)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			if err := service.WaitSettled(ended); err != nil {
				t.Fatalf("settled, and got error %v", err)
			}
		}
	})
}

// A witness is an observer that notes what it is told, and panics each time if it is to.
type witness struct {
	panics bool

	mu   sync.Mutex
	busy atomic.Int32
	told []string
}

func (w *witness) tell(format string, args ...any) {
	if w.busy.Add(1) > 1 {
		panic("called twice at a time")
	}
	defer w.busy.Add(-1)
	w.mu.Lock()
	w.told = append(w.told, fmt.Sprintf(format, args...))
	w.mu.Unlock()
	if w.panics {
		panic("observer")
	}
}

func (w *witness) SaveAttempted(a installid.SaveAttempt) {
	w.tell("attempt %d: %s in %v", a.Attempt, a.Result, a.Duration)
}
func (w *witness) FellBack(reason string)          { w.tell("fell back: %s", reason) }
func (w *witness) PersistedChanged(persisted bool) { w.tell("persisted: %v", persisted) }
func (w *witness) watch(c *rollcall.Config)        { c.Observer = w }

func (w *witness) want(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.EqualFunc(w.told, want, matches) {
		t.Errorf("the observer was told\n\t%s\nwant\n\t%s", strings.Join(w.told, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestObserver(t *testing.T) {
	const nextLook = -1
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
		}, nextLook, []string{
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
					service := r.start(w.watch)
					synctest.Wait()
					run := tt.run
					if run == nextLook {
						run = time.Until(service.Status().NextTry) + time.Second
					}
					time.Sleep(run)
					synctest.Wait()
					w.want(t, tt.want...)
				})
			})
		}
	}
}

// TestObserverOneAtATime tells the observer of a reset while the background tells it of a look.
func TestObserverOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		jitterAll(r.fs, rand.New(rand.NewPCG(1, 1)), 20*time.Minute)
		w := &witness{}
		service := r.start(w.watch, lazily)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { service.Reset(t.Context()) })
		}
		wg.Wait()
		st := service.Status()
		if got := idIn(r.fs); got != st.ID.String() {
			t.Errorf("got ID %q in the config, %q in use", got, st.ID)
		}
	})
}

// TestOneGoroutine: an idle service has no more than one.
func TestOneGoroutine(t *testing.T) {
	for name, set := range map[string]func(*rollcall.Config){"": func(*rollcall.Config) {}, "lazy": lazily} {
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
