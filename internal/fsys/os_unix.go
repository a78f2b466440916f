//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package fsys

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// OpenFile implements [FS]. It opens without waiting; for a FIFO that is opened
// for writing only, and that nobody reads, the error is ENXIO. Reading and
// writing can then wait as usual, so check Stat first.
//
// It does not use os.OpenFile, because that registers every file with the
// runtime's poller. Registering asks the file system. If that is a file server
// (FUSE) that does not respond, the runtime waits inside a system call that it
// believes to be instant, and the next garbage collection stops the whole
// process.
//
// Opening for writing what another process holds a lease on (Samba does, and
// HasWriters for microseconds) would fail at once with EAGAIN where a plain
// open waits. It is retried after 1, 2, 4, 8 and 16 ms.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	flag |= unix.O_CLOEXEC
	for wait := time.Millisecond; ; {
		fd, err := openFile(name, flag|unix.O_NONBLOCK, modeBits(perm))
		switch {
		case err == nil:
			// Without O_NONBLOCK, os.NewFile leaves the poller alone. F_SETFL
			// ignores the access mode and the flags for opening.
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flag); err != nil {
				unix.Close(fd)
				return nil, &fs.PathError{Op: "open", Path: name, Err: err}
			}
			return &file{os.NewFile(uintptr(fd), name)}, nil
		case err == unix.EINTR:
		case err == unix.EAGAIN && wait <= 16*time.Millisecond:
			time.Sleep(wait)
			wait *= 2
		default:
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// modeBits returns the permission bits of a mode as the kernel has them.
func modeBits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if mode&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// Exchange implements [FS].
func (OS) Exchange(a, b string) error {
	err := ignoringEINTR(func() error { return exchange(a, b) })
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		err = unsupportedError{err}
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

// openDir opens a directory without the poller, and without waiting if name is
// something else.
func openDir(name string) (*os.File, error) {
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// SyncDir implements [FS]. Some file systems cannot sync a directory and return
// EINVAL or ENOTSUP. They may order their changes by themselves or not; nothing
// more can be done, and it is not an error. A directory that may be searched
// and written but not read (mode 0300) cannot be opened, and thus not be
// synced: EACCES.
func (OS) SyncDir(name string) error {
	dir, err := openDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	err = dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// LockDir implements [FS] by flock on the directory itself, so that there is no
// lock file to create or to leave behind. The kernel releases it when the
// process ends. NFS on Linux turns flock into a lock that needs a file open for
// writing, so that the error is EBADF for a directory. Other network file
// systems return ENOLCK or ENOTSUP.
func (OS) LockDir(name string) (unlock func(), err error) {
	dir, err := openDir(name)
	if err != nil {
		return nil, err
	}
	err = ignoringEINTR(func() error {
		return unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	})
	if err != nil {
		dir.Close()
		if err == unix.EWOULDBLOCK {
			err = ErrLocked
		}
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	return sync.OnceFunc(func() {
		// Closing alone would leave the lock with a child that has been forked
		// and has not called exec yet.
		unix.Flock(int(dir.Fd()), unix.LOCK_UN)
		dir.Close()
	}), nil
}

// CheckWritable implements [FS]. A write can still fail: a full disk, a quota,
// a broken disk and a security module that judges by path (AppArmor) only show
// then. Root may write to a file whose mode has no write bit, and gets no
// error; callers that respect such a mode check it.
func (OS) CheckWritable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	mode := uint32(unix.W_OK)
	if info.IsDir() {
		mode |= unix.X_OK
	}
	if err := ignoringEINTR(func() error { return checkAccess(name, mode) }); err != nil {
		return &fs.PathError{Op: "access", Path: name, Err: err}
	}
	return nil
}

// Owner implements [FS].
func (OS) Owner(info fs.FileInfo) (o Owner, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return Owner{}, false
	}
	return Owner{int(st.Uid), int(st.Gid)}, true
}

// LinkCount implements [FS].
func (OS) LinkCount(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 1
}

// copyAttributes is quick if there is nothing to do, as with a new file of the
// same owner and mode: two fstat and two flistxattr.
//
// The order matters. Changing the owner clears the setuid bit, so that the
// owner comes before the mode. Setting an extended attribute can require write
// permission by the mode, so that they come before it too. An access list is
// the mode and more: one that the new file inherited from its directory would
// change what the mode means, and is removed first; that of src is set last.
// Finally the mode is checked, since the kernel drops a setgid bit without an
// error.
//
// Times are kept on no system, nor are the flags of chattr and chflags.
func (f *file) copyAttributes(src *file) error {
	var want, have unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &want); err != nil {
		return src.errorOf("stat", err)
	}
	if err := unix.Fstat(int(f.Fd()), &have); err != nil {
		return f.errorOf("stat", err)
	}
	fd := int(f.Fd())
	attrs, err := diffXattrs(src, f)
	if err != nil {
		return err
	}
	uid, gid := -1, -1 // unchanged
	if want.Uid != have.Uid {
		uid = int(want.Uid)
	}
	if want.Gid != have.Gid {
		gid = int(want.Gid)
	}
	chown := uid >= 0 || gid >= 0
	if chown {
		if err := ignoringEINTR(func() error { return unix.Fchown(fd, uid, gid) }); err != nil {
			return f.errorOf("chown", err)
		}
	}
	if err := attrs.apply(f); err != nil {
		return err
	}
	const mask = 0o7777
	if !chown && !attrs.changed() && want.Mode&mask == have.Mode&mask {
		return nil
	}
	if err := ignoringEINTR(func() error { return unix.Fchmod(fd, uint32(want.Mode&mask)) }); err != nil {
		return f.errorOf("chmod", err)
	}
	if err := attrs.applyAccessLists(f); err != nil {
		return err
	}
	if err := unix.Fstat(fd, &have); err != nil {
		return f.errorOf("stat", err)
	}
	if want.Mode&mask != have.Mode&mask {
		return f.errorOf("chmod", unix.EPERM)
	}
	return nil
}

func ignoringEINTR(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}
