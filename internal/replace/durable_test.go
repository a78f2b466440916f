package replace_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestSyncFailsOnce lets fsync fail once and then claim success. A file whose
// fsync failed is never used: a new temporary file is written, and nothing that
// a power cut can leave is torn.
func TestSyncFailsOnce(t *testing.T) {
	for _, s := range scenes() {
		if s.inPlace {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				disk.Inject(faultfs.Rule{Op: faultfs.OpSync, Proc: "p", Err: syscall.EIO, Times: 1})
				if _, err := save(t.Context()); err == nil {
					t.Error("no error")
				}
				for state := range disk.CrashStates() {
					s.requireOldOrNew(t, state)
				}
				disk.ResetLog()
				requireWorks(t, s, disk, save)
				made := slices.ContainsFunc(disk.Log(), func(e faultfs.Entry) bool {
					return e.Op == faultfs.OpOpen && e.Mutates() && tempName.MatchString(e.Name[len("/etc/app/"):])
				})
				if !made {
					t.Error("no new temporary file")
				}
			})
		})
	}
}

// TestSyncInPlaceFailsOnce checks that the pages are written again that the
// failed sync has lost.
func TestSyncInPlaceFailsOnce(t *testing.T) {
	for _, s := range scenes() {
		if !s.inPlace {
			continue
		}
		for _, at := range s.steps(t) {
			if at.Op != faultfs.OpSync {
				continue
			}
			t.Run(s.name+", "+at.String(), func(t *testing.T) {
				s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
					disk.Inject(at.Rule(faultfs.Rule{Err: syscall.EIO}))
					save(t.Context())
					requireWorks(t, s, disk, save)
				})
			})
		}
	}
}

// TestDirectorySyncFails is about a commit whose name is not durable. It is not
// reported as saved, and the next save, which finds the value, writes it again.
func TestDirectorySyncFails(t *testing.T) {
	for _, s := range scenes() {
		if s.inPlace {
			continue // which needs no directory sync
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				fault := disk.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Name: "app", Proc: "p", Err: syscall.EIO})
				for range 2 {
					if _, err := save(t.Context()); err == nil || configfile.Permanent(err) {
						t.Errorf("got %v, want an error that passes", err)
					}
				}
				fault.Release()
				disk.ResetLog()
				requireWorks(t, s, disk, save)
				written := slices.ContainsFunc(disk.Log(), func(e faultfs.Entry) bool { return e.Op == faultfs.OpSync && e.Name != s.path })
				if !written {
					t.Error("was trusted")
				}
			})
		})
	}
}

// TestExistingIsSynced is about a value that another process has written a
// moment ago and not synced yet.
func TestExistingIsSynced(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, at := range s.steps(t) {
				s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
					first := disk.Inject(at.Rule(faultfs.Rule{Hang: true}))
					go save(t.Context())
					waitForHang(t, disk)
					stored, err := s.open(t, disk.As("second"))(t.Context())
					switch {
					case err == nil && stored == id:
						s.requireDurableInAny(t, disk)
					case !s.inPlace || !errors.Is(err, replace.ErrChanging): // the first has it open for writing
						t.Errorf("%v: got %q, %v", at, stored, err)
					}
					first.Release()
					waitIdle(t, disk)
					s.requireOldOrNew(t, disk)
					s.requireDurableInAny(t, disk)
				})
			}
		})
	}
}

// TestExistingCannotBeSynced is about file systems on which nothing can be
// synced, and thus nothing can be new.
func TestExistingCannotBeSynced(t *testing.T) {
	for _, tt := range []struct {
		rule faultfs.Rule
		ok   bool
	}{
		{faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EACCES}, true}, // as for a file opened read-only on Windows
		{faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EACCES}, true},
		{faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EROFS}, true},
		{faultfs.Rule{Op: faultfs.OpSync, Err: syscall.EIO}, false},
		{faultfs.Rule{Op: faultfs.OpSyncDir, Err: syscall.EIO}, false},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.WriteFile(configPath, []byte(withID(config, id)), 0o644)
			f := open(t, disk)
			fault := disk.Inject(tt.rule)
			if _, err := set(t.Context(), f, otherID); (err == nil) != tt.ok {
				t.Errorf("%v: got %v", tt.rule.Op, err)
			}
			fault.Remove()
			mustSet(t, f, id)
			requireContent(t, disk, configPath, withID(config, id))
		})
	}
}
