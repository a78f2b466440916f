package anchor_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// openAnchor opens the config's anchor in a process.
func openAnchor(t *testing.T, process *faultfs.FS) *anchor.Anchor {
	t.Helper()
	a, err := anchor.Open(process, faultfs.Abs(anchorPath), anchor.Options{Valid: isID, Config: faultfs.Abs(configPath)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func mustPublish(t *testing.T, a *anchor.Anchor, text, want string) {
	t.Helper()
	if got, err := a.Publish(t.Context(), text); got != want || err != nil {
		t.Errorf("publish: got %q, %v, want %q", got, err, want)
	}
}

func TestOpen(t *testing.T) {
	if _, err := anchor.Open(faultfs.New(), "anchor", anchor.Options{Valid: isID}); err == nil {
		t.Error("a relative path: no error")
	}
	a, err := anchor.Open(faultfs.New(), faultfs.Abs("/etc//app/./id"), anchor.Options{Valid: isID})
	if err != nil || a.Path() != faultfs.Abs("/etc/app/id") {
		t.Errorf("got %v, %v", a, err)
	}
}

// TestRealDisk is the one test here of what hosts have: the file system of the
// operating system.
func TestRealDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "id")
	a, err := anchor.Open(fsys.OS{}, path, anchor.Options{Valid: isID})
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, a, id, id)
	mustPublish(t, a, otherID, id)
	if err := a.Replace(t.Context(), otherID); err != nil {
		t.Error(err)
	}
	mustPublish(t, a, id, otherID)
	if err := errors.Join(a.Sync(t.Context()), a.Sweep(t.Context())); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 1 || err != nil {
		t.Errorf("got %v, %v, want the anchor alone", entries, err)
	}
}

func TestAnchor(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a := openAnchor(t, disk)
		if text, err := a.Read(t.Context()); text != "" || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("none: got %q, %v", text, err)
		}
		mustPublish(t, a, id, id)
		mustPublish(t, a, otherID, id)
		mustPublish(t, openAnchor(t, disk), otherID, id)
		if text, err := a.Read(t.Context()); text != id || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
		if err := a.Replace(t.Context(), otherID); err != nil {
			t.Error(err)
		}
		mustPublish(t, a, id, otherID)
		requireContent(t, disk, anchorPath, otherID+"\n")
		requireContent(t, disk, configPath, config)
		requireNoTemps(t, disk)
	})
}

// TestAnchorFound is about what another program has put in the place of the
// anchor.
func TestAnchorFound(t *testing.T) {
	put := func(text string) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.WriteFile(anchorPath, []byte(text), 0o644) }
	}
	for _, tt := range []struct {
		name      string
		prepare   func(*faultfs.FS)
		published string // what Publish returns; "" for an error
		replaced  bool   // whether Replace works
		permanent bool
	}{
		{"white space around it", put(" \n" + otherID + "\r\n\n"), otherID, true, false},
		{"empty", put(""), id, true, false},
		{"garbage", put("\x00\xff"), id, true, false},
		{"as long as is read", put(otherID + strings.Repeat(" ", 1024-len(otherID))), otherID, true, false},
		{"longer than is read", put(otherID + strings.Repeat(" ", 1025-len(otherID))), id, true, false},
		{"one megabyte", put(strings.Repeat("x", 1<<20)), id, true, false},
		{"too large", put(strings.Repeat("x", replace.MaxSize+1)), id, true, false},
		{"mode 0444", func(disk *faultfs.FS) { put("")(disk); disk.Chmod(anchorPath, 0o444) }, id, true, false},
		{"symlink", func(disk *faultfs.FS) {
			disk.WriteFile("/srv/id", []byte(otherID+"\n"), 0o644)
			disk.Symlink("/srv/id", anchorPath)
		}, otherID, true, false},
		{"symlink to something damaged", func(disk *faultfs.FS) {
			disk.WriteFile("/srv/id", []byte("torn"), 0o644)
			disk.Symlink("/srv/id", anchorPath)
		}, id, true, false},
		{"dangling symlink", func(disk *faultfs.FS) { disk.Symlink("/srv/id", anchorPath) }, id, true, false},
		{"not to be read", func(disk *faultfs.FS) {
			put(otherID)(disk)
			disk.Chmod(anchorPath, 0)
			disk.Chmod("/etc/app", 0o777)
		}, "", true, true},
		{"directory", func(disk *faultfs.FS) { disk.MkdirAll(anchorPath, 0o755) }, "", false, true},
		{"FIFO", func(disk *faultfs.FS) { disk.Mknod(anchorPath, fs.ModeNamedPipe|0o644) }, "", false, true},
		{"socket", func(disk *faultfs.FS) { disk.Mknod(anchorPath, fs.ModeSocket|0o644) }, "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range []string{"publish", "replace"} {
				bubble(t, func(t *testing.T, disk *faultfs.FS) {
					tt.prepare(disk)
					p := disk.As("p")
					if tt.name == "not to be read" {
						p.SetUser(7, 7)
					}
					a := openAnchor(t, p)
					want, err := tt.published, error(nil)
					var got string
					if op == "publish" {
						got, err = a.Publish(t.Context(), id)
					} else if err = a.Replace(t.Context(), id); err == nil {
						got = id
					}
					if op == "replace" {
						want = ""
						if tt.replaced {
							want = id
						}
					}
					if got != want || (err == nil) != (want != "") || err != nil && configfile.Permanent(err) != tt.permanent {
						t.Errorf("%s: got %q, %v, want %q", op, got, err, want)
					}
					if want != "" {
						if text, err := openAnchor(t, disk).Read(t.Context()); text != want || err != nil {
							t.Errorf("%s: then: got %q, %v, want %q", op, text, err, want)
						}
					}
					requireNoTemps(t, disk)
				})
			}
		})
	}
}

