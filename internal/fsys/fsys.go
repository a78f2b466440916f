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
	// device does not block. Flags may include [NoFollow] and [Directory].
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Lstat is os.Lstat.
	Lstat(name string) (fs.FileInfo, error)
	// Readlink is os.Readlink, and returns what is known of the symlink that
	// was read.
	Readlink(name string) (target string, info fs.FileInfo, err error)
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
	// MountedElsewhere returns where a file is mounted by itself besides name, as
	// into a container: who replaces it leaves that mount with a file that has
	// no name. It is "" if nothing is known of such a mount.
	MountedElsewhere(name string) (string, error)
	// Place says where a file or directory lies, following symlinks. The error
	// is errors.ErrUnsupported where the system cannot tell.
	Place(name string) (Place, error)
	// SameFile is os.SameFile for infos of this file system.
	SameFile(a, b fs.FileInfo) bool
	// Owner returns the owner of a file. ok is false where the system has
	// none, as on Windows.
	Owner(info fs.FileInfo) (o Owner, ok bool)
	// Self returns the effective user and group of this process, which own
	// what it creates.
	Self() Owner
	// LinkCount returns the number of names that a file has, and 1 where the
	// system cannot tell.
	LinkCount(info fs.FileInfo) int
}

// An Owner is the user and the group that own a file.
type Owner struct{ UID, GID int }

// A Place is where a file lies.
type Place struct {
	// Links is the number of names that the file has. It is 0 if the file was
	// removed, or replaced where it is mounted from.
	Links int
	// Type, Root and Point are of the mount: the type of its file system, the
	// directory of that file system that is mounted, and where. They are empty
	// if they are not known.
	Type, Root, Point string
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
	// Chown is (*os.File).Chown: -1 leaves the user or the group as it is.
	Chown(uid, gid int) error
	// Chmod is (*os.File).Chmod.
	Chmod(mode fs.FileMode) error
	// HasWriters reports whether another open file description could still
	// write to this file. The error is errors.ErrUnsupported where the system
	// cannot tell.
	HasWriters() (bool, error)
	// Amend writes b at an offset of a file opened for reading and writing,
	// provided that the file holds old and nothing else, and that nobody else
	// has it open: until the write is over, nobody else can open it. The error
	// is ErrDiffers or ErrInUse if it does not, and errors.ErrUnsupported
	// where the system cannot keep others out. Nothing is written then.
	Amend(old, b []byte, at int64) error
}

var (
	// ErrLocked means that another process holds the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrInUse means that somebody else has the file open.
	ErrInUse = errors.New("open in another program")
	// ErrDiffers means that the file holds something else.
	ErrDiffers = errors.New("holds something else")
)
