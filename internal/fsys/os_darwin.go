package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

// exchange is for APFS; HFS+ and network file systems return ENOTSUP.
func exchange(a, b string) error { return unix.RenamexNp(a, b, unix.RENAME_SWAP) }

func checkAccess(name string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
}

const errNoXattr = unix.ENOATTR

func openFile(name string, flag int, perm uint32) (fd int, err error) {
	return unix.Open(name, flag, perm)
}

// Rename implements [FS].
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }
