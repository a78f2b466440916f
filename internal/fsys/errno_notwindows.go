//go:build !windows

package fsys

import "syscall"

var writeProtected []syscall.Errno
