//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/installid"
)

// unhurried makes any wait between two attempts visible.
func unhurried(s *setup) { s.Backoff = time.Minute }

// TestD05RefusedReal has disks that permanently accept nothing.
func TestD05RefusedReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		config  string
		prepare func(t *testing.T, s *site)
		uid     int
		reason  string
	}{
		{"mount", plainConfig, func(t *testing.T, s *site) { lab.ReadOnlyMount(t, s.dir) }, 0, "read-only file system"},
		{"mount without a config", "", func(t *testing.T, s *site) { lab.ReadOnlyMount(t, s.dir) }, 0, "read-only file system"},
		{"mount, other user", plainConfig, func(t *testing.T, s *site) {
			openToAll(t, s)
			lab.ReadOnlyMount(t, s.dir)
		}, nobody, "read-only file system"},
		{"mode 0444", plainConfig, chmodConfig(0o444), 0, "mode 0444"},
		{"mode 0444, other user", plainConfig, func(t *testing.T, s *site) {
			openToAll(t, s)
			chmodConfig(0o444)(t, s)
		}, nobody, "mode 0444"},
		{"file of another user", plainConfig, func(t *testing.T, s *site) {
			must(t, os.Chmod(s.dir, 0o777))
		}, nobody, "permission denied"},
		{"unreadable file of another user", plainConfig, func(t *testing.T, s *site) {
			must(t, os.Chmod(s.dir, 0o777))
			chmodConfig(0o600)(t, s)
		}, nobody, "permission denied"},
		{"directory of another user", "", func(*testing.T, *site) {}, nobody, "permission denied"},
		{"hidden directory of another user", plainConfig, func(t *testing.T, s *site) {
			must(t, os.Chmod(s.dir, 0o700))
		}, nobody, "permission denied"},
		{"immutable file", plainConfig, func(t *testing.T, s *site) { lab.Immutable(t, s.config) }, 0, "operation not permitted"},
		{"immutable directory", "", func(t *testing.T, s *site) { lab.Immutable(t, s.dir) }, 0, "operation not permitted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Root)
			s := newSite(t, tt.config)
			tt.prepare(t, s)
			h := s.host(unhurried, asUser(tt.uid))
			s.wantRefused(h, tt.reason)
			s.wantUntouched()
		})
	}
}

func openToAll(t *testing.T, s *site) {
	t.Helper()
	must(t, os.Chmod(s.dir, 0o777))
	must(t, os.Chmod(s.config, 0o666))
}

func chmodConfig(mode os.FileMode) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		t.Helper()
		must(t, os.Chmod(s.config, mode))
	}
}

// wantRefused starts the service and checks that it falls back to memory
// at once, and says why.
func (s *site) wantRefused(h *host, reason string) {
	s.t.Helper()
	r := h.start()
	s.t.Logf("started after %v; %s", r.Took, r.Status.Reason)
	if r.Took > noWait {
		s.t.Errorf("Start took %v", r.Took)
	}
	st := r.Status
	if r.ID.IsZero() || st.Persisted || st.Attempts != 1 || !strings.Contains(st.Reason, reason) {
		s.t.Errorf("got %+v, want one attempt and %q", st, reason)
	}
	want := []string{lineGenerated, lineFailed(reason, 1), lineInMemory(reason), lineStarted(false)}
	if got := h.lines(); len(got) > 0 && strings.HasPrefix(got[0], "WARN") { // it could not even be read
		want[0], want[1] = want[1], want[0]
	}
	h.wantLog(want...)
	if took := h.exit(); took > exitBound {
		s.t.Errorf("the host took %v to exit", took)
	}
}

