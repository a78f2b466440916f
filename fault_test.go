package rollcall_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestTransientFaults is D6: three attempts, the old config whole, nothing left behind, and the background carries on.
func TestTransientFaults(t *testing.T) {
	errnos := []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.ESTALE}
	ops := []faultfs.Op{faultfs.OpWrite, faultfs.OpSync, faultfs.OpLink, faultfs.OpClose}
	for i, errno := range errnos {
		for _, op := range ops {
			t.Run(fmt.Sprintf("%s/%v", op, errno), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, hostConfig)
					rule := faultfs.Rule{Op: op, Err: errno, Name: "*.tmp"}
					if i%2 == 1 {
						rule.Err, rule.AfterErr = nil, errno // carried out, and called a failure
					}
					if op == faultfs.OpLink && rule.AfterErr != nil {
						return // the anchor is there, and the next attempt finds it
					}
					fault := r.fs.Inject(rule)
					service := r.start()
					why := "save installation ID: *" + errno.Error()
					r.log.wantTimed(
						in(0, generated(service.ID())),
						in(0, failed(why, 1)),
						in(time.Second, failed(why, 2)),
						in(3*time.Second, failed(why, 3)),
						in(3*time.Second, inMemory(service.ID(), why)),
						in(3*time.Second, started(false)),
					)
					r.wantFile(configPath, hostConfig)
					r.wantFiles(configPath)
					if st := service.Status(); st.Attempts != 3 || st.Persisted || !strings.HasSuffix(st.LastError, errno.Error()) {
						t.Errorf("got %+v", st)
					}

					r.log.reset()
					fault.Remove()
					time.Sleep(2 * time.Minute)
					r.log.want(persisted(4))
					r.wantPersisted(service, service.ID().String())
				})
			})
		}
	}
}

// TestConfigCannotBeReplaced lets everything but the commit of the config work: the anchor holds the ID.
func TestConfigCannotBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: syscall.EIO})
		service := r.start()
		why := "save installation ID: *input/output error"
		r.wantState(service, service.ID().String(), true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.log.wantTimed(in(0, generated(service.ID())), in(0, failed(why, 1)), in(0, started(true)),
			in(time.Second, failed(why, 2)), in(3*time.Second, failed(why, 3)))
		r.wantState(service, service.ID().String(), true)
		r.wantFile(configPath, hostConfig)
		r.wantFiles(anchorPath, configPath)
		if st := service.Status(); !st.Incomplete || !strings.Contains(st.Reason, "input/output error") || !strings.HasPrefix(st.Place, "anchor ") {
			t.Errorf("got %+v", st)
		}
	})
}

// TestConfigKeptOpen is a host that keeps its config open for writing, so that nothing can take its place: the start is
// over as soon as the anchor holds the ID. The config gets it when the host has closed it.
func TestConfigKeptOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		open, err := r.fs.OpenFile(configPath, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		service := r.start()
		if d := time.Since(r.log.begin); d > 300*time.Millisecond {
			t.Errorf("Start took %v", d)
		}
		r.log.want(generated(service.ID()), failed("*is being changed by another program all the time", 1), started(true))
		r.wantState(service, service.ID().String(), true)
		if got, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(anchorPath); string(got) != service.ID().String()+"\n" {
			t.Errorf("got anchor %q after a power cut", got)
		}
		r.wantFile(configPath, hostConfig)
		r.log.reset()
		if err := open.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.log.want(persisted(2))
		r.wantPersisted(service, service.ID().String())
	})
}

func TestFullDisk(t *testing.T) {
	for name, free := range map[string][2]int{"bytes": {0, -1}, "some bytes": {20, -1}, "inodes": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.SetFree(free[0], free[1])
				service := r.start()
				if d := time.Since(r.log.begin); d != 3*time.Second {
					t.Errorf("Start took %v", d)
				}
				r.wantState(service, service.ID().String(), false)
				r.wantFile(configPath, hostConfig)
				r.wantFiles(configPath)
				r.fs.SetFree(-1, -1)
				time.Sleep(2 * time.Minute)
				r.wantPersisted(service, service.ID().String())
			})
		})
	}
}

