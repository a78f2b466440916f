//go:build linux

package e2e_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// hostUser is a host's user. nobody is somebody else.
const hostUser = 1000

// TestD25RootServesReal runs as root, with a umask of 077, on the directory of a
// host. The files belong to the host, which starts with the same ID and makes
// its own changes.
func TestD25RootServesReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	for _, tt := range []struct {
		name, config, state string
		mode                fs.FileMode // of the config
		isolate             bool
	}{
		{name: "no config"},
		{name: "no config, isolated", isolate: true},
		{name: "no directory", config: "a/b/config.json"},
		{name: "config", mode: 0o600},
		{name: "config, state directory", mode: 0o600, state: "state"},
		{name: "no config, state directory", state: "state"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			must(t, os.Chown(s.dir, hostUser, hostUser))
			if tt.mode != 0 {
				s.write("config.json", plainConfig)
				must(t, os.Chmod(s.config, tt.mode))
				must(t, os.Chown(s.config, hostUser, hostUser))
			}
			if tt.config != "" {
				s.config = filepath.Join(s.dir, tt.config)
			}
			place := func(s *setup) {
				s.Isolate = tt.isolate
				if tt.state != "" {
					s.StateDir = filepath.Join(filepath.Dir(s.ConfigPath), tt.state)
				}
			}
			asRoot := s.host(place, func(s *setup) { s.Umask = 0o077 })
			r := asRoot.start()
			asRoot.awaitPersisted()
			for _, command := range []string{doDeny, doReset, doDeny, doKeep} {
				if r := asRoot.ask(command); r.Err != "" {
					t.Errorf("%s as root: %s", command, r.Err)
				}
			}
			id := asRoot.ask(doStatus).Status.ID
			asRoot.exit()
			if !r.Status.Persisted {
				t.Errorf("as root: got %+v", r.Status)
			}
			s.wantOwner(hostUser)

			host := s.host(place, asUser(hostUser), func(s *setup) { s.Umask = 0o077 })
			if r := host.start(); r.ID != id || !r.Status.Persisted {
				t.Errorf("the host: got %+v, want ID %s", r.Status, id)
			}
			for _, command := range []string{doDeny, doReset, doKeep} {
				if r := host.ask(command); r.Err != "" {
					t.Errorf("%s as the host: %s", command, r.Err)
				}
			}
			host.exit()
			s.wantOwner(hostUser)
		})
	}
}

// wantOwner checks that everything in the directory belongs to the user and
// group.
func (s *site) wantOwner(uid int) {
	s.t.Helper()
	count := 0
	must(s.t, filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		if int(st.Uid) != uid || int(st.Gid) != uid {
			s.t.Errorf("%s belongs to %d:%d, want %d", path, st.Uid, st.Gid, uid)
		}
		count++
		return err
	}))
	if count < 3 {
		s.t.Errorf("got %d files, want at least the config and the anchor", count-1)
	}
}

// TestD25ForeignLinkReal runs as root on the directory of a user who has laid
// symlinks to what only root can read and write.
func TestD25ForeignLinkReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	for _, tt := range []struct {
		name string
		lay  func(t *testing.T, s *site, secret string) // in the directory of s
	}{
		{"config", func(t *testing.T, s *site, secret string) {
			s.lay(filepath.Join(secret, "config.json"), "config.json")
		}},
		{"directory", func(t *testing.T, s *site, secret string) {
			s.lay(secret, "directory")
			s.config = filepath.Join(s.dir, "directory", "config.json")
		}},
		{"to nowhere yet", func(t *testing.T, s *site, secret string) {
			s.lay(filepath.Join(secret, "new.json"), "config.json")
		}},
		{"to a directory that is nowhere yet", func(t *testing.T, s *site, secret string) {
			s.lay(filepath.Join(secret, "new"), "directory")
			s.config = filepath.Join(s.dir, "directory", "config.json")
		}},
		{"anchor", func(t *testing.T, s *site, secret string) {
			s.write("config.json", plainConfig)
			must(t, os.Chown(s.config, hostUser, hostUser))
			s.lay(filepath.Join(secret, "anchor"), filepath.Base(s.anchor))
		}},
	} {
		for _, isolate := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/isolate=%v", tt.name, isolate), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, "")
				must(t, os.Chown(s.dir, hostUser, hostUser))
				secret := filepath.Join(t.TempDir(), "secret")
				must(t, os.Mkdir(secret, 0o700))
				must(t, os.WriteFile(filepath.Join(secret, "config.json"), []byte(withID(plainConfig, otherID)), 0o600))
				must(t, os.WriteFile(filepath.Join(secret, "anchor"), []byte(otherID+"\n"), 0o600))
				tt.lay(t, s, secret)
				r, st := s.startOnce(func(s *setup) { s.Isolate = isolate })
				if r.ID.String() == otherID {
					t.Error("root's ID is in use")
				}
				if tt.name != "anchor" && (st.Persisted || !strings.Contains(st.Reason, "not followed") || !strings.Contains(st.Reason, "user 1000")) {
					t.Errorf("got %+v", st)
				}
				entries, err := os.ReadDir(secret)
				must(t, err)
				config, err := os.ReadFile(filepath.Join(secret, "config.json"))
				must(t, err)
				anchor, err := os.ReadFile(filepath.Join(secret, "anchor"))
				must(t, err)
				if len(entries) != 2 || string(config) != withID(plainConfig, otherID) || string(anchor) != otherID+"\n" {
					t.Errorf("root's directory has changed: %v\n%s%s", entries, config, anchor)
				}
			})
		}
	}
}

