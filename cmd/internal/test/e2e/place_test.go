//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// TestD07MissingDirectoryReal lets the service create the config and its
// directories.
func TestD07MissingDirectoryReal(t *testing.T) {
	t.Parallel()
	for _, umask := range []int{0o022, 0o027, 0o077, 0o002} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := siteIn(t, filepath.Join(dir, "etc", "app"), "")
			h := s.host(func(s *setup) { s.Umask = umask })
			r := h.start()
			if !r.Status.Persisted {
				t.Errorf("got %+v", r.Status)
			}
			h.wantLog(lineGenerated, linePersisted(1), lineStarted(true))
			h.awaitPersisted()
			s.wantStored(r.ID)
			if !isFresh(s.configNow(), r.ID.String()) {
				t.Errorf("got config\n%s", s.configNow())
			}
			file, directory := fs.FileMode(0o666&^umask), fs.ModeDir|fs.FileMode(0o777&^umask)
			for name, want := range map[string]fs.FileMode{
				s.config: file, s.anchor: file, s.dir: directory, filepath.Dir(s.dir): directory,
			} {
				if info, err := os.Stat(name); err != nil || info.Mode() != want {
					t.Errorf("%s: got mode %v, %v, want %v", name, info.Mode(), err, want)
				}
			}
			s.wantNoTemps()
			h.exit()
		})
	}
}

// small is a config that fits into one page. In large the place for the
// ID is far from the end.
var (
	small = plainConfig
	large = strings.TrimSuffix(plainConfig, "\n}\n") + ",\n\t\"motto\": \"" + strings.Repeat("x", 10_000) + "\"\n}\n"
)

// TestD09MountedFileReal has a config that is mounted by itself, as into
// a container, so it cannot be replaced.
func TestD09MountedFileReal(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"small": small, "large": large} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, config)
			lab.BindFile(t, s.config)
			before, err := os.Stat(s.config)
			must(t, err)
			r, st := s.startOnce()
			after, err := os.Stat(s.config)
			must(t, err)
			if !os.SameFile(before, after) {
				t.Error("another file is there now")
			}
			if !r.Status.Persisted || s.anchorNow() != r.ID.String() {
				t.Errorf("got %+v, want it persisted in the anchor at least", r.Status)
			}
			if name == "small" {
				s.wantInPlace(r)
			} else if s.wantConfig(config); !strings.Contains(st.Reason, "tearing") {
				t.Errorf("got %+v", st)
			}
			s.wantNoTemps()
			if again, _ := s.startOnce(); again.ID != r.ID {
				t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
			}
		})
	}
}

// TestD09DirectoryTakesNoFilesReal has a writable config in a directory that
// is not writable.
func TestD09DirectoryTakesNoFilesReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, s *site)
		uid     int
	}{
		{"of another user", func(t *testing.T, s *site) { must(t, os.Chown(s.config, nobody, nobody)) }, nobody},
		{"immutable", func(t *testing.T, s *site) { lab.Immutable(t, s.dir) }, 0},
	}
	for _, tt := range tests {
		for name, config := range map[string]string{"small": small, "large": large} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				lab.Need(t, lab.Root)
				s := newSite(t, config)
				tt.prepare(t, s)
				r, st := s.startOnce(asUser(tt.uid))
				switch {
				case name == "small":
					s.wantInPlace(r)
				case r.Status.Persisted || !strings.Contains(st.Reason, "tearing") || st.Attempts != 1:
					t.Errorf("got %+v", st)
				}
				if name == "large" {
					s.wantConfig(config)
				}
				s.wantNoTemps()
				if again, _ := s.startOnce(asUser(tt.uid)); r.Status.Persisted && again.ID != r.ID {
					t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
				}
			})
		}
	}
}

// startOnce starts a host, waits until it is at rest, and ends it. It
// returns the result of the start, and the last status.
func (s *site) startOnce(change ...func(*setup)) (r reply, st installid.Status) {
	s.t.Helper()
	h := s.host(append(change, unhurried)...)
	r = h.start()
	if r.Took > noWait {
		s.t.Errorf("Start took %v", r.Took)
	}
	st = h.await("it is at rest", atRest)
	h.exit()
	return r, st
}

// wantInPlace checks that the ID was written into the config, which
// spaces may follow.
func (s *site) wantInPlace(r reply) {
	s.t.Helper()
	if !r.Status.Persisted {
		s.t.Errorf("got %+v", r.Status)
	}
	if got, want := s.configNow(), withID(s.before, r.ID.String()); strings.TrimRight(got, " ") != want {
		s.t.Errorf("got config\n%s\nwant\n%s", got, want)
	}
}

// TestD09KilledReal kills processes at random moments while they save a
// config in place, over and over.
func TestD09KilledReal(t *testing.T) {
	lab.Need(t, lab.Root)
	t.Parallel()
	s := newSite(t, plainConfig)
	lab.BindFile(t, s.config)
	var torn int
	for round := range quickOr(40, 1000) {
		if round%2 == 0 { // inserting the ID writes padding first
			must(t, os.WriteFile(s.config, []byte(plainConfig), 0o644))
			os.Remove(s.anchor)
		}
		r := s.resetter()
		if round%2 == 1 {
			r.first() // by now it saves over and over
		}
		time.Sleep(rand.N(30 * time.Millisecond))
		r.kill()
		now := s.configNow()
		id := idIn(t, now)
		if trimmed := strings.TrimRight(now, " "); trimmed != plainConfig && trimmed != withID(plainConfig, id) {
			torn++
			t.Errorf("round %d: got config\n%s", round, now)
		}
		if id != "" {
			if _, err := installid.Parse(id); err != nil {
				t.Errorf("round %d: got ID %q", round, id)
			}
		}
	}
	t.Logf("%d torn", torn)
	id := s.restart()
	if s.idNow() != id.String() {
		t.Errorf("got ID %q in the config, want %q", s.idNow(), id)
	}
}

