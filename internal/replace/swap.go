package replace

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// A swap puts a new file in the place of the one that was read, and checks
// what that displaced.
type swap struct {
	*Snapshot
	data     []byte    // the new content
	access   Access    // of the new file if like is nil
	like     fsys.File // whose mode, owner and attributes the new file gets
	cutShort func(data []byte) bool

	temp string      // the new file and, after an exchange, the displaced one
	ours fs.FileInfo // the new file
}

// Replace puts a new file with data and access in the place of the file that
// was read. A symlink is replaced itself. It fails with
// [ErrChanged] if another file is there, or other content, however late it
// completes.
func (s *Snapshot) Replace(ctx context.Context, data []byte, access Access) error {
	w := &swap{Snapshot: s, data: data, access: access, cutShort: func([]byte) bool { return false }}
	err := w.run(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged
	}
	return err
}

func (w *swap) run(ctx context.Context) (err error) {
	if w.temp, err = writeTemp(ctx, w.fs, w.name, w.data, w.access, w.like); err != nil {
		return refusal(err)
	}
	if w.ours, err = w.fs.Lstat(w.temp); err != nil {
		return w.discard(err)
	}
	file, err := w.fence(ctx)
	if err != nil {
		return w.discard(err)
	}
	// From here on nothing is left half done, even by an operation that was
	// abandoned long ago: what it completes late is checked, and undone if it
	// displaced something newer.
	err = w.fs.Exchange(w.temp, w.name)
	if err != nil && w.holds(w.temp, w.ours) { // else it was done, and only the answer lost
		file.Close()
		if errors.Is(err, errors.ErrUnsupported) || ctx.Err() == nil && tryExchange(ctx, w.fs, w.name) != nil {
			return w.renameOver(ctx)
		}
		return w.discard(refusal(fmt.Errorf("exchange: %w", err)))
	}
	defer file.Close()
	if w.displacedNewer() {
		return w.putBack()
	}
	if err == nil {
		err = SyncDir(ctx, w.fs, w.name)
	}
	// Checked last: what a program that had the displaced file open may have
	// written to it.
	if w.displacedNewer() {
		return w.putBack()
	}
	return w.discard(err)
}

// renameOver is the commit where files cannot be exchanged. The file that was
// read is kept open: what a program wrote to it meanwhile, such as while the
// rename hung, is put back. Two things are lost, which nothing can prevent
// here. One is a file that took the target's place just before the rename,
// though on one machine the kernel lets no other program change a directory
// in which a rename hangs. The other is what a program that opened the target
// just then writes later than writersWait.
func (w *swap) renameOver(ctx context.Context) error {
	displaced, err := w.fs.OpenFile(w.name, os.O_RDONLY|fsys.NoFollow, 0)
	if err != nil {
		return w.discard(err)
	}
	defer displaced.Close()
	file, err := w.fence(ctx)
	if err != nil {
		return w.discard(err)
	}
	defer file.Close()
	err = w.fs.Rename(w.temp, w.name)
	closed := fsys.IsInUse(err)
	if closed {
		err = w.renameOverClosed(ctx, displaced, file, w.like)
	}
	if err != nil && w.holds(w.temp, w.ours) {
		return w.discard(refusal(fmt.Errorf("rename: %w", err)))
	}
	if !closed {
		newer, readErr := w.writtenTo(displaced)
		if newer != nil {
			return w.restore(newer)
		}
		err = cmp.Or(err, readErr)
	}
	if err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(ctx, w.fs, w.name)
}

// renameOverClosed is the commit where nobody can rename over a file that is
// open, as on some file systems of Windows. No other program can have it open
// then, so that there is nothing to put back. One that has it open now gets a
// moment to close it, and what it has saved is seen.
func (w *swap) renameOverClosed(ctx context.Context, open ...fsys.File) error {
	for _, file := range open {
		if file != nil {
			file.Close()
		}
	}
	return retry(ctx, fsys.IsInUse, func() error {
		file, err := w.fence(ctx)
		if err != nil {
			return err
		}
		file.Close()
		return w.fs.Rename(w.temp, w.name)
	})
}

// discard removes the temporary file and returns err. If that fails, the file
// is swept later.
func (w *swap) discard(err error) error {
	w.fs.Remove(w.temp)
	return err
}

// holds reports whether name is the file with this info.
func (w *swap) holds(name string, info fs.FileInfo) bool { return sameAs(w.fs, name, info) == nil }

// fence opens the file just before a commit. It fails if the operation was
// abandoned, if the file is not what was read, or if a program has it open for
// writing. The file stays open, so that nothing need be done between the last
// check and the commit.
func (s *Snapshot) fence(ctx context.Context) (fsys.File, error) {
	file, err := s.reopen(ctx)
	if err != nil {
		return nil, err
	}
	if waitForWriters(ctx, file) {
		err = sameAs(s.fs, s.name, s.info)
	} else {
		err = ErrChanging
	}
	if err := cmp.Or(ctx.Err(), err); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// reopen opens the file for reading. It fails with ErrChanged if another file
// is there, or other content.
func (s *Snapshot) reopen(ctx context.Context) (fsys.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := sameAs(s.fs, s.name, s.info); err != nil {
		return nil, err
	}
	file, err := s.fs.OpenFile(s.name, os.O_RDONLY|fsys.NoFollow, 0)
	if err != nil {
		return nil, err
	}
	found, err := readAll(file, int64(len(s.Data)))
	if err == nil && !bytes.Equal(found, s.Data) {
		err = ErrChanged
	}
	if err := cmp.Or(ctx.Err(), err); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// sameAs fails with ErrChanged if name, not followed, is not the file with this
// info.
func sameAs(disk fsys.FS, name string, info fs.FileInfo) error {
	now, err := disk.Lstat(name)
	if err == nil && !disk.SameFile(now, info) {
		err = ErrChanged
	}
	return err
}

// A refusedError means that a file cannot be replaced by another, but might be
// written.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// refusal marks err, from before the commit, as a refusedError if its cause is
// the file's directory, its owner or attributes, or a mount on it.
func refusal(err error) error {
	var attributes *attributesError
	if errors.As(err, &attributes) || fsys.IsReadOnly(err) || errors.Is(err, syscall.EBUSY) ||
		errors.Is(err, syscall.EXDEV) || errors.Is(err, syscall.ENAMETOOLONG) {
		return &refusedError{err}
	}
	return err
}
