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
// [Resolve], and that of ctx.
func Read(ctx context.Context, disk fsys.FS, name string) (*Snapshot, error) {
	var s *Snapshot
	err := atTarget(ctx, disk, name, func(target string) (err error) {
		s, err = readAt(ctx, disk, target)
		return err
	})
	return s, err
}

// atTarget calls fn with what a name leads to, and again, up to ten times, if
// that is not found there and the name leads elsewhere by then.
func atTarget(ctx context.Context, disk fsys.FS, name string, fn func(target string) error) error {
	target, err := Resolve(ctx, disk, name)
	for round := 0; err == nil; round++ {
		fnErr := fn(target)
		if fnErr == nil || round == maxRounds || !errors.Is(fnErr, fs.ErrNotExist) && !isLink(fnErr) {
			return fnErr
		}
		was := target
		if target, err = Resolve(ctx, disk, name); err == nil && target == was {
			return fnErr
		}
	}
	return err
}

// isLink reports whether err means that a symlink has taken the place of what
// was to be opened.
func isLink(err error) bool { return errors.Is(err, syscall.ELOOP) }

// readAt is [Read] for a name that leads through no symlink.
func readAt(ctx context.Context, disk fsys.FS, name string) (*Snapshot, error) {
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
	file, err := disk.OpenFile(name, os.O_RDONLY|fsys.NoFollow, 0)
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

// Info returns what was known of the file when it was opened.
func (s *Snapshot) Info() fs.FileInfo { return s.info }

// LinkCount returns the number of names that the file had.
func (s *Snapshot) LinkCount() int { return s.fs.LinkCount(s.info) }

// CheckInPlace returns why data could not replace the content in place now. It
// closes the snapshot.
func (s *Snapshot) CheckInPlace(ctx context.Context, data []byte) error {
	if _, _, ok := changedRange(s.Data, data); !ok {
		return ErrNotInPlace
	}
	s.Close()
	file, err := s.amend(ctx, 0, nil)
	if err != nil {
		return err
	}
	return file.Close()
}

// CheckWritable returns why the file could not be written, if that is known
// without trying: [ErrReplaced], [ErrReadOnly] if its mode has no write bit,
// which is honoured even for root, or the error of the kernel.
func (s *Snapshot) CheckWritable() error { return checkWritable(s.fs, s.name, s.info) }

func checkWritable(disk fsys.FS, name string, info fs.FileInfo) error {
	if disk.LinkCount(info) == 0 { // unless another program has just put another file there
		if place, err := disk.Place(name); err == nil && place.Links == 0 {
			return ErrReplaced
		}
	}
	if info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("%w: mode %04o", ErrReadOnly, info.Mode().Perm())
	}
	err := disk.CheckWritable(name)
	if err != nil && !fsys.IsReadOnly(err) && !errors.Is(err, fs.ErrNotExist) {
		return nil // it refuses nothing, so that trying shows
	}
	return err
}

// sync makes durable what the file holds, which another process may have
// written a moment ago. Where syncing is not allowed, such as on a file system
// that is mounted read-only, nothing new can be there. Windows does not allow it
// for a file that is open for reading; there a save of ours lacks at most the
// sync of its name.
func (s *Snapshot) sync(ctx context.Context) error {
	err := s.file.Sync()
	if err == nil || fsys.IsReadOnly(err) {
		err = SyncDir(ctx, s.fs, s.name)
	}
	if err != nil && !fsys.IsReadOnly(err) {
		return fmt.Errorf("sync existing content: %w", err)
	}
	return nil
}

// Sync makes durable what a file holds, if it exists, and writes nothing.
func Sync(ctx context.Context, disk fsys.FS, name string) error {
	err := atTarget(ctx, disk, name, func(target string) error {
		s, err := open(ctx, disk, target)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.sync(ctx)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