// lay makes a symlink of the host's user in the directory.
func (s *site) lay(to, name string) {
	s.t.Helper()
	must(s.t, os.Lchown(symlink(s.t, to, filepath.Join(s.dir, name)), hostUser, hostUser))
}

// TestD25PlantedReal starts in a directory where everybody may create files,
// and somebody has put an anchor.
func TestD25PlantedReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	for _, uid := range []int{0, hostUser} {
		t.Run(fmt.Sprint("user ", uid), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, plainConfig)
			must(t, os.Chown(s.config, uid, uid))
			must(t, os.Chmod(s.dir, 0o777|fs.ModeSticky))
			must(t, os.WriteFile(s.anchor, []byte(otherID+"\n"), 0o666))
			must(t, os.Chown(s.anchor, nobody, nobody))
			r, _ := s.startOnce(asUser(uid))
			if r.ID.String() == otherID {
				t.Errorf("the planted ID is in use: %+v", r.Status)
			}
			if again, _ := s.startOnce(asUser(uid)); again.ID != r.ID || s.idNow() != r.ID.String() {
				t.Errorf("got ID %q after a restart, and %q in the config, want %q", again.ID, s.idNow(), r.ID)
			}
		})
	}
}

// TestD25SwappedDirectoryReal saves as root in the directory of a user who
// exchanges it, all the time, for a symlink to a directory of root.
func TestD25SwappedDirectoryReal(t *testing.T) {
	t.Parallel()
	lab.Need(t, lab.Root)
	s := newSite(t, "")
	app, link := filepath.Join(s.dir, "app"), filepath.Join(s.dir, "link")
	must(t, os.Mkdir(app, 0o755))
	must(t, os.Chown(app, hostUser, hostUser))
	must(t, os.Chown(s.dir, hostUser, hostUser))
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.Mkdir(secret, 0o700))
	must(t, os.WriteFile(filepath.Join(secret, "config.json"), []byte(plainConfig), 0o600))
	s.lay(secret, "link")

	ctx, cancel := context.WithCancel(t.Context())
	var swaps atomic.Int64
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for ; ctx.Err() == nil; swaps.Add(1) {
			if err := unix.Renameat2(unix.AT_FDCWD, app, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
				t.Error(err)
				return
			}
		}
	})
	saved := 0
	for range quickOr(100, 20_000) {
		service, err := rollcall.New(rollcall.Config{ConfigPath: filepath.Join(app, "config.json")})
		must(t, err)
		if _, err := service.Reset(t.Context()); err == nil {
			saved++
		}
		if err := service.SetConsent(t.Context(), false); err == nil {
			saved++
		}
	}
	cancel()
	swapper.Wait()
	t.Logf("%d saves, %d swaps", saved, swaps.Load())
	entries, err := os.ReadDir(secret)
	must(t, err)
	config, err := os.ReadFile(filepath.Join(secret, "config.json"))
	must(t, err)
	if len(entries) != 1 || string(config) != plainConfig {
		t.Errorf("root's directory has changed: %v\n%s", entries, config)
	}
}
