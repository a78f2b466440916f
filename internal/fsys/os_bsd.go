//go:build dragonfly || freebsd || netbsd || openbsd

package fsys

import "golang.org/x/sys/unix"

func exchange(a, b string) error { return unix.ENOTSUP } // there is no such operation

func checkAccess(name string, mode uint32) error {
	return unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS)
}

const errNoXattr = unix.ENOATTR
