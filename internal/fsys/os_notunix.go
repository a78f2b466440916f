//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// OpenFile implements [FS]. It can wait if name is a FIFO or a device.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{f}, nil
}

// Exchange implements [FS]. There is no such operation that is atomic.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}

// Rename implements [FS].
func (OS) Rename(oldname, newname string) error { return os.Rename(oldname, newname) }

// SyncDir implements [FS].
func (OS) SyncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// LockDir implements [FS]. Directories cannot be locked here.
func (OS) LockDir(name string) (unlock func(), err error) {
	return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

// CheckWritable implements [FS]. It looks at the mode and no more.
func (OS) CheckWritable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o222 == 0 {
		return &fs.PathError{Op: "access", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

// Owner implements [FS]. Package os does not know here.
func (OS) Owner(info fs.FileInfo) (Owner, bool) { return Owner{}, false }

// LinkCount implements [FS]. Package os does not know here.
func (OS) LinkCount(info fs.FileInfo) int { return 1 }

// copyAttributes keeps the mode.
func (f *file) copyAttributes(src *file) error {
	want, err := src.Stat()
	if err != nil {
		return err
	}
	have, err := f.Stat()
	if err != nil || want.Mode() == have.Mode() {
		return err
	}
	return f.Chmod(want.Mode())
}
