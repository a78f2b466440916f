//go:build freebsd || netbsd

package fsys

import (
	"strings"

	"golang.org/x/sys/unix"
)

const errNoXattr = unix.ENOATTR

// isAccessList is false: an access list is no extended attribute that a program could read here. A new file gets the
// inheritable entries of its folder's, and those that were given to the old file alone are not kept.
func isAccessList(name string) bool { return false }

// keepXattr keeps the attributes of users; those of the system hold, among other things, what the kernel itself manages.
func keepXattr(name string) bool { return strings.HasPrefix(name, "user.") }
