package faultfs

import (
	"sync/atomic"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// lock is the lock of a directory that a process holds.
type lock struct {
	fs  *FS
	dir *node
}

// LockDir implements [fsys.FS]. A rule with OpLock and an error simulates
// a file system without locks.
func (f *FS) LockDir(name string) (unlock func(), err error) {
	var l *lock
	err = f.run(Entry{Op: OpLock, Name: name}, func(*Entry) error {
		d := f.disk
		p, err := d.findDir(f.user, name)
		switch {
		case err != nil:
			return err
		case !f.user.may(p.node, permRead):
			return syscall.EACCES
		case d.locks[p.node] != nil:
			return fsys.ErrLocked
		}
		l = &lock{fs: f, dir: p.node}
		d.locks[p.node] = l
		return nil
	})
	if err != nil {
		f.release(l)
		return nil, pathError(OpLock, name, err)
	}
	var unlocked atomic.Bool
	return func() {
		if unlocked.Swap(true) {
			return
		}
		// The lock is free even if a rule fails the unlocking, as after
		// close(2).
		_ = f.run(Entry{Op: OpUnlock, Name: name}, func(*Entry) error {
			f.disk.unlock(l)
			return nil
		})
		f.release(l)
	}, nil
}

func (f *FS) release(l *lock) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.unlock(l)
}

func (d *disk) unlock(l *lock) {
	if l != nil && d.locks[l.dir] == l {
		delete(d.locks, l.dir)
	}
}
