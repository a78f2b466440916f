//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// TestRestartReal starts new processes on a config with an ID. They open
// nothing for writing, and log one line.
func TestRestartReal(t *testing.T) {
	t.Parallel()
	for _, isolate := range []bool{false, true} {
		for name, anchor := range map[string]bool{"with anchor": true, "without": false} {
			t.Run(fmt.Sprintf("%s/isolate=%v", name, isolate), func(t *testing.T) {
				t.Parallel()
				s := newFaultSite(t, withID(plainConfig, knownID))
				if anchor {
					s.write(filepath.Base(s.anchor), knownID+"\n")
				}
				s.faults.ClearCalls()
				h := s.host(func(s *setup) { s.Isolate = isolate })
				r := h.start()
				if r.ID.String() != knownID || !r.Status.Persisted {
					t.Errorf("got %+v", r.Status)
				}
				h.await("it is at rest", atRest)
				h.exit()
				if len(s.faults.Calls()) == 0 {
					t.Error("nothing was read")
				}
				for _, c := range s.faults.Changes() {
					t.Errorf("changed something: %v", c)
				}
				h.wantLog(lineStarted(true))
				s.before = plainConfig
				s.wantConfig(withID(plainConfig, knownID))
			})
		}
	}
}

// TestLeaksReal starts and stops 1,000 services in one process.
func TestLeaksReal(t *testing.T) {
	lab.NoLeaks(t)
	dir := t.TempDir()
	const sites, starts = 100, 10
	begin := time.Now()
	for i := range sites {
		path := filepath.Join(dir, fmt.Sprint(i), "config.json")
		for range starts {
			service, err := rollcall.New(rollcall.Config{ConfigPath: path, Lazy: i%4 == 0})
			must(t, err)
			must(t, service.Start(t.Context()))
			must(t, service.Stop(t.Context()))
		}
	}
	t.Logf("%v for each start and stop", time.Since(begin)/(sites*starts))
}

// TestLeaksAfterHangReal stops services while operations hang, which then
// continue.
func TestLeaksAfterHangReal(t *testing.T) {
	lab.NoLeaks(t)
	t.Run("", func(t *testing.T) {
		for _, op := range []lab.Op{lab.Read, lab.Fsync, lab.Exchange, lab.FsyncDir} {
			s := newFaultSite(t, plainConfig)
			fault := s.faults.Hang(op, "", lab.Always)
			service, err := rollcall.New(rollcall.Config{
				ConfigPath: s.config,
				Limits:     rollcall.Limits{Attempts: 2, AttemptTimeout: 50 * time.Millisecond, Backoff: 10 * time.Millisecond},
			})
			must(t, err)
			must(t, service.Start(t.Context()))
			fault.Await(1)
			begin := time.Now()
			must(t, service.Stop(t.Context()))
			if took := time.Since(begin); took > noWait {
				t.Errorf("Stop took %v", took)
			}
			fault.Release()
			eventually(t, "the operation is over", func() bool { return service.Status().Stuck == "" })
		}
	})
}

// TestD19FuncStoreReal has Load and Save functions of a host that hang,
// fail and panic.
func TestD19FuncStoreReal(t *testing.T) {
	lab.NoLeaks(t)
	tests := []struct {
		name      string
		fault     func() error // instead of the function
		persisted bool         // after the fault is over
	}{
		{"hangs", nil, true},
		{"fails", func() error { return unix.EIO }, false},
		{"fails for good", func() error { return fmt.Errorf("settings: %w", os.ErrPermission) }, false},
		{"panics", func() error { panic("on purpose") }, false},
		{"ends its goroutine", func() error { runtime.Goexit(); return nil }, false},
	}
	for _, of := range []string{"Load", "Save"} {
		for _, tt := range tests {
			t.Run(of+" "+tt.name, func(t *testing.T) {
				var running, most atomic.Int32
				var mu sync.Mutex
				stored := ""
				release := make(chan struct{})
				call := func(name string, do func()) error {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer running.Add(-1)
					if name == of && tt.fault != nil {
						return tt.fault()
					}
					if name == of {
						<-release
					}
					mu.Lock()
					defer mu.Unlock()
					do()
					return nil
				}
				service, err := rollcall.New(rollcall.Config{
					ID: rollcall.IDConfig{
						Load: func(context.Context) (id string, err error) {
							err = call("Load", func() { id = stored })
							return id, err
						},
						Save: func(_ context.Context, id string) error {
							return call("Save", func() { stored = id })
						},
					},
					Limits: rollcall.Limits{AttemptTimeout: 100 * time.Millisecond, Backoff: 20 * time.Millisecond, StartTimeout: patience},
				})
				must(t, err)
				begin := time.Now()
				must(t, service.Start(t.Context()))
				if took := time.Since(begin); took > startBound {
					t.Errorf("Start took %v", took)
				}
				st := service.Status()
				if st.ID.IsZero() || st.Persisted {
					t.Errorf("got %+v", st)
				}
				// After a timeout, the background tries again at once.
				if attempts := 3; !strings.Contains(tt.name, "for good") && st.Attempts < attempts {
					t.Errorf("got %d attempts, want at least %d", st.Attempts, attempts)
				}
				close(release)
				if tt.persisted {
					eventually(t, "the ID is persisted", func() bool { return service.Status().Persisted })
					if stored != service.ID().String() {
						t.Errorf("got %q stored, want %q", stored, service.ID())
					}
				}
				must(t, service.Stop(t.Context()))
				if most.Load() > 1 {
					t.Errorf("%d calls at once", most.Load())
				}
			})
		}
	}
}

