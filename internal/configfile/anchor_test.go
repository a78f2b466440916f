package configfile_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/replace"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

func mustPublish(t *testing.T, a *anchor.Anchor, text, want string) {
	t.Helper()
	if got, err := a.Publish(t.Context(), text); got != want || err != nil {
		t.Errorf("publish: got %q, %v, want %q", got, err, want)
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

// TestAnchorFound is about what is in the anchor's place.
func TestAnchorFound(t *testing.T) {
	put := func(text string) func(*faultfs.FS) {
		return func(disk *faultfs.FS) { disk.WriteFile(anchorPath, []byte(text), 0o644) }
	}
	for _, tt := range []struct {
		name      string
		prepare   func(*faultfs.FS)
		published string // what Publish gives; "" for an error
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
		{"folder", func(disk *faultfs.FS) { disk.MkdirAll(anchorPath, 0o755) }, "", false, true},
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

// TestAnchorMode follows the config's mode, also through a symlink, and the umask.
func TestAnchorMode(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*faultfs.FS)
		umask   fs.FileMode
		want    fs.FileMode
	}{
		{"config 0600", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o600) }, 0o022, 0o600},
		{"config 0644", func(*faultfs.FS) {}, 0o022, 0o644},
		{"config 0777", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o777) }, 0o002, 0o664},
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

func TestAnchorMakesFolders(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a, err := anchor.Open(disk, "/var/lib/app/id", anchor.Options{Valid: isID})
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, a, id, id)
		requireMode(t, disk, "/var/lib/app/id", 0o644)
		requireMode(t, disk, "/var/lib/app", fs.ModeDir|0o755)
		b, err := anchor.Open(disk, "/opt/app/id", anchor.Options{Valid: isID})
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

// TestAnchorSharesFlight has the anchor of a config wait for the config's operation, and an anchor on its own not.
func TestAnchorSharesFlight(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Inject(faultfs.Rule{Op: faultfs.OpLstat, Hang: true, Times: 1})
		f := open(t, disk)
		a := anchorOf(f)
		go set(t.Context(), f, id)
		begin := time.Now()
		waitForHang(t, disk)
		time.Sleep(time.Minute)
		for _, running := range []func() (string, time.Time){f.Running, a.Running} {
			if op, since := running(); op != "save" || since != begin {
				t.Errorf("running: got %q since %v, want save since %v", op, since, begin)
			}
		}
		b, err := anchor.Open(disk, "/etc/app/other", anchor.Options{Valid: isID})
		if err != nil {
			t.Fatal(err)
		}
		mustPublish(t, b, id, id)
		if op, _ := b.Running(); op != "" {
			t.Errorf("running: got %q, want none", op)
		}
	})
}

// TestAnchorTooLong refuses what could not be read again.
func TestAnchorTooLong(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		a := openAnchor(t, disk)
		fits := "id-" + strings.Repeat("x", 1023-len("id-"))
		mustPublish(t, a, fits, fits)
		_, err := a.Publish(t.Context(), fits+"x")
		if err == nil || a.Replace(t.Context(), fits+"x") == nil {
			t.Errorf("got %v, want an error", err)
		}
		requireContent(t, disk, anchorPath, fits+"\n")
	})
}

// TestLateReplaceUndoesNothing has an operator replace the anchor while an earlier replacement hangs.
func TestLateReplaceUndoesNothing(t *testing.T) {
	s := scenes()[len(scenes())-2]
	if s.name != "replaced anchor" {
		t.Fatal(s.name)
	}
	for _, at := range s.steps(t) {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
			hang := hangAt(t, disk, moment{step: at}, save)
			operator := openAnchor(t, disk.As("operator"))
			if err := operator.Replace(t.Context(), otherID); err != nil {
				t.Errorf("%v: %v", at, err)
			}
			hang.Release()
			waitIdle(t, disk)
			requireContent(t, disk, anchorPath, otherID+"\n")
			requireNoTemps(t, disk)
		})
	}
}
