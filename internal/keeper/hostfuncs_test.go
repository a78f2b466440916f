package keeper_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// hostSettings is the settings object of a host. Its functions can misbehave.
type hostSettings struct {
	mu           sync.Mutex
	id           string
	loads, saves int
	running, max int // concurrent calls

	onLoad, onSave func(context.Context) error
}

func (s *hostSettings) use(set *setup) {
	store, err := idstore.Location{}.OpenFuncs(nil, s.load, s.save)
	if err != nil {
		panic(err)
	}
	set.store = store
}

func (s *hostSettings) enter(count *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count++
	s.running++
	s.max = max(s.max, s.running)
}

func (s *hostSettings) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

func (s *hostSettings) load(ctx context.Context) (string, error) {
	s.enter(&s.loads)
	defer s.leave()
	if s.onLoad != nil {
		if err := s.onLoad(ctx); err != nil {
			return "", err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id, nil
}

func (s *hostSettings) save(ctx context.Context, id string) error {
	s.enter(&s.saves)
	defer s.leave()
	if s.onSave != nil {
		if err := s.onSave(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
	return nil
}

func (s *hostSettings) stored() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

func (s *hostSettings) set(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = id
}

func (s *hostSettings) counts() (loads, saves, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads, s.saves, s.max
}

func TestHostFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		var host hostSettings
		k := r.start(host.use)
		r.log.wantTimed(in(0, generated(k.ID())), in(0, persisted(1)), in(0, started(true)))
		r.wantState(k, host.stored(), true)
		r.stop(k)

		r.log.reset()
		again := r.start(host.use)
		r.log.want(started(true))
		r.wantState(again, host.stored(), true)
		time.Sleep(3 * time.Hour)
		if loads, saves, _ := host.counts(); saves != 1 || loads > 6 {
			t.Errorf("got %d saves and %d loads", saves, loads)
		}
		if ops := r.fs.Log(); len(ops) > 0 {
			t.Errorf("used the disk: %v", ops)
		}
	})
}

// TestHostFunctionsFail is D19.
func TestHostFunctionsFail(t *testing.T) {
	tests := []struct {
		name     string
		do       func(context.Context) error
		hangs    bool
		attempts int
		says     string
	}{
		{"hangs", nil, true, 3, "timed out"},
		{"hangs until its context ends", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, true, 3, ""},
		{"fails", func(context.Context) error { return errors.New("no connection") }, false, 3, "no connection"},
		{"fails for good", func(context.Context) error { return fmt.Errorf("write: %w", syscall.EROFS) }, false, 1, "write: read-only file system"},
		{"panics", func(context.Context) error { panic("oh") }, false, 3, "panic: oh"},
		{"panics with nothing", func(context.Context) error { panic(nil) }, false, 3, "panic"},
		{"ends its goroutine", func(context.Context) error { runtime.Goexit(); return nil }, false, 3, "ended its goroutine"},
		{"has an ID in its error", func(context.Context) error { return errors.New("duplicate " + knownID) }, false, 3, "duplicate " + knownID[:8] + "..."},
	}
	for _, where := range []string{"Load", "Save"} {
		for _, tt := range tests {
			t.Run(where+"/"+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, "")
					do := tt.do
					released := make(chan struct{})
					defer close(released)
					if do == nil {
						do = func(context.Context) error { <-released; return nil }
					}
					host := hostSettings{id: knownID, onLoad: do}
					if where == "Save" {
						host = hostSettings{onSave: do}
					}
					k := r.start(host.use)
					want := 3 * time.Second
					switch {
					case tt.hangs:
						want = 18 * time.Second
					case tt.attempts == 1:
						want = 0
					}
					if d := time.Since(r.log.begin); d != want {
						t.Errorf("Start took %v, want %v", d, want)
					}
					r.wantState(k, k.ID().String(), false)
					st := k.Status()
					if st.Attempts != tt.attempts || !strings.Contains(st.LastError, tt.says) {
						t.Errorf("got %d attempts, %q", st.Attempts, st.LastError)
					}
					if st.Provisional != (where == "Load") {
						t.Errorf("got provisional %v", st.Provisional)
					}
					time.Sleep(week)
					loads, saves, most := host.counts()
					if most != 1 {
						t.Errorf("%d concurrent calls", most)
					}
					if n := loads + saves; tt.do == nil && n > 2 || n > 2*250 {
						t.Errorf("called %d times in a week", n)
					}
				})
			})
		}
	}
}

