//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd && !windows

package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// OpenFile implements [FS], except that it can wait when name is a FIFO or a device.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{f}, nil
}

// Exchange implements [FS]: not known for this system.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}

// SyncDir implements [FS].
func (OS) SyncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// LockDir implements [FS]: not known for this system.
func (OS) LockDir(name string) (unlock func(), err error) {
	return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

// CheckWritable implements [FS]. It goes by the mode alone.
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

// IsMountPoint implements [FS]: not known for this system.
func (OS) IsMountPoint(name string) (bool, error) { return false, nil }

// LinkCount implements [FS]: not known for this system.
func (OS) LinkCount(info fs.FileInfo) int { return 1 }

// copyAttributes keeps the mode, and nothing else.
func (f *file) copyAttributes(src *file) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	return f.Chmod(info.Mode())
}

// HasWriters implements [File]: not known for this system.
func (f *file) HasWriters() (bool, error) {
	return false, f.errorOf("lease", errors.ErrUnsupported)
}
