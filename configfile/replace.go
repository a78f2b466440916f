package configfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

const (
	// writersWait is how long a program that has the displaced file open for writing is waited for.
	writersWait = 200 * time.Millisecond
	// putBackRounds is how often saves of others are put back that come one upon the other.
	putBackRounds = 10
)

// commit makes data the content of the target, which was read as s. It fails with errChanged, and changes nothing that
// lasts, when the target is not, or does not stay, what was read.
func (f *File) commit(ctx context.Context, target string, s *snapshot, data []byte) error {
	inPlace := f.fs.LinkCount(s.info) > 1
	if !inPlace {
		mounted, err := f.fs.IsMountPoint(target)
		inPlace = err == nil && mounted
	}
	if !inPlace {
		err := f.replace(ctx, target, s, data)
		if !isIrreplaceable(err) {
			return err
		}
		if inPlaceErr := f.writeInPlace(ctx, target, s, data); inPlaceErr != nil {
			return fmt.Errorf("%w (%w)", inPlaceErr, err)
		}
		return nil
	}
	return f.writeInPlace(ctx, target, s, data)
}

// isIrreplaceable tells whether err says that a file can be written but not be replaced by another: because of its
// folder, its owner or attributes, or because something is mounted on it.
func isIrreplaceable(err error) bool {
	if err == nil || errors.Is(err, errChanged) {
		return false
	}
	_, attributes := errors.AsType[*attributesError](err)
	return attributes || IsReadOnly(err) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV)
}

// replace lets a new file take the target's place.
func (f *File) replace(ctx context.Context, target string, s *snapshot, data []byte) error {
	temp, err := writeTemp(ctx, f.fs, target, data, 0o600, s.file)
	if err != nil {
		return err
	}
	if err := f.unchanged(ctx, target, s); err != nil {
		f.fs.Remove(temp)
		return err
	}
	// From here to the end nothing is given up half done, not even by an operation that was abandoned long ago: what it
	// completes late has to be looked at and, when it displaced something newer, to be undone.
	f.distrust(true)
	err = f.fs.Exchange(temp, target)
	if errors.Is(err, errors.ErrUnsupported) {
		return f.renameOver(ctx, temp, target, s, data)
	}
	if err != nil {
		f.fs.Remove(temp)
		return fmt.Errorf("exchange: %w", err)
	}
	if !f.isStill(temp, s.data, data) {
		return f.putBack(temp, target, data)
	}
	if err := syncFolder(ctx, f.fs, target); err != nil {
		f.removeUnlessNewer(temp, target, s.data, data)
		return err
	}
	f.distrust(false)
	return f.removeUnlessNewer(temp, target, s.data, data)
}

// removeUnlessNewer removes the displaced file, after a last look at what a program may have written to it that had it
// open.
func (f *File) removeUnlessNewer(temp, target string, was, ours []byte) error {
	if !f.isStill(temp, was, ours) {
		return f.putBack(temp, target, ours)
	}
	f.fs.Remove(temp) // what cannot be removed is swept later
	return nil
}

// unchanged is the fence before a commit: the operation has not been given up, and the target is the file that was read,
// with what was read.
func (f *File) unchanged(ctx context.Context, target string, s *snapshot) error {
	file, err := f.openAs(ctx, target, s.info, s.data)
	if err != nil {
		return err
	}
	defer file.Close()
	if !noWriters(file) {
		return ErrChanging
	}
	return ctx.Err()
}

// openAs opens the target for reading if it is still the file of info and holds data, and fails with errChanged if not.
func (f *File) openAs(ctx context.Context, target string, info fs.FileInfo, data []byte) (file fsys.File, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err = f.fs.OpenFile(target, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	now, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !f.fs.SameFile(now, info) || now.Size() != int64(len(data)) {
		return nil, errChanged
	}
	found, err := readAll(file, now.Size())
	if err == nil && !bytes.Equal(found, data) {
		err = errChanged
	}
	return file, err
}

// isStill tells whether a displaced file is final and holds one of two contents: the one that the change was made from,
// or the one that was to take its place, when another process has just made the same change. A file that cannot be read
// counts as newer.
func (f *File) isStill(name string, was, ours []byte) bool {
	file, err := f.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	if !noWriters(file) {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Size() != int64(len(was)) && info.Size() != int64(len(ours)) {
		return false
	}
	data, err := readAll(file, info.Size())
	return err == nil && (bytes.Equal(data, was) || bytes.Equal(data, ours))
}

// noWriters waits a moment until nobody has the file open for writing any more. Where the system cannot tell, it says
// so as well: the content is compared all the same, twice.
func noWriters(file fsys.File) bool {
	deadline := time.Now().Add(writersWait)
	for {
		writers, err := file.HasWriters()
		if err != nil || !writers {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(time.Millisecond)
	}
}

// putBack undoes an exchange that displaced something newer than what the change was made from. What comes away from
// the target then should be what was put there; if it is not, that is newer still, and goes back in its turn.
func (f *File) putBack(temp, target string, placed []byte) error {
	for range putBackRounds {
		newer, err := f.contentOf(temp)
		if err != nil {
			return fmt.Errorf("put back what another program saved, which is now in %s: %w", filepath.Base(temp), err)
		}
		if err := f.fs.Exchange(temp, target); err != nil {
			return fmt.Errorf("put back what another program saved, which is now in %s: %w", filepath.Base(temp), err)
		}
		if f.isStill(temp, placed, placed) {
			f.fs.Remove(temp)
			f.fs.SyncDir(filepath.Dir(target))
			return errChanged
		}
		placed = newer
	}
	return ErrChanging
}

func (f *File) contentOf(name string) ([]byte, error) {
	file, err := f.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, 0)
}

// renameOver is the commit where files cannot change places. The file that was read is kept open: what a program wrote
// to it meanwhile, such as while the rename hung, is put back. A file that took the target's place in the moment before
// the rename is lost, which nothing can prevent there; but on one machine the kernel lets no other program change a
// folder in which a rename hangs.
func (f *File) renameOver(ctx context.Context, temp, target string, s *snapshot, data []byte) error {
	displaced, err := f.fs.OpenFile(target, os.O_RDONLY, 0)
	if err == nil {
		defer displaced.Close()
		err = f.unchanged(ctx, target, s)
	}
	if err == nil {
		err = f.fs.Rename(temp, target)
	}
	if err != nil {
		f.fs.Remove(temp)
		return fmt.Errorf("rename: %w", err)
	}
	noWriters(displaced)
	if newer, err := readAll(displaced, int64(len(s.data))); err == nil && !bytes.Equal(newer, s.data) && !bytes.Equal(newer, data) {
		return f.restore(target, s, newer, data)
	}
	if err := syncFolder(ctx, f.fs, target); err != nil {
		return err
	}
	f.distrust(false)
	return nil
}

// restore makes newer the content of the target again, unless something newer still is there by now.
func (f *File) restore(target string, s *snapshot, newer, placed []byte) error {
	late := context.Background() // this is done also by an operation that was abandoned
	temp, err := writeTemp(late, f.fs, target, newer, 0o600, s.file)
	if err != nil {
		return fmt.Errorf("put back what another program saved: %w", err)
	}
	if !f.isStill(target, placed, placed) {
		f.fs.Remove(temp)
		return errChanged
	}
	if err := f.fs.Rename(temp, target); err != nil {
		f.fs.Remove(temp)
		return fmt.Errorf("put back what another program saved: %w", err)
	}
	f.fs.SyncDir(filepath.Dir(target))
	return errChanged
}
