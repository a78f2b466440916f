package fsys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Exchange implements [FS]. The file system has to know it: ext4, xfs, btrfs, tmpfs and overlayfs do; NFS, FUSE servers
// without it and some others say EINVAL, an old kernel ENOSYS.
func (OS) Exchange(a, b string) error {
	err := ignoringEINTR(func() error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	})
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		err = unsupportedError{err}
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

// checkAccess asks with the rights that the process acts with, which access(2) does not.
//
// unix.Faccessat cannot be used for that: on EPERM it takes the kernel for one that lacks the call, goes by the mode
// alone, and so lets root write to an immutable file.
func checkAccess(name string, mode uint32) error {
	err := unix.Faccessat2(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
	if err == unix.ENOSYS || err == unix.EPERM {
		// A kernel before 5.8, or a container whose system call filter does not know the call and says EPERM, as the kernel
		// does for an immutable file. The old call decides; it differs only for a process with other real than effective
		// rights.
		err = unix.Faccessat(unix.AT_FDCWD, name, mode, 0)
	}
	if err != nil {
		return err
	}
	// The kernel asks about the append-only attribute only when a file is opened or a name is taken away.
	var stx unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, name, 0, 0, &stx) == nil && stx.Attributes&unix.STATX_ATTR_APPEND != 0 {
		return unix.EPERM
	}
	return nil
}

// IsMountPoint implements [FS]. A kernel before 5.8, or a container whose system call filter stops statx, cannot tell.
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

// isMountRoot tells whether the file that stx describes is the root of a mount, or, when the kernel does not say that,
// whether it is on another mount than its folder.
func isMountRoot(stx unix.Statx_t, folder func() (unix.Statx_t, error)) (bool, error) {
	if stx.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
	}
	if stx.Mask&unix.STATX_MNT_ID == 0 {
		return false, nil
	}
	parent, err := folder()
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

// HasWriters implements [File] by asking for a read lease, which the kernel grants only on a file that nobody, on any
// process, has open or mapped for writing. It needs a file opened read-only: one opened for writing as well would count
// itself. It also needs to own the file or to be root, and a local file system; what network and FUSE file systems do
// elsewhere the kernel does not know.
//
// The lease is given back at once. Who opens the file for writing just then waits these microseconds, or, if it
// opens with O_NONBLOCK, gets EAGAIN. The kernel then also sends a signal to the process that holds the lease. By default
// that is SIGIO, which would end a program that does not ignore it as Go does. It is made SIGURG, which every program
// ignores unless it asks for it, and which the Go runtime sends itself all the time.
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

const errNoXattr = unix.ENODATA

// isAccessList tells whether an extended attribute is an access list: that of POSIX or that of NFSv4.
func isAccessList(name string) bool { return strings.HasPrefix(name, "system.") }

// keepXattr tells whether an extended attribute is something that was given to the file. Others tell how the file system
// stores it (btrfs, lustre), or are sums over the content that the kernel keeps itself (IMA and EVM).
func keepXattr(name string) bool {
	switch namespace, _, _ := strings.Cut(name, "."); namespace {
	case "user", "system", "trusted":
		return true
	case "security":
		return name != "security.ima" && name != "security.evm"
	}
	return false
}
