// Package fsys is the file system as the rest of the module sees it: the few operations that saving one small file
// safely needs, each one system call or close to it, so that a test can let any one of them hang, fail or be cut off.
//
// [OS] is the real one. Nothing here is bounded in time: a call can hang for as long as the kernel or a server lets it,
// and the caller runs it where that does no harm (package flight).
package fsys

import (
	"errors"
	"io"
	"io/fs"
)

// FS is a file system. Names are slash- or OS-separated paths as package os takes them. Errors wrap the errno, in an
// *[fs.PathError] or *[os.LinkError] as package os has them. All methods are safe for concurrent use.
type FS interface {
	// OpenFile is os.OpenFile, but never waits for a peer: opening a FIFO or a device does not block.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Lstat is os.Lstat.
	Lstat(name string) (fs.FileInfo, error)
	// Readlink is os.Readlink.
	Readlink(name string) (string, error)
	// ReadDir gives the names in a folder, in no order.
	ReadDir(name string) ([]string, error)
	// Mkdir is os.Mkdir.
	Mkdir(name string, perm fs.FileMode) error
	// Remove is os.Remove.
	Remove(name string) error
	// Rename moves oldname over newname, atomically where the system can.
	Rename(oldname, newname string) error
	// Link gives the file oldname the second name newname; it fails with fs.ErrExist when that name is taken.
	Link(oldname, newname string) error
	// Exchange swaps two files atomically. It fails with an error that is errors.ErrUnsupported where the operating
	// system or the file system has no such operation.
	Exchange(a, b string) error
	// SyncDir makes the names in a folder durable. Where the operating system has no such operation it does nothing.
	SyncDir(name string) error
	// LockDir takes the advisory lock of a folder among the processes that use this package. It does not wait: held by
	// another, it fails with ErrLocked; where locks do not work, with another error. unlock releases it.
	LockDir(name string) (unlock func(), err error)
	// CheckWritable tells whether the kernel would let this process write to the file or folder, without writing:
	// EROFS, EACCES and EPERM (immutable) come back as they would from a write.
	CheckWritable(name string) error
	// IsMountPoint tells whether something is mounted on name itself, as a bind-mounted file is; renaming over it would
	// fail with EBUSY. It is false where the system cannot tell.
	IsMountPoint(name string) (bool, error)
	// SameFile is os.SameFile for infos of this file system.
	SameFile(a, b fs.FileInfo) bool
	// LinkCount gives the number of names a file has, and 1 where the system does not say.
	LinkCount(info fs.FileInfo) int
}

// File is an open file. One goroutine uses it at a time.
type File interface {
	io.ReadWriteCloser
	io.WriterAt
	// Stat is (*os.File).Stat.
	Stat() (fs.FileInfo, error)
	// Sync makes the file's content and size durable (fsync).
	Sync() error
	// CopyAttributes gives this file the mode, owner and group, and extended attributes (access lists among them) of
	// src, which comes from the same file system. Failing to keep one of them is an error.
	CopyAttributes(src File) error
	// HasWriters tells whether another open file description could still write to this file. It fails with
	// errors.ErrUnsupported where the system cannot tell.
	HasWriters() (bool, error)
}

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")
