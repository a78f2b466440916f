package fsys

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// exchange needs support by the file system. ext4, xfs, btrfs, tmpfs and
// overlayfs have it; NFS, FUSE servers without it and some others return
// EINVAL, and an old kernel ENOSYS.
func exchange(a, b string) error {
	return beside(a, b, func(dir int, a, b string) error {
		return unix.Renameat2(dir, a, dir, b, unix.RENAME_EXCHANGE)
	})
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
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY {
		err = unix.EINVAL
	}
	if err == nil {
		err = f.takeLease(unix.F_RDLCK)
	}
	if err == unix.EAGAIN {
		return true, nil
	}
	if err != nil {
		return false, f.errorOf("lease", unsupportedError{err})
	}
	return false, f.returnLease()
}

// Amend implements [File] under a write lease. The kernel grants that only on a
// file that is open nowhere else, to the same processes and on the same file
// systems as a read lease. An open by anyone else, even for reading, then waits
// until the lease is returned, which is before the content is synced. Before
// Linux 5.3 the kernel takes a mount of the file itself for an open file.
func (f *file) Amend(old, b []byte, at int64) (err error) {
	switch err := f.takeLease(unix.F_WRLCK); {
	case err == unix.EAGAIN:
		return f.errorOf("lease", ErrInUse)
	case err != nil:
		return f.errorOf("lease", unsupportedError{err})
	}
	defer func() {
		if leaseErr := f.returnLease(); err == nil {
			err = leaseErr
		}
	}()
	found := make([]byte, len(old)+1)
	n, err := f.ReadAt(found, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(found[:n], old) {
		return f.errorOf("amend", ErrDiffers)
	}
	_, err = f.WriteAt(b, at)
	return err
}

func (f *file) takeLease(kind int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETSIG, int(unix.SIGURG)); err != nil {
		return err
	}
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, kind)
	return err
}

func (f *file) returnLease() error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK); err != nil {
		return f.errorOf("release lease", err)
	}
	return nil
}

// openFile opens a file. Where the kernel has no openat2, which a system call
// filter can hide by EPERM, O_NOFOLLOW has its plain meaning.
func openFile(name string, flag int, perm uint32) (fd int, err error) {
	if flag&NoFollow == 0 || strings.HasPrefix(name, "/proc/") {
		return unix.Open(name, flag, perm)
	}
	how := unix.OpenHow{Flags: uint64(flag), Resolve: unix.RESOLVE_NO_SYMLINKS}
	if flag&unix.O_CREAT != 0 {
		how.Mode = uint64(perm)
	}
	fd, err = unix.Openat2(unix.AT_FDCWD, name, &how)
	if err == unix.ENOSYS || err == unix.EPERM && !hasOpenat2() {
		return unix.Open(name, flag, perm)
	}
	return fd, err
}

// hasOpenat2 tries whether the system call works.
func hasOpenat2() bool {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// Readlink implements [FS]. The text and the info are those of one symlink,
// even if another takes its place meanwhile.
func (OS) Readlink(name string) (target string, info fs.FileInfo, err error) {
	var fd int
	err = ignoringEINTR(func() (err error) {
		fd, err = unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return "", nil, &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	link := os.NewFile(uintptr(fd), name)
	defer link.Close()
	if info, err = link.Stat(); err != nil {
		return "", nil, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == unix.ENOENT { // which it says of what is no symlink
		err = unix.EINVAL
	}
	if err != nil {
		return "", nil, &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), info, nil
}
