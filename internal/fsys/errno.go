package fsys

import (
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"syscall"
)

// permanent are the errors after which retrying soon is pointless. All others
// may pass by themselves: ENOSPC, EDQUOT, EIO, ESTALE, ENOLCK, EAGAIN, EMFILE,
// ENFILE, EINTR and unknown ones.
var permanent = []syscall.Errno{
	syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EBUSY, syscall.EXDEV, syscall.ENOTDIR, syscall.EISDIR,
	syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ENOSYS, syscall.ENOTSUP, syscall.ENXIO,
}

// IsPermanent reports whether retrying soon after this error is pointless.
func IsPermanent(errno syscall.Errno) bool {
	return slices.Contains(permanent, errno) || isWriteProtected(errno)
}

// IsReadOnly reports whether err means that a file may be readable but cannot
// be written.
func IsReadOnly(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) ||
		errors.As(err, &errno) && isWriteProtected(errno)
}

// IsInUse reports whether err can mean that a file cannot be opened, renamed
// over, or removed because somebody has it open, which only Windows says. A
// missing right has the same error there.
func IsInUse(err error) bool {
	const accessDenied, sharingViolation = syscall.Errno(5), syscall.Errno(32)
	return runtime.GOOS == "windows" && (errors.Is(err, accessDenied) || errors.Is(err, sharingViolation))
}

// isWriteProtected reports whether errno is ERROR_WRITE_PROTECT, which Windows
// has besides the errnos that package syscall invents for it.
func isWriteProtected(errno syscall.Errno) bool { return runtime.GOOS == "windows" && errno == 19 }
