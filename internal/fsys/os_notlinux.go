//go:build !linux

package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// Readlink implements [FS]. The error is ErrDiffers if another symlink takes
// its place meanwhile.
func (OS) Readlink(name string) (target string, info fs.FileInfo, err error) {
	if info, err = os.Lstat(name); err != nil {
		return "", nil, err
	}
	if target, err = os.Readlink(name); err != nil {
		return "", nil, err
	}
	again, err := os.Lstat(name)
	if err == nil && !os.SameFile(info, again) {
		err = &fs.PathError{Op: "readlink", Path: name, Err: ErrDiffers}
	}
	return target, info, err
}

// IsMountPoint implements [FS]. Single files cannot be mounted here, or the
// system cannot tell.
func (OS) IsMountPoint(name string) (bool, error) { return false, nil }

// MountedElsewhere implements [FS]. Single files cannot be mounted here, or the
// system cannot tell.
func (OS) MountedElsewhere(name string) (string, error) { return "", nil }

// Place implements [FS]. These systems cannot tell.
func (OS) Place(name string) (Place, error) {
	return Place{}, &fs.PathError{Op: "place", Path: name, Err: errors.ErrUnsupported}
}

// HasWriters implements [File]. These systems cannot tell; Windows could only
// by opening the file in a way that others would notice.
func (f *file) HasWriters() (bool, error) {
	return false, f.errorOf("lease", errors.ErrUnsupported)
}

// Amend implements [File]. These systems cannot keep others out.
func (f *file) Amend(old, b []byte, at int64) error {
	return f.errorOf("lease", errors.ErrUnsupported)
}

// Mkdir implements [FS].
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Link implements [FS]. The second name of a symbolic link leads to the link
// itself on Linux, and to its target on some other systems.
func (OS) Link(oldname, newname string) error { return os.Link(oldname, newname) }
