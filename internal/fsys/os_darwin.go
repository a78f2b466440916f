package fsys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Exchange implements [FS]. APFS knows it; HFS+ and network file systems say ENOTSUP.
func (OS) Exchange(a, b string) error {
	err := ignoringEINTR(func() error { return unix.RenamexNp(a, b, unix.RENAME_SWAP) })
	switch err {
	case nil:
		return nil
	case unix.EINVAL, unix.ENOSYS, unix.ENOTSUP:
		err = unsupportedError{err}
	}
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: err}
}

const errNoXattr = unix.ENOATTR

// isAccessList is false: an access list is no extended attribute here. A new file gets the inheritable entries of its
// folder's, and those that were given to the old file alone are not kept.
func isAccessList(name string) bool { return false }

// keepXattr tells whether an extended attribute is something that was given to the file. The system gives every file
// that a sandboxed program makes a provenance of its own, and lets nobody change it.
func keepXattr(name string) bool { return name != "com.apple.provenance" }
