package keeper_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/idstore"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestTransientFaults is D6: after three attempts the old config is whole,
// nothing is left behind, and the background goes on.
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
						rule.Err, rule.AfterErr = nil, errno // it succeeds and returns an error
					}
					if op == faultfs.OpLink {
						if rule.AfterErr != nil {
							return // the anchor is there, and is found
						}
						rule.Name = ".config.json.installation-id" // other links work
					}
					fault := r.fs.Inject(rule)
					k := r.start()
					why := "save installation ID: *" + errno.Error()
					r.log.wantTimed(
						in(0, generated(k.ID())),
						in(0, failed(why, 1)),
						in(time.Second, failed(why, 2)),
						in(3*time.Second, failed(why, 3)),
						in(3*time.Second, inMemory(k.ID(), why)),
						in(3*time.Second, started(false)),
					)
					r.wantFile(configPath, hostConfig)
					r.wantFiles(configPath)
					if st := k.Status(); st.Attempts != 3 || st.Persisted || !strings.HasSuffix(st.LastError, errno.Error()) {
						t.Errorf("got %+v", st)
					}

					r.log.reset()
					fault.Remove()
					time.Sleep(2 * time.Minute)
					r.log.want(persisted(4))
					r.wantPersisted(k, k.ID().String())
				})
			})
		}
	}
}

// TestConfigCannotBeReplaced lets everything succeed but the commit of the
// config. The anchor holds the ID.
func TestConfigCannotBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Name: "config.json", Err: syscall.EIO})
		k := r.start()
		why := "save installation ID: *input/output error"
		r.wantState(k, k.ID().String(), true)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		r.log.wantTimed(in(0, generated(k.ID())), in(0, failed(why, 1)), in(0, started(true)),
			in(time.Second, failed(why, 2)), in(3*time.Second, failed(why, 3)))
		r.wantState(k, k.ID().String(), true)
		r.wantFile(configPath, hostConfig)
		r.wantFiles(anchorPath, configPath)
		if st := k.Status(); !st.Incomplete || !strings.Contains(st.Reason, "input/output error") || !strings.HasPrefix(st.Place, "anchor ") {
			t.Errorf("got %+v", st)
		}
	})
}

// TestConfigKeptOpen runs a host that keeps its config open for writing, so
// that it cannot be replaced. The start is over as soon as the anchor holds the
// ID. The config gets it when the host closes the file.
func TestConfigKeptOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		open, err := r.fs.OpenFile(configPath, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		k := r.start()
		if d := time.Since(r.log.begin); d > 300*time.Millisecond {
			t.Errorf("Start took %v", d)
		}
		r.log.want(generated(k.ID()), failed("*another program keeps changing the file", 1), started(true))
		r.wantState(k, k.ID().String(), true)
		if got, _ := r.fs.Crash(faultfs.LoseUnsynced).ReadFile(anchorPath); string(got) != k.ID().String()+"\n" {
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
		r.wantPersisted(k, k.ID().String())
	})
}

func TestFullDisk(t *testing.T) {
	for name, free := range map[string][2]int{"bytes": {0, -1}, "some bytes": {20, -1}, "inodes": {-1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.SetFree(free[0], free[1])
				k := r.start()
				if d := time.Since(r.log.begin); d != 3*time.Second {
					t.Errorf("Start took %v", d)
				}
				r.wantState(k, k.ID().String(), false)
				r.wantFile(configPath, hostConfig)
				r.wantFiles(configPath)
				r.fs.SetFree(-1, -1)
				time.Sleep(2 * time.Minute)
				r.wantPersisted(k, k.ID().String())
			})
		})
	}
}

