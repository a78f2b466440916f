package replace_test

import (
	"errors"
	"io/fs"
	"maps"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestPreserved is about everything of a config but its content.
func TestPreserved(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*faultfs.FS)
		uid     int
		inPlace bool // whether the file must stay the same one
	}{
		{"mode 0600", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o600) }, 0, false},
		{"mode 0664", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o664) }, 0, false},
		{"mode 0222", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o222) }, 0, false},
		{"setgid", func(disk *faultfs.FS) { disk.Chmod(configPath, 0o640|fs.ModeSetgid) }, 0, false},
		{"owner, as root", func(disk *faultfs.FS) { disk.Chown(configPath, 7, 8) }, 0, false},
		{"attributes", func(disk *faultfs.FS) {
			disk.SetXattr(configPath, "user.note", "n")
			disk.SetXattr(configPath, "system.posix_acl_access", "acl")
			disk.SetXattr(configPath, "security.label", "l")
		}, 0, false},
		{"own file, as user", func(disk *faultfs.FS) {
			disk.Chown(configPath, 7, 7)
			disk.Chown("/etc/app", 7, 7)
			disk.Chmod(configPath, 0o600)
			disk.SetXattr(configPath, "user.note", "n")
		}, 7, false},
		{"another's group, as user", func(disk *faultfs.FS) {
			disk.Chown(configPath, 7, 8)
			disk.Chown("/etc/app", 7, 7)
		}, 7, true},
		{"attribute that only root may set, as user", func(disk *faultfs.FS) {
			disk.Chown(configPath, 7, 7)
			disk.Chown("/etc/app", 7, 7)
			disk.SetXattr(configPath, "security.label", "l")
		}, 7, true},
		{"directory not writable, as user", func(disk *faultfs.FS) { disk.Chown(configPath, 7, 7) }, 7, true},
		{"hard link", func(disk *faultfs.FS) { link(disk, configPath, "/etc/app/same.json") }, 0, true},
		{"mounted elsewhere", func(disk *faultfs.FS) { disk.MarkMountedElsewhere(configPath, "/container/config.json") }, 0, true},
		{"mount point", func(disk *faultfs.FS) { disk.MarkMountPoint(configPath) }, 0, true},
		{"rename says EBUSY", func(disk *faultfs.FS) {
			disk.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: syscall.EBUSY})
			disk.Inject(faultfs.Rule{Op: faultfs.OpRename, Err: syscall.EBUSY})
		}, 0, true},
		{"rename says EBUSY, no exchange", func(disk *faultfs.FS) {
			disk.Inject(faultfs.Rule{Op: faultfs.OpExchange, Err: errors.ErrUnsupported})
			disk.Inject(faultfs.Rule{Op: faultfs.OpRename, Err: syscall.EBUSY})
		}, 0, true},
		{"name too long for a temporary file", func(disk *faultfs.FS) {
			disk.Inject(faultfs.Rule{Op: faultfs.OpOpen, Name: "*.tmp", Err: syscall.ENAMETOOLONG})
		}, 0, true},
		{"owner cannot be kept", func(disk *faultfs.FS) {
			disk.Inject(faultfs.Rule{Op: faultfs.OpCopyAttributes, Err: errors.ErrUnsupported})
		}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				tt.prepare(disk)
				before, err := disk.Attributes(configPath)
				if err != nil {
					t.Fatal(err)
				}
				same := sameFile(t, disk, configPath)
				f := open(t, asUser(disk, tt.uid))
				mustSet(t, f, id)
				after, err := disk.Attributes(configPath)
				if err != nil || after.Mode != before.Mode || after.UID != before.UID || after.GID != before.GID || !maps.Equal(after.Xattrs, before.Xattrs) {
					t.Errorf("got %+v, %v, want %+v", after, err, before)
				}
				requireContent(t, disk, configPath, withID(config, id))
				requireNoTemps(t, disk)
				if got := same(); got != tt.inPlace {
					t.Errorf("in place: got %v, want %v", got, tt.inPlace)
				}
				for state := range disk.CrashStates() {
					requireContent(t, state, configPath, withID(config, id))
				}
			})
		})
	}
}

func link(disk *faultfs.FS, from, to string) {
	if err := disk.Link(from, to); err != nil {
		panic(err)
	}
	if err := disk.SyncDir("/etc/app"); err != nil {
		panic(err)
	}
}

// sameFile returns a function that reports whether name is still the file that
// it is now.
func sameFile(t *testing.T, disk *faultfs.FS, name string) (same func() bool) {
	t.Helper()
	before, err := disk.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		now, err := disk.Lstat(name)
		return err == nil && disk.SameFile(before, now)
	}
}

// TestOwnHardLink is about the second name of a config whose process was killed
// while creating it: the config need not be written in place for that.
func TestOwnHardLink(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete(configPath)
		p := disk.As("p")
		disk.Inject(faultfs.Rule{Op: faultfs.OpLink, Times: 1, After: p.Kill})
		if _, err := set(t.Context(), open(t, p), id); err == nil {
			t.Fatal("not killed")
		}
		if left := temps(disk); len(left) != 1 {
			t.Fatalf("left: %q", left)
		}
		for _, name := range []string{"/etc/app/.a", "/etc/app/a", "/etc/app/z"} {
			disk.WriteFile(name, nil, 0o644)
		}
		big := ofSize(2*page, page+100)                // cannot be changed in place
		disk.WriteFile(configPath, []byte(big), 0o644) // in place, so that it keeps both names
		mustSet(t, open(t, disk), id)
		if got := content(t, disk, configPath); !strings.Contains(got, id) {
			t.Errorf("got %q", got)
		}
		requireNoTemps(t, disk)
	})
}

// TestCreate is about a config that does not exist, with or without its
// directories.
func TestCreate(t *testing.T) {
	for _, umask := range []fs.FileMode{0, 0o022, 0o077} {
		for _, missing := range []string{configPath, "/etc/app", "/etc"} {
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.Delete(missing)
				p := disk.As("p")
				p.SetUmask(umask)
				now, wrote, err := open(t, p).Set(t.Context(), key, id, keepID)
				if now.Text != id || !wrote || err != nil {
					t.Errorf("got %v, %v, %v", now, wrote, err)
				}
				requireMode(t, disk, configPath, 0o666&^umask)
				if missing != configPath {
					requireMode(t, disk, "/etc/app", fs.ModeDir|0o777&^umask)
				}
				requireContent(t, disk, configPath, "{\"telemetry\": {\"installation_id\": \""+id+"\"}}\n")
				requireNoTemps(t, disk)
			})
		}
	}
}

// TestCreateRefused reports at once that nothing can be created.
func TestCreateRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*faultfs.FS)
		want    error
	}{
		{"directory not writable", func(disk *faultfs.FS) { disk.Delete(configPath) }, syscall.EACCES},
		{"directory cannot be made", func(disk *faultfs.FS) { disk.Delete("/etc/app") }, syscall.EACCES},
		{"read-only mount", func(disk *faultfs.FS) { disk.Delete(configPath); disk.MarkReadOnly("/") }, syscall.EROFS},
	} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			tt.prepare(disk)
			before := disk.Files()
			_, err := set(t.Context(), open(t, asUser(disk, 7)), id)
			if !errors.Is(err, tt.want) || !configfile.Permanent(err) {
				t.Errorf("%s: got %v, want %v, permanent", tt.name, err, tt.want)
			}
			if after := disk.Files(); len(after) != len(before) {
				t.Errorf("%s: files: %q", tt.name, after)
			}
		})
	}
}
