package listen

import (
	"errors"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

var errNotSocket = errors.New("another file has taken the place of the socket")

// setMode sets the mode of the socket at path. Whoever may write in the
// directory may have put a symlink there meanwhile, which is not followed: its
// target would be open to them.
func setMode(path string, mode fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errNotSocket
	}
	perm := uint32(mode.Perm())
	err = unix.Fchmodat(fd, "", perm, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EOPNOTSUPP) { // before Linux 6.6
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), perm)
	}
	return err
}