// TestFsyncOnce is D15: an fsync fails once and then succeeds. The pages that
// it lost are written again.
func TestFsyncOnce(t *testing.T) {
	for skip := range 2 { // the anchor's file, the config's
		for _, op := range []faultfs.Op{faultfs.OpSync, faultfs.OpSyncDir} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				r.fs.Inject(faultfs.Rule{Op: op, Err: syscall.EIO, Skip: skip, Times: 1})
				k := r.start()
				time.Sleep(2 * time.Second)
				synctest.Wait()
				lines := []string{
					in(0, generated(k.ID())),
					in(0, failed("*input/output error", 1)),
					in(time.Second, persisted(2)),
					in(time.Second, started(true)),
				}
				if skip == 1 { // the anchor holds the ID by then, so the start is over
					lines[2], lines[3] = in(0, started(true)), in(time.Second, persisted(2))
				}
				r.log.wantTimed(lines...)
				r.wantPersisted(k, k.ID().String())
				r.wantFiles(anchorPath, configPath)
			})
		}
	}
}

// TestDurable is D16 and D12 for a whole start: no power cut loses an ID that
// is called persisted, and none leaves a config that is neither old nor new.
func TestDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; ; n++ {
			r := newRig(t, hostConfig)
			dying := r.fs.As("dying")
			dying.StepLimit(n)
			k := r.newKeeperOn(dying, once)
			k.Start(t.Context())
			st := k.Status()
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
			r.stop(k)
			if !dying.Killed() {
				if !st.Persisted {
					t.Error("not persisted by a process that was not killed")
				}
				return
			}
		}
	})
}

// TestDurableAfterKill is D16 after the process that stored the ID was killed.
// The next process finds an ID that may not be durable yet, and makes it
// durable soon after its start without writing it. After a reset that was
// killed, the ID that the next process takes stays.
func TestDurableAfterKill(t *testing.T) {
	tests := map[string]func(r *rig, dying *keeper.Keeper){
		"first start": func(r *rig, dying *keeper.Keeper) { dying.Start(r.t.Context()) },
		"reset":       func(r *rig, dying *keeper.Keeper) { dying.Reset(r.t.Context()) },
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
					killed := r.newKeeperOn(dying, once)
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
						after := r.newKeeperOn(disk)
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

// TestResetKilledBetween: a reset was killed after it wrote the config and
// before it wrote the anchor. The anchor follows at the next start, so that a
// host which removes the key does not bring the old ID back.
func TestResetKilledBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		r.fs.WriteFile(anchorPath, []byte(otherID+"\n"), 0o640)
		k := r.start()
		synctest.Wait()
		r.log.want(started(true))
		r.wantPersisted(k, knownID)
		r.wantFile(configPath, withID(knownID))
	})
}

// TestStoredIDNotDurable: the disk cannot sync the stored ID. It stays in use,
// but does not count as persisted until a sync succeeds.
func TestStoredIDNotDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withID(knownID))
		fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSync, Delay: time.Second, Err: syscall.EIO})
		k := r.start()
		r.wantState(k, knownID, true)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.wantState(k, knownID, false)
		if st := k.Status(); !strings.Contains(st.Reason, "input/output error") || st.NextTry.IsZero() {
			t.Errorf("got %+v", st)
		}
		r.wantNoMutation()
		fault.Remove()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wantPersisted(k, knownID)
		r.log.want(started(true))
	})
}

// TestUnsyncedIsNotTrusted is D15 over several attempts: a process that could
// not sync its ID does not trust a later read or sync, but writes it again.
func TestUnsyncedIsNotTrusted(t *testing.T) {
	tests := map[string]struct {
		change func(*setup)
		skip   int // directory syncs before the one that fails
	}{
		"config":     {func(*setup) {}, 1},
		"state file": {func(s *setup) { s.Location = idstore.Location{StateFile: "/srv/app/installation-id"} }, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				fault := r.fs.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO, Skip: tt.skip, Times: 1})
				k := r.start(tt.change, once)
				id := k.ID().String()
				synctest.Wait()
				if fault.Hits() != 1 {
					t.Fatalf("%d syncs failed", fault.Hits())
				}
				r.fs.ResetLog()
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				r.wantState(k, id, true)
				if !slices.ContainsFunc(r.mutations(), func(op string) bool { return strings.Contains(op, "exchange") }) {
					t.Errorf("not written again: %q", r.mutations())
				}
			})
		})
	}
}