// TestD09ReadersReal reads a config while it is saved in place, over and
// over.
func TestD09ReadersReal(t *testing.T) {
	lab.Need(t, lab.Root)
	t.Parallel()
	s := newSite(t, plainConfig)
	lab.BindFile(t, s.config)
	r := s.resetter()
	r.first()
	watch := s.watch()
	time.Sleep(time.Duration(quickOr(1, 60)) * time.Second)
	watch.end()
	t.Logf("saved %d times", len(r.kill()))
}

// TestD09OverlayReal has a config in a container's image, which the first
// change copies.
func TestD09OverlayReal(t *testing.T) {
	t.Parallel()
	for _, mounted := range []bool{false, true} {
		t.Run(fmt.Sprintf("mounted alone=%v", mounted), func(t *testing.T) {
			t.Parallel()
			base := lab.Tmpfs(t, "")
			for _, name := range []string{"lower", "upper", "work", "merged"} {
				must(t, os.Mkdir(filepath.Join(base, name), 0o755))
			}
			must(t, os.WriteFile(filepath.Join(base, "lower", "config.json"), []byte(plainConfig), 0o640))
			dir := filepath.Join(base, "merged")
			options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", base)
			if err := unix.Mount("overlay", dir, "overlay", 0, options); errors.Is(err, unix.ENODEV) {
				lab.Skip(t, err.Error())
			} else {
				must(t, err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			s := siteIn(t, dir, "")
			if s.before = plainConfig; mounted {
				lab.BindFile(t, s.config)
			}
			r, st := s.startOnce()
			if !r.Status.Persisted || st.Incomplete {
				t.Errorf("got %+v", st)
			}
			s.wantStored(r.ID)
			s.wantNoTemps()
			if info, err := os.Stat(s.config); err != nil || info.Mode() != 0o640 {
				t.Errorf("got mode %v, %v", info.Mode(), err)
			}
			if again, _ := s.startOnce(); again.ID != r.ID {
				t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
			}
		})
	}
}

// TestD10SymlinkReal has hosts whose path of the config is a symlink.
func TestD10SymlinkReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config string
		lay    func(t *testing.T, s *site, dir string) (config string) // returns the path that the hosts use
	}{
		{"in another directory", plainConfig, func(t *testing.T, s *site, dir string) string {
			return symlink(t, s.config, filepath.Join(dir, "config.json"))
		}},
		{"on another file system", plainConfig, func(t *testing.T, s *site, _ string) string {
			return symlink(t, s.config, filepath.Join(lab.Tmpfs(t, ""), "config.json"))
		}},
		{"relative", plainConfig, func(t *testing.T, s *site, dir string) string {
			to, err := filepath.Rel(dir, s.config)
			must(t, err)
			return symlink(t, to, filepath.Join(dir, "config.json"))
		}},
		{"chain", plainConfig, func(t *testing.T, s *site, dir string) string {
			middle := symlink(t, s.config, filepath.Join(t.TempDir(), "middle.json"))
			return symlink(t, middle, filepath.Join(dir, "config.json"))
		}},
		{"directory", plainConfig, func(t *testing.T, s *site, dir string) string {
			return filepath.Join(symlink(t, s.dir, filepath.Join(dir, "directory")), "config.json")
		}},
		{"same directory", plainConfig, func(t *testing.T, s *site, _ string) string {
			s.behindLink()
			return s.config
		}},
		{"to nowhere yet", "", func(t *testing.T, s *site, dir string) string {
			return symlink(t, s.config, filepath.Join(dir, "config.json"))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, tt.config)
			s.config = tt.lay(t, s, t.TempDir())
			s.anchor = filepath.Join(filepath.Dir(s.config), "."+filepath.Base(s.config)+".installation-id")
			before, _ := os.Readlink(s.config)
			r, st := s.startOnce()
			if !r.Status.Persisted || st.Incomplete {
				t.Errorf("got %+v", st)
			}
			if after, _ := os.Readlink(s.config); after != before {
				t.Errorf("the link led to %q and leads to %q now", before, after)
			}
			if now := s.configNow(); now != withID(plainConfig, r.ID.String()) && !(tt.config == "" && isFresh(now, r.ID.String())) {
				t.Errorf("got config\n%s", now)
			}
			if anchor, err := os.ReadFile(s.anchor); err != nil || string(anchor) != r.ID.String()+"\n" {
				t.Errorf("got anchor %q, %v", anchor, err)
			}
			s.wantNoTemps()
			if again, _ := s.startOnce(); again.ID != r.ID {
				t.Errorf("got ID %q after a restart, want %q", again.ID, r.ID)
			}
		})
	}
}

func symlink(t *testing.T, to, link string) string {
	t.Helper()
	must(t, os.Symlink(to, link))
	return link
}