// TestAnchorMode checks that the mode follows the umask and the config's mode,
// also through a symlink.
func TestAnchorMode(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*faultfs.FS)
		umask   fs.FileMode
		want    fs.FileMode
	}{
		{"config 0600", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o600) }, 0o022, 0o600},
		{"config 0644", func(*faultfs.FS) {}, 0o022, 0o644},
		{"config 0777", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o777) }, 0o002, 0o644},
		{"no config", func(disk *faultfs.FS) { disk.Delete(configPath) }, 0o077, 0o600},
		{"config 0600 behind a symlink", func(disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.WriteFile("/srv/c.json", []byte(config), 0o600)
			disk.Symlink("/srv/c.json", configPath)
		}, 0o022, 0o600},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			tt.prepare(disk)
			p := disk.As("p")
			p.SetUmask(tt.umask)
			a := openAnchor(t, p)
			mustPublish(t, a, id, id)
			requireMode(t, disk, anchorPath, tt.want)
			if err := a.Replace(t.Context(), otherID); err != nil {
				t.Error(err)
			}
			requireMode(t, disk, anchorPath, tt.want)
		})
	}
}

func TestAnchorCreatesDirectories(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a, err := anchor.Open(disk, faultfs.Abs("/var/lib/app/id"), anchor.Options{Valid: isID})
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, a, id, id)
		requireMode(t, disk, "/var/lib/app/id", 0o644)
		requireMode(t, disk, "/var/lib/app", fs.ModeDir|0o755)
		b, err := anchor.Open(disk, faultfs.Abs("/opt/app/id"), anchor.Options{Valid: isID})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Replace(t.Context(), id); err != nil {
			t.Error(err)
		}
		for state := range disk.CrashStates() {
			requireContent(t, state, "/var/lib/app/id", id+"\n")
			requireContent(t, state, "/opt/app/id", id+"\n")
		}
	})
}

// TestAnchorTooLong refuses a text that could not be read again.
func TestAnchorTooLong(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a := openAnchor(t, disk)
		fits := "id-" + strings.Repeat("x", 1023-len("id-"))
		mustPublish(t, a, fits, fits)
		_, publishErr := a.Publish(t.Context(), fits+"x")
		for _, err := range []error{publishErr, a.Replace(t.Context(), fits+"x")} {
			if err == nil || !strings.HasSuffix(err.Error(), "longer than 1023 bytes") {
				t.Errorf("got %v, want that it is longer than 1023 bytes", err)
			}
		}
		requireContent(t, disk, anchorPath, fits+"\n")
	})
}

