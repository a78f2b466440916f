//go:build !linux

package fsys

import "errors"

// IsMountPoint implements [FS]. Single files cannot be mounted here, or the
// system cannot tell.
func (OS) IsMountPoint(name string) (bool, error) { return false, nil }

// HasWriters implements [File]. These systems cannot tell; Windows could only
// by opening the file in a way that others would notice.
func (f *file) HasWriters() (bool, error) {
	return false, f.errorOf("lease", errors.ErrUnsupported)
}