// TestFsyncOnce is D15: an fsync fails once and then says OK; the pages that it lost are written anew.
func TestFsyncOnce(t *testing.T) {
	for skip := range 2 { // the anchor's file, the config's
		for _, op := range []faultfs.Op{faultfs.OpSync, faultfs.OpSyncDir} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(faultfs.Rule{Op: op, Err: syscall.EIO, Skip: skip, Times: 1})
				service := r.start()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				lines := []string{
					in(0, generated(service.ID())),
					in(0, failed("*input/output error", 1)),
					in(time.Second, persisted(2)),
					in(time.Second, started(true)),
				}
				if skip == 1 { // the anchor holds the ID by then, and the start is over
					lines[2], lines[3] = in(0, started(true)), in(time.Second, persisted(2))
				}
				r.log.wantTimed(lines...)
				r.wantPersisted(service, service.ID().String())
				r.wantFiles(anchorPath, configPath)
			})
		}
	}
}

// TestDurable is D16 and D12 at the level of a service: once the ID is called persisted no power cut loses it, and
// before that none leaves a config that is neither old nor new.
func TestDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			r := newRig(t, hostConfig)
			dying := r.fs.As("dying")
			dying.StepLimit(n)
			service := r.makeOn(dying, func(c *rollcall.Config) { c.Limits.Attempts = 1 })
			service.Start(t.Context())
			st := service.Status()
			for disk := range r.fs.SampleCrashStates(40, uint64(n)) {
				id := idIn(disk)
				if data, _ := disk.ReadFile(configPath); string(data) != hostConfig && (id == "" || string(data) != withID(id)) {
					t.Fatalf("step %d, %s: got config\n%s", n, disk.Origin(), data)
				}
				anchor, _ := disk.ReadFile(anchorPath)
				if st.Persisted && id != st.ID.String() && string(anchor) != st.ID.String()+"\n" {
					t.Fatalf("step %d, %s: called persisted and lost", n, disk.Origin())
				}
			}
			r.stop(service)
			if !dying.Killed() {
				if !st.Persisted {
					t.Error("not persisted by a process that was not killed")
				}
				return
			}
		}
	})
}

// TestDurableAfterKill is D16 where the process that stored the ID was killed: the next one finds an ID that need not be
// durable yet, and makes it so as soon as it has started, without a write to it. So it is with a reset that was killed:
// whichever ID the next process takes, it stays.
func TestDurableAfterKill(t *testing.T) {
	tests := map[string]func(r *rig, dying *rollcall.Service){
		"first start": func(r *rig, dying *rollcall.Service) { dying.Start(r.t.Context()) },
		"reset":       func(r *rig, dying *rollcall.Service) { dying.Reset(r.t.Context()) },
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for n := 1; ; n++ {
					r := newRig(t, hostConfig)
					if name == "reset" {
						r = newRig(t, withID(knownID))
						r.fs.WriteFile(anchorPath, []byte(knownID+"\n"), 0o640)
					}
					dying := r.fs.As("dying")
					dying.StepLimit(n)
					killed := r.makeOn(dying, func(c *rollcall.Config) { c.Limits.Attempts = 1 })
					act(r, killed)
					r.stop(killed)
					if !dying.Killed() {
						return
					}
					next := r.start()
					synctest.Wait()
					r.stop(next)
					st := next.Status()
					if !st.Persisted {
						t.Fatalf("step %d: not persisted: %s", n, st.Reason)
					}
					for disk := range r.fs.SampleCrashStates(40, uint64(n)) {
						after := r.makeOn(disk)
						after.Start(t.Context())
						if after.ID() != st.ID {
							t.Fatalf("step %d, %s: got ID %s after a power cut, want %s", n, disk.Origin(), after.ID(), st.ID)
						}
						r.stop(after)
					}
				}
			})
		})
	}
}

// TestResetKilledBetween: a reset was killed when the config had the new ID and the anchor still the old one. The anchor
// follows at the next start, so that a host which then removes the key does not bring the old ID back.
func TestResetKilledBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(otherID+"\n"), 0o640)
		service := r.start()
		synctest.Wait()
		r.log.want(started(true))
		r.wantPersisted(service, knownID)
		r.wantFile(configPath, withID(knownID))
	})
}

