package replace_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestLockNeverReleased goes on without the lock after a second.
func TestLockNeverReleased(t *testing.T) {
	for _, s := range scenes() {
		s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
			disk.MkdirAll("/etc/app", 0o755)
			unlock, err := disk.As("other").LockDir("/etc/app")
			if err != nil {
				t.Fatal(err)
			}
			defer unlock()
			begin := time.Now()
			if stored, err := save(t.Context()); stored != id || err != nil {
				t.Errorf("%s: got %q, %v", s.name, stored, err)
			}
			if d := time.Since(begin); d != 0 && d != time.Second {
				t.Errorf("%s: took %v, want 1s, or 0s where no lock is needed", s.name, d)
			}
			s.requireDurable(t, disk)
		})
	}
}

// TestLockReleased takes the lock as soon as it is free.
func TestLockReleased(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		unlock, err := disk.As("other").LockDir("/etc/app")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(500*time.Millisecond, unlock)
		begin := time.Now()
		mustSet(t, open(t, disk), id)
		if d := time.Since(begin); d < 500*time.Millisecond || d > 520*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

// TestLockOfKilledProcess checks that such a lock is free.
func TestLockOfKilledProcess(t *testing.T) {
	bubble(t, func(t *testing.T, disk *faultfs.FS) {
		p := disk.As("p")
		if _, err := p.LockDir("/etc/app"); err != nil {
			t.Fatal(err)
		}
		p.Kill()
		begin := time.Now()
		mustSet(t, open(t, disk), id)
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

// TestLockDoesNotWork goes on without the lock at once.
func TestLockDoesNotWork(t *testing.T) {
	for _, err := range []error{syscall.ENOLCK, syscall.EBADF, syscall.ENOTSUP, errors.ErrUnsupported} {
		for _, s := range scenes() {
			s.run(t, func(t *testing.T, disk *faultfs.FS, save saver) {
				disk.Inject(faultfs.Rule{Op: faultfs.OpLock, Err: err})
				begin := time.Now()
				if stored, err := save(t.Context()); stored != id || err != nil {
					t.Errorf("%s: got %q, %v", s.name, stored, err)
				}
				if d := time.Since(begin); d != 0 {
					t.Errorf("%s: took %v", s.name, d)
				}
				s.requireDurable(t, disk)
			})
		}
	}
}
