package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// OpenFile implements [FS]. Package os opens files so that nobody can rename or remove them while they are open:
// Rename and Remove by another process, or by another goroutine of this one, then fail with ERROR_SHARING_VIOLATION or
// ERROR_ACCESS_DENIED, which are worth another try.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &file{f}, nil
}

// Exchange implements [FS]: Windows has no such operation that is atomic.
func (OS) Exchange(a, b string) error {
	return &os.LinkError{Op: "exchange", Old: a, New: b, Err: errors.ErrUnsupported}
}

// SyncDir implements [FS]. It does nothing: Windows does not let a program without special rights flush a folder. NTFS
// keeps names consistent by its journal, but the last few seconds of renames can be missing after a power cut.
func (OS) SyncDir(name string) error { return nil }

// LockDir implements [FS]: a folder cannot be locked here.
func (OS) LockDir(name string) (unlock func(), err error) {
	return nil, &fs.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

// CheckWritable implements [FS]. It sees the read-only attribute of a file and no more: access lists and a
// write-protected volume show only when writing. On a folder the attribute means something else and does not count.
func (OS) CheckWritable(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() && info.Mode().Perm()&0o200 == 0 {
		return &fs.PathError{Op: "access", Path: name, Err: fs.ErrPermission}
	}
	return nil
}

// IsMountPoint implements [FS]: a single file cannot be mounted here.
func (OS) IsMountPoint(name string) (bool, error) { return false, nil }

// LinkCount implements [FS]: package os does not tell here.
func (OS) LinkCount(info fs.FileInfo) int { return 1 }

// copyAttributes keeps the read-only attribute. The new file has inherited owner and access list from the folder, as the
// old one did unless someone changed them on the file alone; such a change is lost, and so are alternate streams.
func (f *file) copyAttributes(src *file) error {
	want, err := src.Stat()
	if err != nil {
		return err
	}
	have, err := f.Stat()
	if err != nil {
		return err
	}
	if want.Mode().Perm() == have.Mode().Perm() {
		return nil
	}
	return f.Chmod(want.Mode().Perm())
}

// HasWriters implements [File]: Windows tells only by opening the file so that others cannot, which they would notice.
func (f *file) HasWriters() (bool, error) {
	return false, f.errorOf("lease", errors.ErrUnsupported)
}
