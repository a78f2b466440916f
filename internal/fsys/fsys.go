// Package fsys is the file system as the rest of the module sees it: the few
// operations that it takes to save one small file safely. Each is one system
// call or close to it, so that a test can let any one of them hang, fail or be
// cut off.
//
// [OS] is the real one. Nothing here is bounded in time: a call can hang for as
// long as the kernel or a server lets it. The caller runs it where that does
// no harm (package flight).
package fsys

import (
	"errors"
	"io"
	"io/fs"
)

// FS is a file system. Names are paths as package os accepts them. Errors wrap
// the errno, in an *[fs.PathError] or *[os.LinkError] as in package os. All
// methods are safe for concurrent use.
type FS interface {
	// OpenFile is os.OpenFile, but never waits for a peer: opening a FIFO or a
	// device does not block.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Lstat is os.Lstat.
	Lstat(name string) (fs.FileInfo, error)
	// Readlink is os.Readlink.
	Readlink(name string) (string, error)
	// ReadDir returns the names in a directory, in no order.
	ReadDir(name string) ([]string, error)
	// Mkdir is os.Mkdir.
	Mkdir(name string, perm fs.FileMode) error
	// Remove is os.Remove.
	Remove(name string) error
	// Rename moves oldname over newname, atomically where the system can.
	Rename(oldname, newname string) error
	// Link adds the name newname to the file oldname. The error is fs.ErrExist
	// if that name is taken.
	Link(oldname, newname string) error
	// Exchange swaps two files atomically. The error is errors.ErrUnsupported
	// where the operating system or the file system has no such operation.
	Exchange(a, b string) error
	// SyncDir makes the names in a directory durable. Where the operating
	// system has no such operation it does nothing.
	SyncDir(name string) error
	// LockDir takes the advisory lock of a directory among the processes that
	// use this package. It does not wait: the error is ErrLocked if another
	// process holds it, and another one where locks do not work. unlock
	// releases it.
	LockDir(name string) (unlock func(), err error)
	// CheckWritable returns the error with which the kernel would refuse this
	// process to write to the file or directory, such as EROFS, EACCES, or
	// EPERM for an immutable one. It does not write.
	CheckWritable(name string) error
	// IsMountPoint reports whether something is mounted on name itself, as a
	// bind-mounted file is: renaming over it would fail with EBUSY. It is false
	// where the system cannot tell.
	IsMountPoint(name string) (bool, error)
	// SameFile is os.SameFile for infos of this file system.
	SameFile(a, b fs.FileInfo) bool
	// LinkCount returns the number of names that a file has, and 1 where the
	// system cannot tell.
	LinkCount(info fs.FileInfo) int
}

// File is an open file. Only one goroutine may use it at a time.
type File interface {
	io.ReadWriteCloser
	io.WriterAt
	// Stat is (*os.File).Stat.
	Stat() (fs.FileInfo, error)
	// Sync makes the file's content and size durable (fsync).
	Sync() error
	// CopyAttributes gives this file the mode, owner and group, and extended
	// attributes (access lists among them) of src, which is of the same file
	// system. If one of them cannot be kept, that is an error.
	CopyAttributes(src File) error
	// HasWriters reports whether another open file description could still
	// write to this file. The error is errors.ErrUnsupported where the system
	// cannot tell.
	HasWriters() (bool, error)
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("locked by another process")