// TestStoredIDNotDurable: the ID is stored, and the disk refuses to make it durable. It is in use, and not called
// persisted any longer, until a sync succeeds.
func TestStoredIDNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second, Err: syscall.EIO})
		service := r.start()
		r.wantState(service, knownID, true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.wantState(service, knownID, false)
		if st := service.Status(); !strings.Contains(st.Reason, "input/output error") || st.NextTry.IsZero() {
			t.Errorf("got %+v", st)
		}
		r.wantNoMutation()
		fault.Remove()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wantPersisted(service, knownID)
		r.log.want(started(true))
	})
}

// TestUnsyncedIsNotTrusted is D15 over the attempts: a process that could not make its ID durable does not trust it when
// it reads it back, nor a sync that then says OK, but writes it once more.
func TestUnsyncedIsNotTrusted(t *testing.T) {
	tests := map[string]struct {
		change func(*rollcall.Config)
		skip   int // folder syncs before the one that fails
	}{
		"config":     {func(*rollcall.Config) {}, 1},
		"state file": {func(c *rollcall.Config) { c.ConfigPath, c.App, c.StateDir = "", "app", "/srv/app" }, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO, Skip: tt.skip, Times: 1})
				service := r.start(tt.change, func(c *rollcall.Config) { c.Limits.Attempts = 1 })
				id := service.ID().String()
				synctest.Wait()
				if fault.Hits() != 1 {
					t.Fatalf("%d syncs failed", fault.Hits())
				}
				r.fs.ResetLog()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				r.wantState(service, id, true)
				if !slices.ContainsFunc(r.mutations(), func(op string) bool { return strings.Contains(op, "exchange") }) {
					t.Errorf("not written once more: %q", r.mutations())
				}
			})
		})
	}
}

// TestNotAFile is D8.
func TestNotAFile(t *testing.T) {
	tests := []struct {
		name string
		make func(*faultfs.FS)
		says string
	}{
		{"folder", func(f *faultfs.FS) { f.MkdirAll(configPath, 0o755) }, "a folder"},
		{"device", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeDevice|fs.ModeCharDevice|0o666) }, "a device"},
		{"FIFO", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeNamedPipe|0o666) }, "a FIFO"},
		{"socket", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeSocket|0o666) }, ""},
		{"symlink loop", func(f *faultfs.FS) { f.Symlink(configPath, configPath) }, "symbolic links"},
		{"below a file", func(f *faultfs.FS) { f.WriteFile("/srv/app", nil, 0o644) }, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				tt.make(r.fs)
				before := r.fs.Files()
				service := r.start()
				why := "*" + tt.says + "*"
				r.log.wantTimed(
					in(0, failed(why, 1)),
					in(0, generated(service.ID())),
					in(0, inMemory(service.ID(), why)),
					in(0, started(false)),
				)
				r.wantFiles(before...)
				for _, e := range r.fs.Log() {
					if e.Op == faultfs.OpRead && e.Err == nil {
						t.Errorf("read from it: %v", e)
					}
				}
			})
		})
	}
}

// TestBindMountedFile is D9: nothing can take the config's place, so it is written in place.
func TestBindMountedFile(t *testing.T) {
	tests := map[string]struct {
		set    func(*rig)
		anchor bool
	}{
		"mount point": {func(r *rig) { r.fs.MarkMountPoint(configPath) }, true},
		"rename says EBUSY": {func(r *rig) {
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: syscall.EBUSY})
			r.fs.Inject(faultfs.Rule{Op: faultfs.OpRename, Name: "config.json", Err: syscall.EBUSY})
		}, true},
		"no files in the folder": {func(r *rig) {
			r.fs.Chown(configPath, 1000, 1000)
			r.fs.SetUser(1000, 1000)
		}, false},
		"folder on a read-only file system": {func(r *rig) {
			r.fs.MarkMountPoint(configPath)
			r.fs.MarkReadOnly("/srv")
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				tt.set(r)
				service := r.start()
				id := service.ID().String()
				r.log.want(generated(service.ID()), persisted(1), started(true))
				if got := strings.TrimRight(r.read(configPath), " "); got != withID(id) {
					t.Errorf("got config\n%s", got)
				}
				if got := idIn(r.fs.Crash(faultfs.LoseUnsynced)); got != id {
					t.Errorf("got ID %q after a power cut", got)
				}
				_, err := r.fs.ReadFile(anchorPath)
				if has := err == nil; has != tt.anchor {
					t.Errorf("got an anchor: %v, want %v", has, tt.anchor)
				}
				time.Sleep(3 * time.Hour)
				r.log.want(generated(service.ID()), persisted(1), started(true))
			})
		})
	}
}