// TestLongRunReal runs, asks, resets and restarts services while the disk
// hangs, is slow and fails, and an operator edits the config. It is most
// useful with the race detector.
func TestLongRunReal(t *testing.T) {
	lab.NoLeaks(t)
	t.Run("", testLongRun)
}

func testLongRun(t *testing.T) {
	s := newFaultSite(t, plainConfig)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(quickOr(4, 600))*time.Second)
	defer cancel()
	config := rollcall.Config{
		ConfigPath: s.config,
		Limits:     rollcall.Limits{AttemptTimeout: 100 * time.Millisecond, Backoff: 10 * time.Millisecond, StartTimeout: time.Second},
	}
	var starts, resets, asked atomic.Int64
	var agents sync.WaitGroup
	for range 4 {
		agents.Go(func() {
			for ctx.Err() == nil {
				service, err := rollcall.New(config)
				if err != nil {
					t.Error(err)
					return
				}
				life, end := context.WithTimeout(ctx, rand.N(500*time.Millisecond))
				begin := time.Now()
				if err := service.Start(life); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > startBound {
					t.Errorf("Start took %v", took)
				}
				starts.Add(1)
				for life.Err() == nil {
					asked.Add(1)
					if st := service.Status(); service.ID().IsZero() || st.ID.IsZero() {
						t.Errorf("got %+v", st)
					}
					if rand.N(200) == 0 {
						if _, err := service.Reset(life); err == nil {
							resets.Add(1)
						}
					}
					time.Sleep(time.Millisecond)
				}
				end()
				begin = time.Now()
				stopped, stop := context.WithTimeout(context.Background(), startBound)
				if err := service.Stop(stopped); err != nil || time.Since(begin) > noWait {
					t.Errorf("Stop took %v: %v", time.Since(begin), err)
				}
				stop()
			}
		})
	}
	edits := 0
	for ctx.Err() == nil {
		op := saveOps[rand.N(len(saveOps))].op
		switch rand.N(4) {
		case 0:
			s.faults.Hang(op, "", 1)
		case 1:
			s.faults.Delay(op, "", 20*time.Millisecond, 5)
		case 2:
			s.faults.Fail(op, "", unix.EIO, 2)
		case 3:
			edits++
			how := []edit{inPlace, byRename}[rand.N(2)]
			must(t, how.save(filepath.Join(s.dir, "config.json"), strings.Replace(plainConfig, "8080", fmt.Sprint(8080+edits), 1)))
		}
		time.Sleep(rand.N(100 * time.Millisecond))
		if rand.N(3) == 0 {
			s.faults.Reset()
			s.faults.ClearCalls() // which grow
		}
	}
	s.faults.Reset()
	agents.Wait()
	s.quiet()
	t.Logf("%d starts, %d resets, asked %d times, %d edits", starts.Load(), resets.Load(), asked.Load(), edits)

	// Everything that was abandoned is over. The operator's last edit
	// stands, and there is one ID.
	s.before = strings.Replace(plainConfig, "8080", fmt.Sprint(8080+edits), 1)
	s.wantWhole()
	id := s.restart()
	if again := s.restart(); again != id {
		t.Errorf("got ID %q after a restart, want %q", again, id)
	}
	s.wantConfig(withID(s.before, id.String()))
}
