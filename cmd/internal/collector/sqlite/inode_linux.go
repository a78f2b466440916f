package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Magic numbers of statfs(2) for file systems on other machines, where flock
// would take SQLite's own locks.
var remote = map[int64]bool{unix.NFS_SUPER_MAGIC: true, unix.SMB_SUPER_MAGIC: true, unix.SMB2_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true}

// lockInode ensures that no other store has the file open under another name (a
// hard link): the lock beside the file has another name there. It returns
// ErrInUse if one does.
func lockInode(file *os.File) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &fs); err != nil || remote[int64(fs.Type)] {
		return nil
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return ErrInUse
	}
	return nil // or it has no such locks
}
