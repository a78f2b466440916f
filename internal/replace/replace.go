package replace

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// commit makes data the content of the file that was read as s. It fails with
// ErrChanged, and changes nothing that lasts, if the file is not, or does not
// stay, what was read.
func (f *File) commit(ctx context.Context, s *Snapshot, data []byte) error {
	err := f.replaceOrWrite(ctx, s, data)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged // what is missing is found out by reading again
	}
	return err
}

func (f *File) replaceOrWrite(ctx context.Context, s *Snapshot, data []byte) error {
	if mustStay(ctx, s) {
		return f.writeInPlace(ctx, s, data)
	}
	r := &replacement{fs: f.fs, target: s.name, info: s.info, was: s.Data, data: data, like: s.file, perm: 0o600, cutShort: f.opts.CutShort}
	err := r.do(ctx)
	var refused *refusedError
	if !errors.As(err, &refused) {
		return err
	}
	switch err := f.writeInPlace(ctx, s, data); {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotInPlace):
		return fmt.Errorf("%w (%w)", err, refused)
	default:
		return fmt.Errorf("%w (in place, since it could not be replaced: %v)", err, refused)
	}
}

// mustStay tells whether the file has to stay the one that it is, because something is mounted on it or because it has
// several names.
func mustStay(ctx context.Context, s *Snapshot) bool {
	if mounted, err := s.fs.IsMountPoint(s.name); err == nil && mounted {
		return true
	}
	return s.fs.LinkCount(s.info) > 1 && !dropOwnName(ctx, s.fs, s.name, s.info)
}

// dropOwnName removes the second name that a process leaves behind which was killed between linking a new config to its
// name and removing the temporary one, and tells whether the file has only one name then.
func dropOwnName(ctx context.Context, disk fsys.FS, target string, info fs.FileInfo) bool {
	dir := fsys.Dir(target)
	names, err := disk.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		if _, ok := tempTime(name, tempPrefix(target)); !ok || ctx.Err() != nil {
			continue
		}
		temp := fsys.Join(dir, name)
		if other, err := disk.Lstat(temp); err == nil && disk.SameFile(other, info) {
			disk.Remove(temp)
		}
	}
	now, err := disk.Lstat(target)
	return err == nil && disk.SameFile(now, info) && disk.LinkCount(now) == 1
}

// renamesOverOpen reports whether a file can be renamed over one that is open.
const renamesOverOpen = runtime.GOOS != "windows"

// Replace replaces the file that was read by a new one with data and, before
// the umask, perm. A symlink is replaced itself. It fails with [ErrChanged] if
// the file is not what was read any more, however late it completes.
func (s *Snapshot) Replace(ctx context.Context, data []byte, perm fs.FileMode) error {
	r := &replacement{fs: s.fs, target: s.name, info: s.info, was: s.Data, data: data, perm: perm, cutShort: func([]byte) bool { return false }}
	err := r.do(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged
	}
	return err
}

// A replacement lets a new file take the place of another one, and looks at what that displaced.
type replacement struct {
	fs     fsys.FS
	target string
	info   fs.FileInfo // of the target as it was read
	was    []byte      // its content
	data   []byte      // what is to take its place
	like   fsys.File   // whose mode, owner and attributes the new file gets; nil for none
	perm   fs.FileMode // the new file's mode where like is nil

	cutShort func([]byte) bool

	temp string      // the new file and, after the exchange, what was displaced
	ours fs.FileInfo // of the new file
}

// refusedError says that a file cannot be replaced by another, although it might be written.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

// refusal marks an error from before the commit that says so: because of the file's folder, its owner or attributes, or
// because something is mounted on it.
func refusal(err error) error {
	var attributes *attributesError
	if errors.As(err, &attributes) || fsys.IsReadOnly(err) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EXDEV) ||
		errors.Is(err, syscall.ENAMETOOLONG) {
		return &refusedError{err}
	}
	return err
}

func (r *replacement) do(ctx context.Context) (err error) {
	if r.temp, err = writeTemp(ctx, r.fs, r.target, r.data, r.perm, r.like); err != nil {
		return refusal(err)
	}
	if r.ours, err = r.fs.Lstat(r.temp); err != nil {
		r.fs.Remove(r.temp)
		return err
	}
	fence, err := openUnchanged(ctx, r.fs, r.target, r.info, r.was)
	if err != nil {
		r.fs.Remove(r.temp)
		return err
	}
	// From here to the end nothing is given up half done, not even by an operation that was abandoned long ago: what it
	// completes late has to be looked at and, when it displaced something newer, to be undone.
	err = r.fs.Exchange(r.temp, r.target)
	if errors.Is(err, errors.ErrUnsupported) {
		fence.Close()
		return r.renameOver(ctx)
	}
	defer fence.Close()
	if err != nil && r.is(r.temp, r.ours) { // else it was carried out all the same, and only the answer lost
		r.fs.Remove(r.temp)
		return refusal(fmt.Errorf("exchange: %w", err))
	}
	if r.displacedNewer() {
		return r.putBack()
	}
	if err == nil {
		err = SyncDir(ctx, r.fs, r.target)
	}
	// The last look is at what a program may have written to the displaced file that had it open.
	if r.displacedNewer() {
		return r.putBack()
	}
	r.fs.Remove(r.temp) // what cannot be removed is swept later
	return err
}

// openUnchanged is the fence before a commit: the operation has not been given up, and the target is the file that was
// read, with what was read, and nobody has it open for writing. It comes back open, so that nothing is to be done
// between the last look and the commit.
func openUnchanged(ctx context.Context, disk fsys.FS, target string, info fs.FileInfo, data []byte) (fsys.File, error) {
	file, err := openAs(ctx, disk, target, info, data)
	if err != nil {
		return nil, err
	}
	if noWriters(ctx, file) {
		err = requireSame(disk, target, info)
	} else {
		err = ErrChanging
	}
	if err := cmp.Or(ctx.Err(), err); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// openAs opens the target for reading if it is still the file of info and holds data, and fails with ErrChanged if not.
func openAs(ctx context.Context, disk fsys.FS, target string, info fs.FileInfo, data []byte) (file fsys.File, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := requireSame(disk, target, info); err != nil {
		return nil, err
	}
	file, err = disk.OpenFile(target, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	found, err := readAll(file, int64(len(data)))
	if err == nil && !bytes.Equal(found, data) {
		err = ErrChanged
	}
	if err := cmp.Or(ctx.Err(), err); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// requireSame fails with ErrChanged if the target, not followed, is not the file of info.
func requireSame(disk fsys.FS, target string, info fs.FileInfo) error {
	now, err := disk.Lstat(target)
	if err == nil && !disk.SameFile(now, info) {
		err = ErrChanged
	}
	return err
}

// renameOver is the commit where files cannot change places. The file that was read is kept open: what a program wrote
// to it meanwhile, such as while the rename hung, is put back. Two things are lost, which nothing can prevent there: a
// file that took the target's place in the moment before the rename, though on one machine the kernel lets no other
// program change a folder in which a rename hangs; and what a program has not written writersWait after it opened the
// target in that moment.
func (r *replacement) renameOver(ctx context.Context) error {
	displaced, err := r.fs.OpenFile(r.target, os.O_RDONLY, 0)
	if err != nil {
		r.fs.Remove(r.temp)
		return err
	}
	defer displaced.Close()
	fence, err := openUnchanged(ctx, r.fs, r.target, r.info, r.was)
	if err != nil {
		r.fs.Remove(r.temp)
		return err
	}
	defer fence.Close()
	if !renamesOverOpen {
		// Nor can it be where another program has the file open, so that there is nothing to be put back.
		for _, file := range []fsys.File{displaced, fence, r.like} {
			if file != nil {
				file.Close()
			}
		}
	}
	err = r.fs.Rename(r.temp, r.target)
	if err != nil && r.is(r.temp, r.ours) {
		r.fs.Remove(r.temp)
		return refusal(fmt.Errorf("rename: %w", err))
	}
	if renamesOverOpen {
		newer, lookErr := r.writtenTo(displaced)
		if newer != nil {
			return r.restore(newer)
		}
		err = cmp.Or(err, lookErr)
	}
	if err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(ctx, r.fs, r.target)
}
