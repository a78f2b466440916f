package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/replace"
)

const unixPrefix = "unix:"

// maxUnixPath is the longest path in bytes that all systems accept.
const maxUnixPath = 103

// lockTimeout bounds the wait for another process that opens a socket in the
// same directory, and for the answer of one that has the socket open.
const lockTimeout = 5 * time.Second

// UnixPath returns the path of an address such as unix:/run/app.sock. ok is
// false for other addresses.
func UnixPath(address string) (path string, ok bool) {
	return strings.CutPrefix(address, unixPrefix)
}

// CheckUnix returns an error that wraps [ErrAddress] for a path that is not
// absolute or longer than 103 bytes, and on Windows for every path.
func CheckUnix(path string) error {
	switch {
	case runtime.GOOS == "windows":
		return fmt.Errorf("%w on %s%s: Windows does not say who connects to a socket", ErrAddress, unixPrefix, path)
	case !filepath.IsAbs(path):
		return fmt.Errorf("%w on %s%s: not an absolute path", ErrAddress, unixPrefix, path)
	case len(path) > maxUnixPath:
		return fmt.Errorf("%w on %s%s: the path is longer than %d bytes", ErrAddress, unixPrefix, path, maxUnixPath)
	}
	return nil
}

// Unix opens a Unix socket that those can use whom the mode lets write. The
// directory must exist, and a symlink to it is followed as [replace.Resolve]
// does. A socket that a dead process left there is replaced;
// one that a process listens on, and whatever is no socket, stays and is an
// error. Closing the listener removes the socket, if it is still the same. The
// errors wrap [ErrAddress] and name the address. Unix returns within seconds.
func Unix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := CheckUnix(path); err != nil {
		return nil, err
	}
	listener, err := openUnix(ctx, path, mode)
	if err != nil {
		return nil, fmt.Errorf("%w on %s%s: %w", ErrAddress, unixPrefix, path, Cause(err))
	}
	return listener, nil
}

func openUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	// A socket is not created where the symlink of another user leads.
	if _, err := replace.Resolve(ctx, fsys.OS{}, filepath.Dir(path)); err != nil {
		return nil, err
	}
	// Without the lock, two processes that start at the same time could remove
	// each other's socket, each taking it for a dead one.
	unlock, err := lockDir(ctx, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false)
	// Until here the umask decided who can connect. It does not matter much: the
	// server knows who does.
	err = setMode(path, mode)
	info, statErr := os.Lstat(path)
	if err = cmp.Or(err, statErr); err != nil {
		listener.Close()
		os.Remove(path)
		return nil, err
	}
	return &unixListener{listener, path, info}, nil
}

// lockDir waits for the lock of the directory. Where locks do not work, it goes
// on without.
func lockDir(ctx context.Context, dir string) (unlock func(), err error) {
	for {
		unlock, err := fsys.OS{}.LockDir(dir)
		switch {
		case err == nil:
			return unlock, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return nil, err
		case !errors.Is(err, fsys.ErrLocked):
			return func() {}, nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// removeStale removes the socket of a dead process.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("the file there is no socket, and stays")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // one that is busy, or of another user
		return fmt.Errorf("a socket is there, on which another process may listen; remove it if none does: %w", Cause(err))
	}
	return os.Remove(path)
}

type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

// Close implements [net.Listener]. It first stops listening, so that a process
// that finds the socket meanwhile sees that it is stale.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if now, statErr := os.Lstat(l.path); statErr == nil && os.SameFile(now, l.info) {
		os.Remove(l.path)
	}
	return err
}
