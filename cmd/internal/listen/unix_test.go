//go:build unix

package listen_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

// socketPath returns a path that is short enough, whatever the test's name.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "listen")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func mustListen(t *testing.T, path string, mode fs.FileMode) net.Listener {
	t.Helper()
	l, err := listen.Unix(t.Context(), path, mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func answers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// leaveSocket leaves a socket as a killed process does.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestUnix(t *testing.T) {
	path := socketPath(t)
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		l := mustListen(t, path, mode)
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|mode {
			t.Errorf("got %v, %v, want a socket of mode %v", info.Mode(), err, mode)
		}
		if !answers(path) {
			t.Error("nobody answers")
		}
		l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want the socket removed", err)
		}
	}
}

func TestUnixOfDeadProcess(t *testing.T) {
	path := socketPath(t)
	leaveSocket(t, path)
	mustListen(t, path, 0o600)
	if !answers(path) {
		t.Error("nobody answers")
	}
}

// TestUnixInUse: what somebody else needs stays.
func TestUnixInUse(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"live socket": {func(t *testing.T, path string) { mustListen(t, path, 0o600) }, "address already in use"},
		"file":        {func(t *testing.T, path string) { os.WriteFile(path, []byte("precious"), 0o600) }, "no socket"},
		"directory":   {func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, "no socket"},
		"FIFO":        {func(t *testing.T, path string) { syscall.Mkfifo(path, 0o600) }, "no socket"},
		"symlink to a dead socket": {func(t *testing.T, path string) {
			leaveSocket(t, path+".target")
			os.Symlink(path+".target", path)
		}, "no socket"},
		"dangling symlink": {func(t *testing.T, path string) { os.Symlink("nowhere", path) }, "no socket"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			tt.prepare(t, path)
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = listen.Unix(t.Context(), path, 0o600)
			if !errors.Is(err, listen.ErrAddress) || !strings.HasPrefix(err.Error(), "listen on unix:"+path+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("got %v, %v, want the same file", after, err)
			}
		})
	}
}

// TestUnixClosedLate: a listener leaves the socket of its successor alone.
func TestUnixClosedLate(t *testing.T) {
	path := socketPath(t)
	first := mustListen(t, path, 0o600)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustListen(t, path, 0o600)
	first.Close()
	if !answers(path) {
		t.Error("the first listener removed the socket of the second")
	}
}

// TestUnixRace: of many that start at once where a dead process left a socket,
// one listens, and its socket stays.
func TestUnixRace(t *testing.T) {
	for range 10 {
		path := socketPath(t)
		leaveSocket(t, path)
		var mu sync.Mutex
		var open []net.Listener
		var starting sync.WaitGroup
		for range 8 {
			starting.Go(func() {
				l, err := listen.Unix(t.Context(), path, 0o600)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					open = append(open, l)
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("got %v, want EADDRINUSE", err)
				}
			})
		}
		starting.Wait()
		if len(open) != 1 || !answers(path) {
			t.Fatalf("%d listen, and somebody answers: %v; want one who answers", len(open), answers(path))
		}
		open[0].Close()
	}
}

// TestUnixForeignLink: no socket is created where the symlink of another user
// leads.
func TestUnixForeignLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	dir := filepath.Dir(socketPath(t))
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	mustListen(t, filepath.Join(link, "s"), 0o600).Close() // of root
	if err := os.Lchown(link, 65533, 65533); err != nil {
		t.Fatal(err)
	}
	if _, err := listen.Unix(t.Context(), filepath.Join(link, "s"), 0o600); !errors.Is(err, replace.ErrForeignLink) {
		t.Errorf("got %v, want ErrForeignLink", err)
	}
}

func TestUnixPath(t *testing.T) {
	if path, ok := listen.UnixPath("unix:/run/s"); path != "/run/s" || !ok {
		t.Errorf("got %q, %v", path, ok)
	}
	if _, ok := listen.UnixPath("127.0.0.1:1"); ok {
		t.Error("took a TCP address for a socket")
	}
	for _, path := range []string{"", "s", "./s", "@s", "/" + strings.Repeat("a", 103)} {
		if err := listen.CheckUnix(path); !errors.Is(err, listen.ErrAddress) {
			t.Errorf("%q: got %v, want ErrAddress", path, err)
		}
		if _, err := listen.Unix(t.Context(), path, 0o600); !errors.Is(err, listen.ErrAddress) {
			t.Errorf("%q: got %v, want ErrAddress", path, err)
		}
	}
	if err := listen.CheckUnix("/" + strings.Repeat("a", 102)); err != nil {
		t.Error(err)
	}
	if _, err := listen.Unix(t.Context(), filepath.Join(t.TempDir(), "none", "s"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a directory: got %v", err)
	}
}
