package fsys

import (
	"errors"
	"io/fs"
	"slices"
	"syscall"
)

// permanent are the errors after which trying again soon is in vain. All others may pass by themselves: ENOSPC, EDQUOT,
// EIO, ESTALE, ENOLCK, EAGAIN, EMFILE, ENFILE, EINTR and what is not known.
var permanent = append([]syscall.Errno{
	syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EBUSY, syscall.EXDEV, syscall.ENOTDIR, syscall.EISDIR,
	syscall.ELOOP, syscall.ENAMETOOLONG, syscall.ENOSYS, syscall.ENOTSUP, syscall.ENXIO,
}, writeProtected...)

// PermanentErrno tells whether trying again soon is in vain after this error.
func PermanentErrno(errno syscall.Errno) bool { return slices.Contains(permanent, errno) }

// ReadOnlyErrno tells whether the error says that a file cannot be written although it may be readable.
func ReadOnlyErrno(errno syscall.Errno) bool {
	return errno == syscall.EROFS || errno == syscall.EACCES || errno == syscall.EPERM || slices.Contains(writeProtected, errno)
}

// WithoutLinks tells whether an error of Link says that the file system has no hard links, when creating a file in the
// same folder has just worked: Linux says EPERM then (link(2)), others that it is not supported.
func WithoutLinks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EMLINK)
}

// IsReadOnly reports whether err means that a file may be readable but cannot
// be written.
func IsReadOnly(err error) bool {
	if errors.Is(err, fs.ErrPermission) {
		return true
	}
	var errno syscall.Errno
	return errors.As(err, &errno) && ReadOnlyErrno(errno)
}