// TestHostFunctionsRecover: functions that failed work again.
func TestHostFunctionsRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		var broken atomic.Bool
		broken.Store(true)
		fail := func(context.Context) error {
			if broken.Load() {
				return errors.New("no connection")
			}
			return nil
		}
		host := hostSettings{id: knownID, onLoad: fail}
		k := r.start(host.use)
		r.log.reset()
		broken.Store(false)
		time.Sleep(2 * time.Minute)
		r.log.want(adopted(knownID))
		r.wantState(k, knownID, true)
		if _, saves, _ := host.counts(); saves != 0 {
			t.Errorf("saved over an ID that could not be read")
		}
	})
}

// TestHostLosesID: the settings lose the ID, or get another one, while the
// keeper runs.
func TestHostLosesID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		host := hostSettings{id: strings.ToUpper(knownID)}
		k := r.start(host.use)
		r.wantState(k, knownID, true)
		r.log.reset()

		host.set("")
		time.Sleep(2 * time.Hour)
		r.log.want("INFO Installation ID persisted to config attempt=*") // not of a new ID
		r.wantState(k, knownID, true)
		if got := host.stored(); got != knownID {
			t.Errorf("got %q in the settings", got)
		}

		r.log.reset()
		host.set(otherID)
		time.Sleep(2 * time.Hour)
		r.log.want(adopted(otherID))
		r.wantState(k, otherID, true)

		r.log.reset()
		host.set("rubbish")
		time.Sleep(2 * time.Hour)
		r.log.want()
		r.wantState(k, otherID, true)
		if st := k.Status(); host.stored() != "rubbish" || !strings.Contains(st.LastError, "no installation ID") {
			t.Errorf("got %q in the settings, last error %q", host.stored(), st.LastError)
		}
	})
}

// TestHostKeepsAnotherID: what the settings hold is not overwritten, although
// it is no ID. It may be what the host counted by before.
func TestHostKeepsAnotherID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		host := hostSettings{id: "zK4w-91xQ"}
		begin := time.Now()
		k := r.start(host.use)
		if took := time.Since(begin); took != 0 {
			t.Errorf("took %v, though trying again is pointless", took)
		}
		st := k.Status()
		if !st.Provisional || st.Persisted || !strings.Contains(st.LastError, "FromLegacy") {
			t.Errorf("got %+v", st)
		}
		time.Sleep(3 * time.Hour)
		if _, saves, _ := host.counts(); saves != 0 || host.stored() != "zK4w-91xQ" {
			t.Errorf("got %d saves, and %q in the settings", saves, host.stored())
		}
		synctest.Wait()
		for _, line := range r.log.lines {
			if strings.Contains(line.text, "zK4w") {
				t.Errorf("logged %s", line.text)
			}
		}
		host.set(knownID)
		time.Sleep(2 * time.Hour)
		r.wantState(k, knownID, true)
		if _, err := k.Reset(t.Context()); err != nil {
			t.Errorf("Reset: %v", err)
		}
	})
}

// TestHostLosesIDAndFails: an ID that is lost and cannot be saved again does
// not count as persisted.
func TestHostLosesIDAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		host := hostSettings{id: knownID, onSave: func(context.Context) error { return errors.New("full") }}
		k := r.start(host.use)
		r.wantState(k, knownID, true)
		host.set("")
		time.Sleep(2 * time.Hour)
		r.wantState(k, knownID, false)
		if st := k.Status(); !strings.Contains(st.Reason, "full") {
			t.Errorf("got reason %q", st.Reason)
		}
	})
}
