package fsys

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel looks up the two names of an operation one after the other. In
// between, a directory in their path can become a symlink. So names in one
// directory are looked up in a descriptor of it, and symlinks on the way to it
// are not followed.

// beside calls do with a descriptor of the directory of two names, and their
// last elements. If they are not in one directory, or if that is in /proc, it
// passes on the names as they are, and so it does if one ends in a slash.
func beside(a, b string, do func(dir int, a, b string) error) error {
	dir := Dir(a)
	if Dir(b) != dir || strings.HasSuffix(a, separator) || strings.HasSuffix(b, separator) || strings.HasPrefix(dir, "/proc/") {
		return ignoringEINTR(func() error { return do(unix.AT_FDCWD, a, b) })
	}
	var fd int
	err := ignoringEINTR(func() (err error) {
		fd, err = openFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|NoFollow, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return ignoringEINTR(func() error { return do(fd, filepath.Base(a), filepath.Base(b)) })
}

// Mkdir implements [FS].
func (OS) Mkdir(name string, perm fs.FileMode) error {
	err := beside(name, name, func(dir int, name, _ string) error { return unix.Mkdirat(dir, name, modeBits(perm)) })
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	return nil
}

// Rename implements [FS]. Like os.Rename it moves nothing over a directory.
func (OS) Rename(oldname, newname string) error {
	if info, err := os.Lstat(newname); err == nil && info.IsDir() {
		return os.Rename(oldname, newname)
	}
	return linkError("rename", oldname, newname, beside(oldname, newname, func(dir int, a, b string) error {
		return unix.Renameat(dir, a, dir, b)
	}))
}

// Link implements [FS]. The second name of a symbolic link leads to the link
// itself.
func (OS) Link(oldname, newname string) error {
	return linkError("link", oldname, newname, beside(oldname, newname, func(dir int, a, b string) error {
		return unix.Linkat(dir, a, dir, b, 0)
	}))
}

func linkError(op, oldname, newname string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: oldname, New: newname, Err: err}
}