// TestUnsynced checks that what could not be synced is unsynced until it is,
// and nothing else.
func TestUnsynced(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a := openAnchor(t, disk)
		require := func(when string, want bool) {
			t.Helper()
			if got := a.Unsynced(id); got != want {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
			if a.Unsynced(otherID) || a.Unsynced("") {
				t.Errorf("%s: others are unsynced", when)
			}
		}
		require("at first", false)
		fault := disk.Inject(faultfs.Rule{Op: faultfs.OpSyncDir, Name: "app", Err: syscall.EIO})
		if _, err := a.Publish(t.Context(), id); err == nil {
			t.Error("no error")
		}
		require("after a sync that failed", true)
		fault.Remove()
		disk.ResetLog()
		mustPublish(t, a, id, id)
		require("after the next one", false)
		if n := count(disk, faultfs.OpSync, anchorPath); n != 0 {
			t.Errorf("synced the anchor itself %d times, want a new file", n)
		}
		if n := count(disk, faultfs.OpSync, ""); n != 1 {
			t.Errorf("synced %d files, want a new one", n)
		}
	})
}

// TestUnsyncedLost checks that an anchor is not unsynced because another
// process published it first.
func TestUnsyncedLost(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{Op: faultfs.OpLink, Times: 1, Do: func() {
			disk.WriteFile(anchorPath, []byte(id+"\n"), 0o644)
		}})
		a := openAnchor(t, disk)
		mustPublish(t, a, id, id)
		if n := count(disk, faultfs.OpSync, ""); n != 1 {
			t.Errorf("synced %d files, want the one that came too late", n)
		}
	})
}

// TestRepairLost checks that a damaged anchor is not replaced if another process
// has repaired it in the meantime.
func TestRepairLost(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.WriteFile(anchorPath, []byte("torn"), 0o644)
		disk.Inject(faultfs.Rule{Op: faultfs.OpLock, Times: 1, Do: func() {
			disk.WriteFile(anchorPath, []byte(otherID+"\n"), 0o644)
		}})
		mustPublish(t, openAnchor(t, disk), id, otherID)
		requireContent(t, disk, anchorPath, otherID+"\n")
	})
}

// TestParentSynced checks that the directory of a new anchor is made durable
// unless an existing config shows that it is.
func TestParentSynced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config string
		want   int // how often /etc is synced
	}{
		{"config in the same directory", configPath, 0},
		{"config elsewhere", "/srv/config.json", 1},
		{"no such config", "/etc/app/other.json", 1},
		{"no config", "", 1},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.WriteFile("/srv/config.json", nil, 0o600)
			a, err := anchor.Open(disk, faultfs.Abs(anchorPath), anchor.Options{Valid: isID, Config: faultfs.Abs(tt.config)})
			if err != nil {
				t.Fatal(err)
			}
			disk.ResetLog()
			mustPublish(t, a, id, id)
			if n := count(disk, faultfs.OpSyncDir, "/etc"); n != tt.want {
				t.Errorf("%s: synced /etc %d times, want %d", tt.name, n, tt.want)
			}
		})
	}
}

// count returns the number of operations on a file, "" for any.
func count(disk *faultfs.FS, op faultfs.Op, name string) int {
	n := 0
	for _, e := range disk.Log() {
		if e.Op == op && (name == "" || e.Name == name) {
			n++
		}
	}
	return n
}

// TestMaxPublishRounds starts over ten times if another process is faster each
// time.
func TestMaxPublishRounds(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{
			Op:    faultfs.OpLink,
			Do:    func() { disk.WriteFile(anchorPath, []byte(otherID), 0o644) },
			After: func() { disk.Delete(anchorPath) },
		})
		_, err := openAnchor(t, disk).Publish(t.Context(), id)
		if !errors.Is(err, replace.ErrChanging) || configfile.Permanent(err) {
			t.Errorf("got %v, want ErrChanging, not permanent", err)
		}
		created := 0
		for _, e := range disk.Log() {
			if e.Op == faultfs.OpOpen && e.Mutates() && strings.Contains(e.Name, ".rollcall-") {
				created++
			}
		}
		if created != 10 {
			t.Errorf("got %d rounds, want 10", created)
		}
		requireNoTemps(t, disk)
	})
}

// TestEndedContext checks that nothing is done after the context has ended.
func TestEndedContext(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a := openAnchor(t, disk)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, readErr := a.Read(ctx)
		_, publishErr := a.Publish(ctx, id)
		for _, err := range []error{readErr, publishErr, a.Replace(ctx, id), a.Sync(ctx), a.Sweep(ctx)} {
			if !errors.Is(err, flight.ErrTimeout) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want a timeout", err)
			}
		}
		if log := disk.Log(); len(log) != 0 {
			t.Errorf("touched the disk: %v", log)
		}
	})
}
