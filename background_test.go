package rollcall_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// looks gives the times at which the config was opened, one for each look, from the log of the disk.
type looks struct {
	begin time.Time
	at    []time.Duration
}

// watchLooks notes each look. A look reads the config first.
func (r *rig) watchLooks() *looks {
	l := &looks{begin: time.Now()}
	r.fs.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: "config.json", If: func(e faultfs.Entry) bool {
		at := time.Since(l.begin)
		if n := len(l.at); e.Flag&os.O_WRONLY == 0 && (n == 0 || l.at[n-1] != at) {
			l.at = append(l.at, at)
		}
		return false
	}})
	return l
}

// wantSchedule checks the pauses between looks, of which each may be longer by a tenth.
func (l *looks) want(t *testing.T, pauses ...time.Duration) {
	t.Helper()
	if len(l.at) < len(pauses) {
		t.Fatalf("got %d looks, want %d: %v", len(l.at), len(pauses), l.at)
	}
	last := time.Duration(0)
	for i, want := range pauses {
		if got := l.at[i] - last; got < want || got > want+want/10 {
			t.Errorf("look %d came after %v, want %v to %v", i, got, want, want+want/10)
		}
		last = l.at[i]
	}
}

// TestRetrySchedule is rule 6: a minute, doubling to an hour, for as long as it takes.
func TestRetrySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO})
		service := r.start()
		synctest.Wait()
		r.log.reset()
		l := r.watchLooks()
		next := service.Status().NextTry
		time.Sleep(week)
		synctest.Wait()
		l.want(t, time.Minute, 2*time.Minute, 4*time.Minute, 8*time.Minute, 16*time.Minute, 32*time.Minute,
			time.Hour, time.Hour, time.Hour)
		if got := l.begin.Add(l.at[0]); !got.Equal(next) {
			t.Errorf("looked at %v, announced for %v", got, next)
		}
		if n := len(l.at); n < 150 || n > 180 {
			t.Errorf("got %d looks in a week", n)
		}
		r.log.want()
		r.wantState(service, service.ID().String(), false)

		fault.Release()
		time.Sleep(2 * time.Hour)
		r.log.want("INFO Installation ID persisted to config attempt=*")
		r.wantPersisted(service, service.ID().String())
	})
}

// TestHourlyLook is an idle service.
func TestHourlyLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.start()
		synctest.Wait()
		l := r.watchLooks()
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		l.want(t, time.Hour, time.Hour, time.Hour, time.Hour)
		r.wantNoMutation()
		r.log.want(started(true))
	})
}

// TestNoFight is rule 9: a host that removes the key with every save gets it back at most once an hour.
func TestNoFight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		service := r.start()
		id := service.ID().String()
		var copies []time.Time
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, After: func() { copies = append(copies, time.Now()) }})
		for range 24 * 60 {
			r.fs.WriteFile(configPath, []byte(hostConfig), 0o640)
			time.Sleep(time.Minute)
			r.wantState(service, id, true)
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

// TestKeyRemoved: the key comes back from the anchor at the next start, which does not wait for it.
func TestKeyRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second})
		service := r.start()
		if d := time.Since(r.log.begin); d != 0 {
			t.Errorf("Start took %v", d)
		}
		r.log.want(started(true))
		r.wantState(service, knownID, true)
		if st := service.Status(); !st.Incomplete || st.Reason == "" {
			t.Errorf("got %+v while the config has no ID", st)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		r.wantPersisted(service, knownID)
		r.log.wantTimed(in(0, started(true)), in(time.Second, persisted(2)))
		if st := service.Status(); st.Incomplete || st.Reason != "" || st.Attempts != 2 {
			t.Errorf("got %+v", st)
		}
	})
}

// TestBothRemoved loses the config's key and the anchor while the service runs: both come back within the hour, and
// this is no new ID.
func TestBothRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		r.log.reset()
		r.fs.Delete("/srv")
		time.Sleep(66 * time.Minute)
		r.log.want("INFO Installation ID persisted to config attempt=2")
		r.wantPersisted(service, knownID)
	})
}

// TestAnchorMissing: it is made by the hourly look.
func TestAnchorMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		time.Sleep(59 * time.Minute)
		r.wantFiles(configPath)
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		r.wantPersisted(service, knownID)
		r.wantFile(configPath, withID(knownID))
		r.log.want(started(true))
	})
}

