//go:build dragonfly || freebsd || netbsd || openbsd

package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

func exchange(a, b string) error { return unix.ENOTSUP } // there is no such operation

func checkAccess(name string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
}

const errNoXattr = unix.ENOATTR

func openFile(name string, flag int, perm uint32) (fd int, err error) {
	return unix.Open(name, flag, perm)
}

// Rename implements [FS].
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }
