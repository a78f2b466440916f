//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package fsys

import (
	"errors"

	"golang.org/x/sys/unix"
)

func checkAccess(name string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
}

// IsMountPoint implements [FS]: single files cannot be mounted here, or the system does not tell.
func (OS) IsMountPoint(name string) (bool, error) { return false, nil }

// HasWriters implements [File]: these systems do not tell.
func (f *file) HasWriters() (bool, error) {
	return false, f.errorOf("lease", errors.ErrUnsupported)
}
