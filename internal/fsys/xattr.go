//go:build linux || darwin || freebsd || netbsd

package fsys

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// isAccessList reports whether an extended attribute is an access list, of
// POSIX or NFSv4. On other systems than Linux an access list is no extended
// attribute: a new file gets the inheritable entries of its directory's, and
// those that the old file alone had are lost.
func isAccessList(name string) bool {
	return runtime.GOOS == "linux" && strings.HasPrefix(name, "system.")
}

// keepXattr reports whether someone has given an extended attribute to a file.
// The others describe how the file system stores it (btrfs, lustre), are sums
// over the content that the kernel itself keeps (IMA and EVM), or are managed
// by the system, such as the provenance on macOS, which nobody may change.
func keepXattr(name string) bool {
	switch runtime.GOOS {
	case "linux":
		switch namespace, _, _ := strings.Cut(name, "."); namespace {
		case "user", "system", "trusted":
			return true
		case "security":
			return name != "security.ima" && name != "security.evm"
		}
		return false
	case "darwin":
		return name != "com.apple.provenance"
	default:
		return strings.HasPrefix(name, "user.")
	}
}

// An xattrDiff is what turns the extended attributes of a file into those of
// another.
type xattrDiff struct {
	remove []string
	set    map[string][]byte // before the mode is set
	lists  map[string][]byte // access lists, set after it
}

func (d *xattrDiff) changed() bool {
	return len(d.remove) > 0 || len(d.set) > 0 || len(d.lists) > 0
}

// diffXattrs compares the extended attributes of two open files. A file system
// that lists those of neither has none, whatever the error: FUSE servers
// return EIO too.
func diffXattrs(src, dst *file) (*xattrDiff, error) {
	want, err := listXattrs(src)
	have, dstErr := listXattrs(dst)
	var unlisted, dstUnlisted *listError
	if errors.As(err, &unlisted) && errors.As(dstErr, &dstUnlisted) {
		return new(xattrDiff), nil
	}
	if err := cmp.Or(err, dstErr); err != nil {
		return nil, err
	}
	d := &xattrDiff{set: maps.Clone(want), lists: make(map[string][]byte)}
	for name, value := range want {
		if old, ok := have[name]; ok && bytes.Equal(old, value) {
			delete(d.set, name)
		} else if isAccessList(name) {
			delete(d.set, name)
			d.lists[name] = value
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			d.remove = append(d.remove, name)
		}
	}
	return d, nil
}

// apply removes the attributes that f did not get from src, but from its
// directory for example, and sets all others except the access lists.
func (d *xattrDiff) apply(f *file) error {
	for _, name := range d.remove {
		err := ignoringEINTR(func() error { return unix.Fremovexattr(int(f.Fd()), name) })
		if err != nil && err != errNoXattr {
			return f.errorOf("remove attribute "+name+" of", err)
		}
	}
	return setXattrs(f, d.set)
}

func (d *xattrDiff) applyAccessLists(f *file) error { return setXattrs(f, d.lists) }

func setXattrs(f *file, attrs map[string][]byte) error {
	for name, value := range attrs {
		err := ignoringEINTR(func() error { return unix.Fsetxattr(int(f.Fd()), name, value, 0) })
		if err != nil {
			return f.errorOf("set attribute "+name+" of", err)
		}
	}
	return nil
}

// A listError means that the names of the attributes could not be listed.
type listError struct{ error }

func (e *listError) Unwrap() error { return e.error }

// listXattrs returns the extended attributes to keep, which is nil for most
// files.
func listXattrs(f *file) (map[string][]byte, error) {
	names, err := readXattr(func(buf []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), buf) })
	if err != nil {
		return nil, &listError{f.errorOf("list attributes of", err)}
	}
	var attrs map[string][]byte
	for name := range strings.SplitSeq(string(names), "\x00") {
		if name == "" || !keepXattr(name) {
			continue
		}
		value, err := readXattr(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
		if err == errNoXattr {
			continue // removed since the list was made
		}
		if err != nil {
			return nil, f.errorOf("get attribute "+name+" of", err)
		}
		if attrs == nil {
			attrs = make(map[string][]byte)
		}
		attrs[name] = value
	}
	return attrs, nil
}

// readXattr calls get with a buffer that is large enough. For an empty buffer
// get returns the size that it needs.
func readXattr(get func([]byte) (int, error)) ([]byte, error) {
	buf := make([]byte, 256)
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = get(buf)
			return err
		})
		if err == nil && n < len(buf) {
			return buf[:n:n], nil
		}
		if err != nil && err != unix.ERANGE {
			return nil, err
		}
		// It did not fit, or only just, which on some systems means that it
		// was cut.
		err = ignoringEINTR(func() (err error) {
			n, err = get(nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		buf = make([]byte, max(n+1, 2*len(buf))) // it may grow before the next call
	}
}