// TestNotAFile is D8.
func TestNotAFile(t *testing.T) {
	tests := []struct {
		name   string
		create func(*faultfs.FS)
		says   string
	}{
		{"directory", func(f *faultfs.FS) { f.MkdirAll(configPath, 0o755) }, "a directory"},
		{"device", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeDevice|fs.ModeCharDevice|0o666) }, "a device"},
		{"FIFO", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeNamedPipe|0o666) }, "a FIFO"},
		{"socket", func(f *faultfs.FS) { f.Mknod(configPath, fs.ModeSocket|0o666) }, ""},
		{"symlink loop", func(f *faultfs.FS) { f.Symlink(configPath, configPath) }, "symbolic links"},
		{"below a file", func(f *faultfs.FS) { f.WriteFile("/srv/app", nil, 0o644) }, "not a directory"},
	}
	for _, tt := range tests {
		if tt.name == "below a file" && runtime.GOOS == "windows" {
			continue // Windows says that the file does not exist
		}
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				tt.create(r.fs)
				before := r.fs.Files()
				k := r.start()
				why := "*" + tt.says + "*"
				r.log.wantTimed(
					in(0, failed(why, 1)),
					in(0, generated(k.ID())),
					in(0, inMemory(k.ID(), why)),
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

// TestBindMountedFile is D9: the config cannot be replaced, so it is written in
// place.
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
		"no files in the directory": {func(r *rig) {
			r.fs.Chown(configPath, 1000, 1000)
			r.fs.SetUser(1000, 1000)
		}, false},
		"directory on a read-only file system": {func(r *rig) {
			r.fs.MarkMountPoint(configPath)
			r.fs.MarkReadOnly("/srv")
		}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hostConfig)
				tt.set(r)
				k := r.start()
				id := k.ID().String()
				r.log.want(generated(k.ID()), persisted(1), started(true))
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
				r.log.want(generated(k.ID()), persisted(1), started(true))
			})
		})
	}
}

// TestSymlink is D10.
func TestSymlink(t *testing.T) {
	for name, other := range map[string]bool{"another directory": false, "another file system": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				r.fs.WriteFile("/data/real.json", []byte(hostConfig), 0o640)
				r.fs.Symlink("../../data/real.json", configPath)
				if other {
					r.fs.MarkMountPoint("/data")
				}
				k := r.start()
				r.wantPersisted(k, k.ID().String())
				r.wantFile("/data/real.json", withID(k.ID().String()))
				r.wantFiles("/data/real.json", anchorPath, configPath)
				if a, _ := r.fs.Attributes(configPath); a.Mode.Type() != fs.ModeSymlink {
					t.Errorf("the link became %v", a.Mode)
				}
			})
		})
	}
}

// TestSweep is D18: the next start removes temporary files of killed processes,
// by their name and age.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		for n := range 40 { // operations before the kill
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
		k := r.start()
		synctest.Wait()
		r.wantFiles(anchorPath, "/srv/app/.config.json.rollcall-mine.tmp", configPath, "/srv/app/config.json.tmp")
		r.wantState(k, idIn(r.fs), true)
	})
}

// TestLocks is D20: the holder of a lock hangs or dies, or there are no locks.
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
				k := r.start()
				if d := time.Since(r.log.begin); d < tt.took || d > tt.took+50*time.Millisecond {
					t.Errorf("Start took %v, want %v", d, tt.took)
				}
				r.wantPersisted(k, k.ID().String())
			})
		})
	}
}

// TestNoLinksNoExchange runs on a file system without links and exchange.
func TestNoLinksNoExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hostConfig)
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpLink, Err: syscall.EPERM})
		r.fs.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: errors.ErrUnsupported})
		k := r.start()
		r.wantPersisted(k, k.ID().String())
		r.wantFile(configPath, withID(k.ID().String()))
		r.wantFiles(anchorPath, configPath)
	})
}
