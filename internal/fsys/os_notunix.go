//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package fsys

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
)

// OpenFile implements [FS]. On Windows, package os opens files so that nobody
// can rename or remove them while they are open: Rename and Remove by another
// process, or by another goroutine of this one, then fail with
// ERROR_SHARING_VIOLATION or ERROR_ACCESS_DENIED, which are worth a retry. On
// other systems it can wait if name is a FIFO or a device.
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

// SyncDir implements [FS]. On Windows it does nothing, since a program without
// special rights cannot flush a directory. NTFS keeps names consistent by its
// journal, but the last few seconds of renames can be missing after a power
// cut.
func (OS) SyncDir(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
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

// CheckWritable implements [FS]. It looks at the mode and no more. On Windows
// that is the read-only attribute of a file; on a directory the attribute means
// something else and does not count. Access lists and a write-protected volume
// only show when writing.
func (OS) CheckWritable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o222 == 0 && !(info.IsDir() && runtime.GOOS == "windows") {
		return &fs.PathError{Op: "access", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

// LinkCount implements [FS]. Package os does not know here.
func (OS) LinkCount(info fs.FileInfo) int { return 1 }

// copyAttributes keeps the mode, which on Windows is the read-only attribute.
// There the new file has inherited owner and access list from the directory,
// as the old one did unless someone changed them on the file alone. Such a
// change is lost, and so are alternate streams.
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
