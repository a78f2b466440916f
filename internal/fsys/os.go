package fsys

import (
	"errors"
	"io/fs"
	"os"
)

// OS is the file system of the operating system. Its zero value is ready to
// use. Not every promise of [FS] holds everywhere:
//
//	                Linux    macOS    BSD     Windows   others
//	Exchange        yes      yes      -       -         -
//	SyncDir         yes      yes      yes     NTFS      yes
//	LockDir         yes      yes      yes     yes       -
//	CheckWritable   yes      yes      yes     partly    mode
//	IsMountPoint    yes      false    false   false     false
//	MountedElsewhere yes     none     none    none      none
//	Place           yes      -        -       -         -
//	HasWriters      yes      -        -       -         -
//	Amend           yes      -        -       -         -
//	CopyAttributes  all      no ACL   no ACL  no owner  mode
//
// where - is [errors.ErrUnsupported]. The methods say more.
type OS struct{}

var _ FS = OS{}

// Lstat implements [FS].
func (OS) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }

// ReadDir implements [FS]. Like os.ReadDir it does not wait if name is a FIFO.
func (OS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Remove implements [FS].
func (OS) Remove(name string) error { return os.Remove(name) }

// Self implements [FS].
func (OS) Self() Owner { return Owner{os.Geteuid(), os.Getegid()} }

// SameFile implements [FS].
func (OS) SameFile(a, b fs.FileInfo) bool { return os.SameFile(a, b) }

// file is an open file of OS.
type file struct {
	*os.File
}

var _ File = (*file)(nil)

// CopyAttributes implements [File].
func (f *file) CopyAttributes(src File) error {
	from, ok := src.(*file)
	if !ok {
		return f.errorOf("copy attributes", errors.New("from a file of another file system"))
	}
	return f.copyAttributes(from)
}

func (f *file) errorOf(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.Name(), Err: err}
}

// An unsupportedError is an errno that here means [errors.ErrUnsupported],
// though it does not always.
type unsupportedError struct{ errno error }

func (e unsupportedError) Error() string        { return e.errno.Error() }
func (e unsupportedError) Unwrap() error        { return e.errno }
func (e unsupportedError) Is(target error) bool { return target == errors.ErrUnsupported }
