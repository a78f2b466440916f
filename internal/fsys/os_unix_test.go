//go:build unix

package fsys_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// within fails the test if fn does not return soon, and then leaves its
// goroutine behind.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

func TestNothingWaitsForAPeer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		skip(t, "mkfifo: "+err.Error())
	}
	var osfs fsys.OS
	within(t, "opening a FIFO for reading", func() {
		f, err := osfs.OpenFile(name, os.O_RDONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		// Only files that the runtime's poller knows have deadlines.
		err = f.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Time{})
		if !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("SetReadDeadline: got %v, want os.ErrNoDeadline: the poller is not to know the file", err)
		}
	})
	within(t, "opening a FIFO for writing", func() {
		if _, err := osfs.OpenFile(name, os.O_WRONLY, 0); !errors.Is(err, syscall.ENXIO) {
			t.Errorf("open for writing: got %v, want ENXIO", err)
		}
	})
	within(t, "using a FIFO as a directory", func() {
		if _, err := osfs.ReadDir(name); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("ReadDir: got %v, want ENOTDIR", err)
		}
		if err := osfs.SyncDir(name); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("SyncDir: got %v, want ENOTDIR", err)
		}
		if _, err := osfs.LockDir(name); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("LockDir: got %v, want ENOTDIR", err)
		}
	})
}

func TestCopyAttributesOfSetIDs(t *testing.T) {
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	want := os.ModeSetuid | os.ModeSetgid | 0o750
	writeFile(t, src, "", want)
	if err := open(t, dst, os.O_RDWR|os.O_CREATE).CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(dst); err != nil || got.Mode() != want {
		t.Errorf("mode: got %v, %v, want %v", got.Mode(), err, want)
	}
}

func TestCopyAttributesOfOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	src, dst := filepath.Join(dir, "src"), filepath.Join(dir, "dst")
	writeFile(t, src, "", 0o600)
	if err := os.Chown(src, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	want := os.ModeSetuid | 0o640 // which chown clears
	if err := os.Chmod(src, want); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dst, os.O_RDWR|os.O_CREATE).CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dst)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 || info.Mode() != want {
		t.Errorf("got owner %d:%d, mode %v, want 12345:54321, %v", st.Uid, st.Gid, info.Mode(), want)
	}
}
