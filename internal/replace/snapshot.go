package replace

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// MaxSize is the size in bytes of the largest file that is read.
const MaxSize = 8 << 20

// A Snapshot is a regular file as it was read. It holds the file open until
// Close.
type Snapshot struct {
	Data []byte

	fs   fsys.FS
	name string
	file fsys.File
	info fs.FileInfo
}

// Read reads a regular file of at most [MaxSize] bytes, following symlinks.
// Its errors are [ErrNotRegular], [ErrTooLarge], those of the file system, and
// that of ctx.
func Read(ctx context.Context, disk fsys.FS, name string) (*Snapshot, error) {
	s, err := open(ctx, disk, name)
	if err != nil {
		return nil, err
	}
	if s.Data, err = readAll(s.file, s.info.Size()); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open opens a regular file for reading and does not read it.
func open(ctx context.Context, disk fsys.FS, name string) (*Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := disk.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, syscall.ENXIO) {
		return nil, &notRegularError{"a socket or a device"}
	}
	if err != nil {
		return nil, err
	}
	s := &Snapshot{fs: disk, name: name, file: file}
	if s.info, err = file.Stat(); err == nil {
		err = checkRegular(s.info)
	}
	if err := cmp.Or(err, ctx.Err()); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// readAll reads the rest of a file of about the given size.
func readAll(file fsys.File, size int64) ([]byte, error) {
	if size > MaxSize {
		return nil, ErrTooLarge
	}
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := buf.ReadFrom(io.LimitReader(file, MaxSize+1)); err != nil {
		return nil, err
	}
	if buf.Len() > MaxSize {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

// Close closes the file. The snapshot can still be used for [Snapshot.Replace].
func (s *Snapshot) Close() error { return s.file.Close() }

// Mode returns the mode that the file had.
func (s *Snapshot) Mode() fs.FileMode { return s.info.Mode() }

// LinkCount returns the number of names that the file had.
func (s *Snapshot) LinkCount() int { return s.fs.LinkCount(s.info) }

// FitsInPlace reports whether data could replace the content in place.
func (s *Snapshot) FitsInPlace(data []byte) bool {
	_, _, ok := changedRange(s.Data, data)
	return ok
}

// CheckWritable returns why the file could not be written, if that is known
// without trying: [ErrReadOnly] if its mode has no write bit, which is
// honoured even for root, or the error of the kernel.
func (s *Snapshot) CheckWritable() error { return checkWritable(s.fs, s.name, s.info) }

func checkWritable(disk fsys.FS, name string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("%w: mode %04o", ErrReadOnly, info.Mode().Perm())
	}
	return disk.CheckWritable(name)
}

// sync makes durable what the file holds, which another process may have
// written a moment ago. Where syncing is not allowed, such as on a file system
// that is mounted read-only, nothing new can be there.
func (s *Snapshot) sync(ctx context.Context) error {
	err := s.file.Sync()
	if err == nil {
		err = SyncDir(ctx, s.fs, s.name)
	}
	if err != nil && !fsys.IsReadOnly(err) {
		return fmt.Errorf("sync existing content: %w", err)
	}
	return nil
}

// Sync makes durable what a file holds, if it exists, and writes nothing.
func Sync(ctx context.Context, disk fsys.FS, name string) error {
	s, err := open(ctx, disk, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	return s.sync(ctx)
}