// TestOtherIDInConfig: the operator, or a reset by another process, puts another ID into the config.
func TestOtherIDInConfig(t *testing.T) {
	changes := map[string]func(*rig){
		"edit": func(r *rig) { r.fs.WriteFile(configPath, []byte(withID(otherID)), 0o640) },
		"reset": func(r *rig) {
			other := r.makeOn(r.fs.As("operator"))
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
				service := r.start()
				time.Sleep(90 * time.Minute)
				change(r)
				r.log.reset()
				want := idIn(r.fs)
				if want == "" {
					want = otherID
				}
				time.Sleep(66 * time.Minute)
				synctest.Wait()
				r.wantPersisted(service, want)
				if name != "config removed, another anchor" {
					r.log.want(adopted(want))
				}
			})
		})
	}
}

// TestReset puts a new ID everywhere at once.
func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		id, err := service.Reset(t.Context())
		if err != nil || id.String() == knownID {
			t.Fatalf("got ID %q, %v", id, err)
		}
		r.wantPersisted(service, id.String())
		r.wantFile(configPath, withID(id.String()))
		r.stop(service)
		r.wantState(r.start(), id.String(), true)
	})
}

// TestResetBeforeStart keeps the ID, also when the start cannot read it.
func TestResetBeforeStart(t *testing.T) {
	for _, op := range []faultfs.Op{"none", faultfs.OpRead} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, withID(knownID))
			service := r.make()
			id, err := service.Reset(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if op == faultfs.OpRead {
				r.fs.Inject(faultfs.Rule{Op: op, Hang: true})
			}
			service.Start(t.Context())
			r.wantState(service, id.String(), true)
		})
	}
}

// TestResetFails keeps the old ID.
func TestResetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		service := r.start()
		r.fs.Chmod(configPath, 0o444)
		if id, err := service.Reset(t.Context()); err == nil || !id.IsZero() {
			t.Errorf("got ID %q, %v", id, err)
		}
		r.wantState(service, knownID, true)
		r.fs.Chmod(configPath, 0o644)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if _, err := service.Reset(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v", err)
		}
		if d := time.Since(begin); d != time.Minute {
			t.Errorf("Reset took %v", d)
		}
		r.wantState(service, knownID, true)
	})
}

// TestResetDuringLook resets while a look has already read the old ID and hangs on: it does not put the old one back
// into use.
func TestResetDuringLook(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.OpRead, faultfs.OpClose, faultfs.OpStat} {
		for skip := range 4 {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withID(knownID))
				r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
				service := r.start()
				synctest.Wait()
				r.fs.Inject(faultfs.Rule{Op: op, Skip: skip, Times: 1, Delay: time.Minute})
				time.Sleep(time.Until(service.Status().NextTry) + time.Second)
				id, err := service.Reset(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute)
				r.wantPersisted(service, id.String())
			})
		}
	}
}

// TestStateDir is a read-only config whose anchor lives elsewhere: the ID is persisted there.
func TestStateDir(t *testing.T) {
	const stateDir, anchor = "/var/lib/app", "/var/lib/app/.config.json.installation-id"
	apart := func(c *rollcall.Config) { c.StateDir = stateDir }
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
				service := r.start(apart)
				id := service.ID().String()
				r.log.wantTimed(in(0, generated(service.ID())), in(0, failed("save installation ID: *", 1)), in(0, started(true)))
				r.wantState(service, id, true)
				r.wantFile(configPath, hostConfig)
				r.wantFiles(configPath, anchor)
				if data, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(anchor); string(data) != id+"\n" {
					t.Errorf("got anchor %q after a power cut", data)
				}
				time.Sleep(24 * time.Hour)
				r.stop(service)
				r.log.reset()
				again := r.start(apart)
				r.log.want(started(true))
				r.wantState(again, id, true)

				// Another process resets it: adopted within about the hour.
				time.Sleep(time.Hour)
				reset, err := r.makeOn(r.fs, apart).Reset(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(66 * time.Minute)
				r.wantState(again, reset.String(), true)
			})
		})
	}
}

// TestConsentAfterFault: a config that cannot be read for a moment denies consent, and is soon looked at again.
func TestConsentAfterFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(withID(knownID), "false", "true", 1))
		service := r.start()
		want := func(want rollcall.Consent) {
			t.Helper()
			synctest.Wait()
			if got := service.Status().Consent; got != want {
				t.Errorf("got consent %v, want %v", got, want)
			}
		}
		want(rollcall.Granted)
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpRead, Err: syscall.EIO})
		time.Sleep(66 * time.Minute)
		want(rollcall.Denied)
		r.wantState(service, knownID, true)
		fault.Remove()
		time.Sleep(15 * time.Minute)
		want(rollcall.Granted)
	})
}
