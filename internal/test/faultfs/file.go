package faultfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// file is an open file.
type file struct {
	fs     *FS
	name   string
	place  place // when it was opened
	flag   int
	offset int
	closed bool
}

func (f *file) node() *node    { return f.place.node }
func (f *file) readable() bool { return f.flag&os.O_WRONLY == 0 }
func (f *file) writable() bool { return f.flag&(os.O_WRONLY|os.O_RDWR) != 0 }

// run is FS.run for an operation on an open file.
func (f *file) run(op Op, to string, do func(*Entry) error) error {
	err := f.fs.run(Entry{Op: op, Name: f.name, To: to}, func(e *Entry) error {
		if f.closed {
			return fs.ErrClosed
		}
		return do(e)
	})
	return pathError(op, f.name, err)
}

// Read implements [io.Reader].
func (f *file) Read(p []byte) (n int, err error) {
	err = f.run(OpRead, "", func(e *Entry) error {
		node := f.node()
		switch {
		case !f.readable():
			return syscall.EBADF
		case node.isDir():
			return syscall.EISDIR
		case len(p) == 0:
			return nil
		case node.mode&fs.ModeNamedPipe != 0 && f.fs.disk.anyOpen(node, (*file).writable):
			return syscall.EAGAIN // it is empty, and a real one would block
		case f.offset >= len(node.data):
			return io.EOF
		}
		n = copy(p, node.data[f.offset:])
		f.offset += n
		e.N = n
		return nil
	})
	if err != nil {
		n = 0
	}
	return n, err
}

// Write implements [io.Writer].
func (f *file) Write(p []byte) (n int, err error) {
	err = f.run(OpWrite, "", func(e *Entry) error {
		if f.flag&os.O_APPEND != 0 {
			f.offset = len(f.node().data)
		}
		n, err = f.write(p, f.offset)
		f.offset += n
		e.N = n
		return err
	})
	return n, err
}

var (
	errAppend   = errors.New("invalid use of WriteAt on file opened with O_APPEND")
	errNegative = errors.New("negative offset")
)

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.run(OpWriteAt, "", func(e *Entry) error {
		switch {
		case f.flag&os.O_APPEND != 0:
			return errAppend
		case off < 0:
			return errNegative
		}
		n, err = f.write(p, int(off))
		e.N = n
		return err
	})
	return n, err
}

// write writes page by page, so that a full disk or a kill can stop it
// between pages.
func (f *file) write(p []byte, offset int) (written int, err error) {
	d, n := f.fs.disk, f.node()
	switch {
	case !f.writable():
		return 0, syscall.EBADF
	case n.mode&fs.ModeDevice != 0:
		return len(p), nil // like /dev/null
	case n.mode&fs.ModeNamedPipe != 0 && d.anyOpen(n, (*file).readable):
		return 0, syscall.EAGAIN // it accepts nothing, and a real one might block
	case n.mode&fs.ModeNamedPipe != 0:
		return 0, syscall.EPIPE
	case len(p) == 0:
		return 0, nil
	case f.place.mount().readOnly: // since the file was opened
		return 0, syscall.EROFS
	case n.immutable:
		return 0, syscall.EPERM
	}
	for len(p) > 0 {
		end := min(offset+len(p), (offset/pageSize+1)*pageSize)
		if grow := end - len(n.data); grow > 0 {
			end -= grow - d.room(grow)
			if end <= offset {
				return written, syscall.ENOSPC
			}
			if end > len(n.data) {
				d.resize(n, end)
			}
		}
		k := copy(n.data[offset:end], p)
		n.markDirty(offset, end)
		n.changedBy(f.fs.user)
		p, offset, written = p[k:], offset+k, written+k
		f.fs.step()
		if f.fs.dead && len(p) > 0 {
			return written, ErrCrashed
		}
	}
	return written, nil
}