// TestD05StateDirReal has a read-only config and a state directory for
// the anchor: the ID is persisted.
func TestD05StateDirReal(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"mount", "mode", "immutable"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Root)
			s := newSite(t, plainConfig)
			state := filepath.Join(t.TempDir(), "state", "app")
			switch how {
			case "mount":
				lab.ReadOnlyMount(t, s.dir)
			case "mode":
				chmodConfig(0o444)(t, s)
			case "immutable":
				lab.Immutable(t, s.config)
			}
			withState := func(s *setup) { s.StateDir = state }
			first := s.host(unhurried, withState)
			r := first.start()
			if r.Took > noWait || !r.Status.Persisted {
				t.Errorf("got %+v after %v", r.Status, r.Took)
			}
			first.exit()
			again := s.host(unhurried, withState)
			if again := again.start(); again.ID != r.ID || again.Took > noWait || !again.Status.Persisted {
				t.Errorf("after a restart: got %+v after %v, want ID %q", again.Status, again.Took, r.ID)
			}
			again.exit()
			s.wantUntouched()
			anchor, err := os.ReadFile(filepath.Join(state, filepath.Base(s.anchor)))
			if err != nil || string(anchor) != r.ID.String()+"\n" {
				t.Errorf("got anchor %q, %v", anchor, err)
			}
		})
	}
}

// TestD06FullReal has a disk without space for content, or for files.
func TestD06FullReal(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, options, reason string }{
		{"no space", "size=16k", "no space left on device"},
		{"no inodes", "nr_inodes=2", "no space left on device"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := siteIn(t, lab.Tmpfs(t, tt.options), plainConfig)
			filler := filepath.Join(s.dir, "filler")
			fill(t, filler)
			s.others = []string{"filler"}

			h := s.host(scaled, func(s *setup) { s.AttemptTimeout, s.StartTimeout = patience, patience })
			r := h.start()
			s.wantThreeAttempts(h, r, tt.reason)
			s.wantUntouched()
			h.exit()

			if err := os.Remove(filler); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if tt.name == "no inodes" {
				must(t, unix.Mount("", s.dir, "", unix.MS_REMOUNT, "nr_inodes=100"))
			}
			s.wantAgrees(r.Status)
		})
	}
}

// fill fills a file system with one file.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if errors.Is(err, unix.ENOSPC) {
		return
	}
	must(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 1024))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestD06ErrorsReal fails operations in ways that may be transient.
func TestD06ErrorsReal(t *testing.T) {
	t.Parallel()
	for _, errno := range []unix.Errno{unix.EIO, unix.ESTALE, unix.EDQUOT, unix.ENOSPC} {
		for _, op := range []lab.Op{lab.Create, lab.Write, lab.Fsync, lab.Link, lab.Exchange, lab.FsyncDir} {
			if errno != unix.EIO && op != lab.Write && op != lab.Exchange && !soaking() {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", op, errno), func(t *testing.T) {
				t.Parallel()
				s := newFaultSite(t, plainConfig)
				// Where links or exchanges fail always, others are not tried.
				at := map[lab.Op]string{lab.Link: ".installation-id", lab.Exchange: "/config.json"}[op]
				s.faults.Fail(op, at, errno, lab.Always)
				h := s.host(scaled, func(s *setup) {
					if s.AttemptTimeout, s.StartTimeout = patience, patience; op == lab.Exchange {
						s.Backoff = 6 * time.Second // time for a busy host to report its start
					}
				})
				r := h.start()
				if op == lab.Exchange { // the anchor has it by then, so nobody waits for the remaining attempts
					if !r.Status.Persisted || !r.Status.Incomplete || r.Status.Attempts != 1 {
						t.Errorf("got %+v", r.Status)
					}
					h.await("three attempts are made", func(st installid.Status) bool { return st.Attempts == 3 && atRest(st) })
					s.wantConfig(plainConfig)
				} else {
					s.wantThreeAttempts(h, r, errno.Error())
					s.wantWhole()
				}
				s.wantNoTemps()
				h.exit()
				s.faults.Reset()
				s.wantAgrees(r.Status)
			})
		}
	}
}

func (s *site) wantThreeAttempts(h *host, r reply, reason string) {
	s.t.Helper()
	s.t.Logf("started after %v; %s", r.Took, r.Status.Reason)
	if r.ID.IsZero() || r.Status.Persisted || r.Status.Attempts != 3 {
		s.t.Errorf("got %+v, want three attempts", r.Status)
	}
	h.wantLog(lineGenerated, lineFailed(reason, 1), lineFailed(reason, 2), lineFailed(reason, 3), lineInMemory(reason), lineStarted(false))
}