// TestSymlink is D10.
func TestSymlink(t *testing.T) {
	for name, other := range map[string]bool{"another folder": false, "another file system": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				r.fs.WriteFile("/data/real.json", []byte(hostConfig), 0o640)
				r.fs.Symlink("../../data/real.json", configPath)
				if other {
					r.fs.MarkMountPoint("/data")
				}
				service := r.start()
				r.wantPersisted(service, service.ID().String())
				r.wantFile("/data/real.json", withID(service.ID().String()))
				r.wantFiles("/data/real.json", anchorPath, configPath)
				if a, _ := r.fs.Attributes(configPath); a.Mode.Type() != fs.ModeSymlink {
					t.Errorf("the link became %v", a.Mode)
				}
			})
		})
	}
}

// TestSweep is D18: what a killed process left behind is removed at the next start, by its name and age.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		for n := range 40 { // wherever it is killed
			dying := r.fs.As("dying")
			dying.StepLimit(n)
			r.stop(r.startOn(dying))
		}
		r.fs.WriteFile("/srv/app/.config.json.rollcall-mine.tmp", nil, 0o644)
		r.fs.WriteFile("/srv/app/config.json.tmp", nil, 0o644)
		if len(r.fs.Files()) < 8 {
			t.Fatalf("got only %q", r.fs.Files())
		}
		time.Sleep(time.Hour)
		service := r.start()
		synctest.Wait()
		r.wantFiles(anchorPath, "/srv/app/.config.json.rollcall-mine.tmp", configPath, "/srv/app/config.json.tmp")
		r.wantState(service, idIn(r.fs), true)
	})
}

func (r *rig) startOn(fs *faultfs.FS, change ...func(*rollcall.Config)) *rollcall.Service {
	service := r.makeOn(fs, change...)
	service.Start(r.t.Context())
	return service
}

// TestLocks is D20: a lock's holder hangs or dies, or there are no locks.
func TestLocks(t *testing.T) {
	tests := []struct {
		name string
		set  func(*rig)
		took time.Duration
	}{
		{"holder hangs", func(r *rig) {
			if _, err := r.fs.As("other").LockDir("/srv/app"); err != nil {
				r.t.Fatal(err)
			}
		}, time.Second},
		{"holder dies", func(r *rig) {
			other := r.fs.As("other")
			if _, err := other.LockDir("/srv/app"); err != nil {
				r.t.Fatal(err)
			}
			time.AfterFunc(100*time.Millisecond, other.Kill)
		}, 100 * time.Millisecond},
		{"ENOLCK", func(r *rig) { r.fs.Inject(faultfs.Rule{Op: faultfs.OpLock, Err: syscall.ENOLCK}) }, 0},
		{"unsupported", func(r *rig) { r.fs.Inject(faultfs.Rule{Op: faultfs.OpLock, Err: errors.ErrUnsupported}) }, 0},
		{"always held", func(r *rig) { r.fs.Inject(faultfs.Rule{Op: faultfs.OpLock, Err: fsys.ErrLocked}) }, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				tt.set(r)
				service := r.start()
				if d := time.Since(r.log.begin); d < tt.took || d > tt.took+50*time.Millisecond {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
				r.wantPersisted(service, service.ID().String())
			})
		})
	}
}

// TestNoLinksNoExchange is a file system that has neither.
func TestNoLinksNoExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM})
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: errors.ErrUnsupported})
		service := r.start()
		r.wantPersisted(service, service.ID().String())
		r.wantFile(configPath, withID(service.ID().String()))
		r.wantFiles(anchorPath, configPath)
	})
}