// Stat implements [fsys.File].
func (f *file) Stat() (fs.FileInfo, error) {
	var i *info
	err := f.run(OpStat, "", func(*Entry) error {
		i = f.node().info(f.name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Sync implements [fsys.File].
func (f *file) Sync() error {
	done := false
	err := f.run(OpSync, "", func(*Entry) error {
		done = true
		switch n := f.node(); {
		case n.mode.IsRegular():
			n.save()
		case n.isDir():
			f.fs.disk.saveNames(n)
		default:
			return syscall.EINVAL
		}
		f.fs.step()
		return nil
	})
	if err != nil && !done {
		f.fs.disk.mu.Lock()
		defer f.fs.disk.mu.Unlock()
		if !f.fs.dead && !f.closed {
			f.node().lose()
		}
	}
	return err
}

// Close implements [io.Closer].
func (f *file) Close() error {
	err := f.run(OpClose, "", func(*Entry) error {
		f.drop()
		return nil
	})
	f.lockAndDrop() // close(2) closes even when it fails
	return err
}

// drop closes the file unconditionally.
func (f *file) drop() {
	if f.closed {
		return
	}
	f.closed = true
	delete(f.fs.disk.handles, f)
	f.node().opens--
	f.fs.disk.release(f.node())
}

func (f *file) lockAndDrop() {
	f.fs.disk.mu.Lock()
	defer f.fs.disk.mu.Unlock()
	f.drop()
}

// CopyAttributes implements [fsys.File].
func (f *file) CopyAttributes(src fsys.File) error {
	s, ok := src.(*file)
	if !ok || s.fs.disk != f.fs.disk {
		return pathError(OpCopyAttributes, f.name, errors.New("from a file of another file system"))
	}
	return f.run(OpCopyAttributes, s.name, func(*Entry) error {
		if s.closed {
			return fs.ErrClosed
		}
		n, want := f.node(), s.node().attrs
		want.mode = n.mode.Type() | want.mode&^fs.ModeType
		return f.setAttrs(want)
	})
}

// Chown implements [fsys.File].
func (f *file) Chown(uid, gid int) error {
	return f.run(OpChown, "", func(*Entry) error {
		want := f.node().attrs
		if uid >= 0 {
			want.uid = uid
		}
		if gid >= 0 {
			want.gid = gid
		}
		return f.setAttrs(want)
	})
}

// Chmod implements [fsys.File].
func (f *file) Chmod(mode fs.FileMode) error {
	return f.run(OpChmod, "", func(*Entry) error {
		want := f.node().attrs
		want.mode = want.mode.Type() | mode&^fs.ModeType
		return f.setAttrs(want)
	})
}

func (f *file) setAttrs(want attrs) error {
	if err := f.fs.user.maySet(f.place, want); err != nil {
		return err
	}
	if n := f.node(); !n.equal(want) {
		n.attrs = want
		f.fs.step()
	}
	return nil
}

// HasWriters implements [fsys.File]. As on Linux it needs a file opened
// read-only by its owner or by root.
func (f *file) HasWriters() (bool, error) {
	var has bool
	err := f.run(OpHasWriters, "", func(*Entry) error {
		n := f.node()
		if f.writable() || !n.mode.IsRegular() || !f.fs.user.ownerOf(n) {
			return errors.ErrUnsupported
		}
		has = f.fs.disk.anyOpen(n, (*file).writable)
		return nil
	})
	return has && err == nil, err
}

// Amend implements [fsys.File]. As on Linux it is for the file's owner and for
// root.
func (f *file) Amend(old, b []byte, at int64) error {
	return f.run(OpAmend, "", func(e *Entry) (err error) {
		n := f.node()
		switch {
		case !n.mode.IsRegular() || !f.fs.user.ownerOf(n):
			return errors.ErrUnsupported
		case f.fs.disk.anyOpen(n, func(other *file) bool { return other != f }):
			return fsys.ErrInUse
		case !f.readable():
			return syscall.EBADF
		case !bytes.Equal(n.data, old):
			return fsys.ErrDiffers
		}
		e.N, err = f.write(b, int(at))
		return err
	})
}
