//go:build unix && !linux

package listen

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// setMode sets the mode of the socket at path. It follows no symlink.
func setMode(path string, mode fs.FileMode) error {
	return unix.Fchmodat(unix.AT_FDCWD, path, uint32(mode.Perm()), unix.AT_SYMLINK_NOFOLLOW)
}
