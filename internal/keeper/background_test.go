package keeper_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// checks are the times at which the keeper checked the stored ID. A check
// opens the config first.
type checks struct {
	mu    sync.Mutex
	begin time.Time
	at    []time.Duration
}

// reset drops the checks and counts the time from now.
func (c *checks) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begin, c.at = time.Now(), nil
}

func (c *checks) all() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at)
}

func (r *rig) watchChecks() *checks {
	c := &checks{begin: time.Now()}
	r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: "config.json", If: func(e faultfs.Entry) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		at := time.Since(c.begin)
		if n := len(c.at); e.Flag&os.O_WRONLY == 0 && (n == 0 || c.at[n-1] != at) {
			c.at = append(c.at, at)
		}
		return false
	}})
	return c
}

// want checks the pauses before the checks. Each may be a tenth longer.
func (c *checks) want(t *testing.T, pauses ...time.Duration) {
	t.Helper()
	synctest.Wait() // for the check of this moment
	at := c.all()
	if len(at) < len(pauses) {
		t.Fatalf("got %d checks, want %d: %v", len(at), len(pauses), at)
	}
	last := time.Duration(0)
	for i, want := range pauses {
		if got := at[i] - last; got < want || got > want+want/10 {
			t.Errorf("check %d came after %v, want %v to %v", i, got, want, want+want/10)
		}
		last = at[i]
	}
}

// TestRetrySchedule is rule 6: the keeper tries again after a minute, then after
// twice as long each time up to an hour, for as long as it takes.
func TestRetrySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO})
		k := r.start()
		synctest.Wait()
		r.log.reset()
		c := r.watchChecks()
		next := k.Status().NextTry
		time.Sleep(week)
		synctest.Wait()
		c.want(t, time.Minute, 2*time.Minute, 4*time.Minute, 8*time.Minute, 16*time.Minute, 32*time.Minute,
			time.Hour, time.Hour, time.Hour)
		if got := c.begin.Add(c.all()[0]); !got.Equal(next) {
			t.Errorf("checked at %v, announced for %v", got, next)
		}
		if n := len(c.all()); n < 150 || n > 180 {
			t.Errorf("got %d checks in a week", n)
		}
		r.log.want()
		r.wantState(k, k.ID().String(), false)

		fault.Release()
		time.Sleep(2 * time.Hour)
		r.log.want("INFO Installation ID persisted to config attempt=*")
		r.wantPersisted(k, k.ID().String())
	})
}

// TestHourlyCheck runs an idle keeper.
func TestHourlyCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.start()
		synctest.Wait()
		c := r.watchChecks()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		c.want(t, time.Hour, time.Hour, time.Hour, time.Hour)
		r.wantNoMutation()
		r.log.want(started(true))
	})
}

// TestLook: an ID that another process put into the config is adopted within a
// minute, and the anchor follows. Everything else waits for the check once an
// hour.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		k := r.start(func(s *setup) { s.Look = true })
		synctest.Wait()
		c := r.watchChecks()
		r.log.reset()
		next := k.Status().NextTry
		time.Sleep(10*time.Minute + time.Second)
		c.want(t, slices.Repeat([]time.Duration{time.Minute}, 10)...)
		r.log.want()
		r.wantNoMutation()

		r.fs.WriteFile(configPath, []byte(withID(otherID)), 0o640)
		time.Sleep(time.Minute)
		r.log.want(adopted(otherID))
		r.wantPersisted(k, otherID)
		if st := k.Status(); !st.NextTry.Equal(next) || st.Attempts != 1 {
			t.Errorf("got %+v, want the next check at %v", st, next)
		}

		// So a save of the host that removes it does not bring back the old one.
		r.fs.WriteFile(configPath, []byte(hostConfig), 0o640)
		time.Sleep(10 * time.Minute)
		r.wantState(k, otherID, true)
		r.wantFile(configPath, hostConfig)
		time.Sleep(time.Hour)
		r.wantFile(configPath, withID(otherID))

		// What cannot be read changes nothing, however long it takes.
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Hang: true})
		r.fs.WriteFile(configPath, []byte(withID(knownID)), 0o640)
		time.Sleep(30 * time.Minute)
		r.wantState(k, otherID, true)
		fault.Release()
		synctest.Wait()
		r.wantPersisted(k, knownID)

		c.reset()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := len(c.all()); n < 23*60 || n > 25*60 {
			t.Errorf("read %d times in a day, want about once a minute", n)
		}
	})
}

// TestNoFight is rule 9: the keeper copies the ID at most once an hour to the
// config of a host that removes it with every save.
func TestNoFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		k := r.start()
		id := k.ID().String()
		var copies []time.Time
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, After: func() { copies = append(copies, time.Now()) }})
		for range 24 * 60 {
			r.fs.WriteFile(configPath, []byte(hostConfig), 0o640)
			time.Sleep(time.Minute)
			r.wantState(k, id, true)
		}
		synctest.Wait()
		if n := len(copies); n < 21 || n > 24 {
			t.Errorf("copied %d times in a day", n)
		}
		for i := range copies[1:] {
			if d := copies[i+1].Sub(copies[i]); d < time.Hour {
				t.Errorf("copied again after %v", d)
			}
		}
	})
}

// TestKeyRemoved: after the next start the ID is copied from the anchor to the
// config again. The start does not wait for that.
func TestKeyRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second})
		k := r.start()
		if d := time.Since(r.log.begin); d != 0 {
			t.Errorf("Start took %v", d)
		}
		r.log.want(started(true))
		r.wantState(k, knownID, true)
		if st := k.Status(); !st.Incomplete || st.Reason == "" {
			t.Errorf("got %+v while the config has no ID", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		r.wantPersisted(k, knownID)
		r.log.wantTimed(in(0, started(true)), in(time.Second, persisted(1)))
		if st := k.Status(); st.Incomplete || st.Reason != "" || st.Attempts != 2 {
			t.Errorf("got %+v", st)
		}
	})
}

