package replace_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestSymlink changes the target, in whose directory it works, and keeps the
// link.
func TestSymlink(t *testing.T) {
	for _, tt := range []struct {
		name   string
		links  map[string]string // from a link to its target
		target string
		exists bool
	}{
		{"absolute", map[string]string{configPath: "/srv/c.json"}, "/srv/c.json", true},
		{"relative", map[string]string{configPath: "../../srv/c.json"}, "/srv/c.json", true},
		{"same directory", map[string]string{configPath: "c.json"}, "/etc/app/c.json", true},
		{"chain", map[string]string{configPath: "a.json", "/etc/app/a.json": "/var/b.json", "/var/b.json": "../srv/c.json"}, "/srv/c.json", true},
		{"dangling", map[string]string{configPath: "/srv/c.json"}, "/srv/c.json", false},
		{"dangling, directories missing", map[string]string{configPath: "/srv/a/b/c.json"}, "/srv/a/b/c.json", false},
		{"directory", map[string]string{"/etc/app": "/srv"}, "/srv/config.json", true},
		{"relative, in a directory that is a symlink", map[string]string{"/etc/app": "/srv/a/b", "/srv/a/b/config.json": "../c.json"}, "/srv/a/c.json", true},
		{"up through a symlink", map[string]string{configPath: "link/../c.json", "/etc/app/link": "/srv/a"}, "/srv/c.json", true},
		{"up through a symlink, dangling", map[string]string{configPath: "link/../c.json", "/etc/app/link": "/srv/a"}, "/srv/c.json", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(tt.name, "up") {
				parentsOfThePath(t)
			}
			bubble(t, func(t *testing.T, disk *faultfs.FS) {
				disk.Delete("/etc/app")
				disk.MkdirAll("/srv/a/b", 0o755)
				want := "{\"telemetry\": {\"installation_id\": \"" + id + "\"}}\n"
				if !tt.exists {
					disk.Delete("/srv/a/b")
				} else {
					disk.WriteFile(tt.target, []byte(config), 0o600)
					want = withID(config, id)
				}
				for name, to := range tt.links {
					disk.Symlink(to, name)
				}
				f := open(t, disk.As("p"))
				mustSet(t, f, id)
				requireContent(t, disk, tt.target, want)
				requireContent(t, disk, configPath, want)
				for name := range tt.links {
					requireMode(t, disk, name, fs.ModeSymlink|0o777)
				}
				for _, e := range disk.Log() {
					if e.Mutates() && strings.Contains(e.Name, ".tmp") && !sameFolder(t, disk, e.Name, tt.target) {
						t.Errorf("not beside the target: %v", e)
					}
				}
				if values, err := f.Read(t.Context(), key); err != nil || values[0].Text != id {
					t.Errorf("read: got %v, %v", values, err)
				}
				for state := range disk.CrashStates() {
					requireContent(t, state, configPath, want)
				}
				requireNoTemps(t, disk)
				if err := f.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// parentsOfThePath ends a test of "link/.." where that is never the parent of
// the link's target.
func parentsOfThePath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows resolves .. by the text")
	}
}

func sameFolder(t *testing.T, disk *faultfs.FS, a, b string) bool {
	t.Helper()
	x, errX := disk.OpenFile(a[:strings.LastIndex(a, "/")], 0, 0)
	y, errY := disk.OpenFile(path.Dir(b), 0, 0)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	defer x.Close()
	defer y.Close()
	infoX, _ := x.Stat()
	infoY, _ := y.Stat()
	return disk.SameFile(infoX, infoY)
}

// TestPathWithParents is about a path with ".." behind a symlink.
func TestPathWithParents(t *testing.T) {
	parentsOfThePath(t)
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Symlink("/srv/a", "/etc/link")
		disk.WriteFile("/srv/config.json", []byte(config), 0o644)
		disk.MkdirAll("/srv/a", 0o755)
		f := openAt(t, disk, "/etc/link/../config.json")
		mustSet(t, f, id)
		requireContent(t, disk, "/srv/config.json", withID(config, id))
		if _, err := anchorOf(f).Publish(t.Context(), id); err != nil {
			t.Error(err)
		}
		requireContent(t, disk, "/srv/.config.json.installation-id", id+"\n")
	})
}

func TestSymlinkLoop(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		disk.Delete(configPath)
		disk.Symlink("other.json", configPath)
		disk.Symlink("config.json", "/etc/app/other.json")
		_, err := set(t.Context(), open(t, disk), id)
		if !errors.Is(err, syscall.ELOOP) || !configfile.Permanent(err) {
			t.Errorf("got %v, want ELOOP, permanent", err)
		}
	})
}

// TestMaxSymlinks follows as many symlinks as the kernel.
func TestMaxSymlinks(t *testing.T) {
	for n, want := range map[int]error{39: nil, 40: syscall.ELOOP} {
		bubble(t, func(t *testing.T, disk *faultfs.FS) {
			disk.Delete(configPath)
			disk.Symlink("1.json", configPath)
			for i := range n - 1 {
				disk.Symlink(fmt.Sprintf("%d.json", i+2), fmt.Sprintf("/etc/app/%d.json", i+1))
			}
			disk.WriteFile(fmt.Sprintf("/etc/app/%d.json", n), []byte(config), 0o644)
			if _, err := set(t.Context(), open(t, disk), id); !errors.Is(err, want) {
				t.Errorf("%d symlinks: got %v, want %v", n, err, want)
			}
		})
	}
}

// TestBecomesSymlink lets the host replace its config by a symlink, or a
// symlink by another, at every moment of a save. No symlink is lost, and the ID
// gets to where the last one leads.
func TestBecomesSymlink(t *testing.T) {
	s := scenes()[0]
	for _, at := range s.steps(t) {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
			disk.WriteFile("/srv/c.json", []byte(saved), 0o644)
			disk.Inject(at.Rule(faultfs.Rule{Do: func() {
				disk.Symlink("/srv/c.json", "/etc/app/new")
				if err := disk.As("host").Rename("/etc/app/new", configPath); err != nil {
					t.Error(err)
				}
			}}))
			if _, err := save(t.Context()); err != nil {
				t.Errorf("%v: %v", at, err)
			}
			requireMode(t, disk, configPath, fs.ModeSymlink|0o777)
			if got, err := save(t.Context()); got != id || err != nil {
				t.Errorf("%v: next save: got %q, %v", at, got, err)
			}
			requireContent(t, disk, "/srv/c.json", withID(saved, id))
			requireNoTemps(t, disk)
		})
	}
}