// TestD06ReadErrorsReal fails reads: an ID may be stored, so nothing is
// written.
func TestD06ReadErrorsReal(t *testing.T) {
	t.Parallel()
	for _, op := range []lab.Op{lab.Open, lab.Read} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			s := newFaultSite(t, withID(plainConfig, knownID))
			s.faults.Fail(op, "", unix.EIO, lab.Always)
			h := s.host(scaled, func(s *setup) { s.AttemptTimeout, s.StartTimeout = patience, patience })
			r := h.start()
			if st := r.Status; st.Persisted || !st.Provisional || st.Attempts != 3 {
				t.Errorf("got %+v", st)
			}
			if changes := s.faults.Changes(); len(changes) > 0 {
				t.Errorf("changed something: %v", changes)
			}
			h.exit()
			s.faults.Reset()
			s.wantUntouched()
			if id := s.restart(); id.String() != knownID {
				t.Errorf("got ID %q, want the stored one", id)
			}
		})
	}
}

// TestD06RecoversReal waits until the background persists the ID when
// there is space again, which it tries first after a minute.
func TestD06RecoversReal(t *testing.T) {
	if !soaking() {
		t.Skip("takes more than a minute: only with ROLLCALL_SOAK=1")
	}
	t.Parallel()
	s := siteIn(t, lab.Tmpfs(t, "size=16k"), plainConfig)
	filler := filepath.Join(s.dir, "filler")
	fill(t, filler)
	h := s.host(scaled)
	r := h.start()
	must(t, os.Remove(filler))
	for deadline := time.Now().Add(3 * time.Minute); !h.status().Persisted && time.Now().Before(deadline); {
		time.Sleep(time.Second)
	}
	if st := h.awaitPersisted(); st.ID != r.ID {
		t.Errorf("got ID %q, want %q", st.ID, r.ID)
	}
	s.wantStored(r.ID)
	if n := h.logged("INFO Installation ID persisted to config*"); n != 1 {
		t.Errorf("got log %q", h.lines())
	}
	h.exit()
}

// TestD08NotAFileReal has something at the config's path that is not a
// file, and that could block on open.
func TestD08NotAFileReal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		make   func(path string) error
		reason string
	}{
		{"directory", func(path string) error { return os.Mkdir(path, 0o755) }, "not a regular file but a directory"},
		{"FIFO", func(path string) error { return unix.Mkfifo(path, 0o644) }, "not a regular file but a FIFO"},
		{"character device", func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3)))
		}, "not a regular file but a device"},
		{"terminal", func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(5, 0)))
		}, ""},
		{"block device", func(path string) error {
			return unix.Mknod(path, unix.S_IFBLK|0o644, int(unix.Mkdev(7, 0)))
		}, ""},
		{"socket", func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		}, ""},
		{"symlink to a FIFO", func(path string) error {
			if err := unix.Mkfifo(path+".fifo", 0o644); err != nil {
				return err
			}
			return os.Symlink(path+".fifo", path)
		}, "not a regular file but a FIFO"},
		{"symlink to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }, "symbolic links"},
		{"in a file", func(path string) error {
			dir := filepath.Dir(path)
			if err := os.Remove(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, []byte("{}"), 0o644)
		}, "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab.Need(t, lab.Root)
			s := newSite(t, "")
			must(t, tt.make(s.config))
			before, err := os.Lstat(s.config)
			s.wantRefused(s.host(unhurried), tt.reason)
			after, err2 := os.Lstat(s.config)
			if (err == nil) != (err2 == nil) || err == nil && (before.Mode() != after.Mode() || !os.SameFile(before, after)) {
				t.Errorf("it has changed: got %v, %v, want %v, %v", after, err2, before, err)
			}
			if _, err := os.Lstat(s.anchor); err == nil {
				t.Error("an anchor was made beside it")
			}
		})
	}
}
