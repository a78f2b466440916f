package fsys

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// exchange needs support by the file system. ext4, xfs, btrfs, tmpfs and
// overlayfs have it; NFS, FUSE servers without it and some others return
// EINVAL, and an old kernel ENOSYS.
func exchange(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

const errNoXattr = unix.ENODATA

// checkAccess uses the effective rights of the process, which access(2) does
// not.
//
// unix.Faccessat cannot be used for that: on EPERM it assumes a kernel without
// the call, goes by the mode alone, and so lets root write to an immutable
// file.
func checkAccess(name string, mode uint32) error {
	err := unix.Faccessat2(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
	if err == unix.ENOSYS || err == unix.EPERM {
		// A kernel before 5.8, or a container whose system call filter does
		// not know the call and returns EPERM, as the kernel does for an
		// immutable file. The old call decides; it differs only for a process
		// whose real rights are not its effective ones.
		err = unix.Faccessat(unix.AT_FDCWD, name, mode, 0)
	}
	if err != nil {
		return err
	}
	// The kernel checks the append-only attribute only when a file is opened or
	// a name is removed.
	var stx unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, name, 0, 0, &stx) == nil && stx.Attributes&unix.STATX_ATTR_APPEND != 0 {
		return unix.EPERM
	}
	return nil
}

// IsMountPoint implements [FS]. A kernel before 5.8, or a container whose
// system call filter stops statx, cannot tell.
func (OS) IsMountPoint(name string) (bool, error) {
	stx, err := statMount(name)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return isMountRoot(stx, func() (unix.Statx_t, error) { return statMount(filepath.Dir(name)) })
}

// isMountRoot reports whether stx is of the root of a mount. If the kernel does
// not say, it reports whether the file is on another mount than its directory.
func isMountRoot(stx unix.Statx_t, directory func() (unix.Statx_t, error)) (bool, error) {
	if stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	if stx.Mask&unix.STATX_MNT_ID == 0 {
		return false, nil
	}
	parent, err := directory()
	if err != nil {
		return false, err
	}
	return parent.Mask&unix.STATX_MNT_ID != 0 && stx.Mnt_id != parent.Mnt_id, nil
}

func statMount(name string) (unix.Statx_t, error) {
	var stx unix.Statx_t
	err := ignoringEINTR(func() error {
		return unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &stx)
	})
	if err != nil {
		return stx, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	return stx, nil
}

// HasWriters implements [File] by asking for a read lease. The kernel grants
// that only on a file that no process has open, or mapped, for writing. The
// file must be open read-only, since it would count itself otherwise. The
// process must own it or be root, and the file system must be local: the
// kernel does not know what happens elsewhere on network and FUSE file systems.
//
// The lease is returned at once. A program that opens the file for writing just
// then waits for microseconds, or gets EAGAIN if it opens with O_NONBLOCK. The
// kernel also sends a signal to the process that holds the lease. By default
// that is SIGIO, which would end a program that does not ignore it as Go does.
// It is set to SIGURG, which every program ignores unless it asks for it, and
// which the Go runtime itself sends all the time.
func (f *file) HasWriters() (bool, error) {
	fd := f.Fd()
	flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY {
		err = unix.EINVAL
	}
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGURG))
	}
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_RDLCK)
	}
	if err == unix.EAGAIN {
		return true, nil
	}
	if err != nil {
		return false, f.errorOf("lease", unsupportedError{err})
	}
	if _, err := unix.FcntlInt(fd, unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		return false, f.errorOf("release lease", err)
	}
	return false, nil
}