// TestBothRemoved removes the config and the anchor while the keeper runs. It
// writes both again within the hour, with the same ID.
func TestBothRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		r.log.reset()
		r.fs.Delete("/srv")
		time.Sleep(66 * time.Minute)
		r.log.want(persisted(1))
		r.wantPersisted(k, knownID)
	})
}

// TestAnchorMissing: the hourly check publishes the anchor.
func TestAnchorMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		time.Sleep(59 * time.Minute)
		r.wantFiles(configPath)
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		r.wantPersisted(k, knownID)
		r.wantFile(configPath, withID(knownID))
		r.log.want(started(true))
	})
}

// TestOtherIDInConfig: the keeper adopts another ID that the operator, or a
// reset in another process, put into the config.
func TestOtherIDInConfig(t *testing.T) {
	changes := map[string]func(*rig){
		"edit": func(r *rig) { r.fs.WriteFile(configPath, []byte(withID(otherID)), 0o640) },
		"reset": func(r *rig) {
			other := r.newKeeperOn(r.fs.As("operator"))
			id, err := other.Reset(r.t.Context())
			if err != nil {
				r.t.Fatal(err)
			}
			r.wantState(other, id.String(), true)
		},
		"config removed, another anchor": func(r *rig) {
			r.fs.Delete(configPath)
			r.fs.WriteFile(anchorPath, []byte(otherID+"\n"), 0o640)
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withID(knownID))
				k := r.start()
				time.Sleep(90 * time.Minute)
				change(r)
				r.log.reset()
				want := idIn(r.fs)
				if want == "" {
					want = otherID
				}
				time.Sleep(66 * time.Minute)
				synctest.Wait()
				r.wantPersisted(k, want)
				if name != "config removed, another anchor" {
					r.log.want(adopted(want))
				}
			})
		})
	}
}

// TestReset: a reset stores the new ID everywhere at once.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		id, err := k.Reset(t.Context())
		if err != nil || id.String() == knownID {
			t.Fatalf("got ID %q, %v", id, err)
		}
		r.wantPersisted(k, id.String())
		r.wantFile(configPath, withID(id.String()))
		r.stop(k)
		r.wantState(r.start(), id.String(), true)
	})
}

// TestResetBeforeStart: the ID of a reset stays in use even if the start cannot
// read it.
func TestResetBeforeStart(t *testing.T) {
	for _, op := range []faultfs.Op{"none", faultfs.OpRead} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, withID(knownID))
			k := r.newKeeper()
			id, err := k.Reset(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if op == faultfs.OpRead {
				r.fs.Inject(faultfs.Rule{Op: op, Hang: true})
			}
			k.Start(t.Context())
			r.wantState(k, id.String(), true)
		})
	}
}

// TestResetFails: the old ID stays in use if it cannot be retired.
func TestResetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		k := r.start()
		synctest.Wait() // until the ID that was found is synced
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO})
		if id, err := k.Reset(t.Context()); err == nil || !id.IsZero() {
			t.Errorf("got ID %q, %v", id, err)
		}
		r.wantState(k, knownID, true)
		r.fs.ReleaseAll()
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if _, err := k.Reset(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v", err)
		}
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("Reset took %v", d)
		}
		r.wantState(k, knownID, true)
	})
}

// TestResetDuringCheck resets the ID while a check that has read the old one is
// slow. The check does not put the old ID back into use.
func TestResetDuringCheck(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpRead, faultfs.OpClose, faultfs.OpStat} {
		for skip := range 4 {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withID(knownID))
				r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
				k := r.start()
				synctest.Wait()
				r.fs.Inject(faultfs.Rule{Op: op, Skip: skip, Times: 1, Delay: time.Minute})
				time.Sleep(time.Until(k.Status().NextTry) + time.Second)
				id, err := k.Reset(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute)
				r.wantPersisted(k, id.String())
			})
		}
	}
}

// TestSeparateAnchor: with an anchor in another directory, the ID is persisted
// although the config is read-only.
func TestSeparateAnchor(t *testing.T) {
	const stateDir, anchor = "/var/lib/app", "/var/lib/app/.config.json.installation-id"
	separate := func(s *setup) { s.AnchorDir = stateDir }
	for name, protect := range map[string]func(*faultfs.FS){
		"mode":        func(f *faultfs.FS) { f.Chmod(configPath, 0o444) },
		"file system": func(f *faultfs.FS) { f.MarkReadOnly("/srv") },
		"permission": func(f *faultfs.FS) {
			f.MkdirAll("/var", 0o777)
			f.Chmod(configPath, 0o644)
			f.SetUser(1000, 1000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				protect(r.fs)
				k := r.start(separate)
				id := k.ID().String()
				r.log.wantTimed(in(0, generated(k.ID())), in(0, failed("save installation ID: *", 1)), in(0, started(true)))
				r.wantState(k, id, true)
				r.wantFile(configPath, hostConfig)
				r.wantFiles(configPath, anchor)
				if data, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(anchor); string(data) != id+"\n" {
					t.Errorf("got anchor %q after a power cut", data)
				}
				time.Sleep(24 * time.Hour)
				r.stop(k)
				r.log.reset()
				again := r.start(separate)
				r.log.want(started(true))
				r.wantState(again, id, true)

				// The reset of another process is adopted within about an hour.
				time.Sleep(time.Hour)
				reset, err := r.newKeeper(separate).Reset(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(66 * time.Minute)
				r.wantState(again, reset.String(), true)
			})
		})
	}
}
