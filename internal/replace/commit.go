package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// commit makes data the content of the file that was read as s. It fails with
// ErrChanged, and changes nothing that lasts, if the file is not, or does not
// stay, what was read.
func (f *File) commit(ctx context.Context, s *Snapshot, data []byte) error {
	err := f.swapOrWrite(ctx, s, data)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged // reading again finds out what is missing
	}
	return err
}

func (f *File) swapOrWrite(ctx context.Context, s *Snapshot, data []byte) error {
	if mustStay(ctx, s) {
		return f.writeInPlace(ctx, s, data)
	}
	w := &swap{Snapshot: s, data: data, access: Access{Perm: 0o600}, like: s.file, cutShort: f.opts.CutShort}
	err := w.run(ctx)
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

// mustStay reports whether the file cannot be replaced by another one, because
// something is mounted on it, because it is mounted elsewhere too, where the old
// one would stay, or because it has several names.
func mustStay(ctx context.Context, s *Snapshot) bool {
	if mounted, err := s.fs.IsMountPoint(s.name); err == nil && mounted {
		return true
	}
	if where, err := s.fs.MountedElsewhere(s.name); err == nil && where != "" {
		return true
	}
	return s.LinkCount() > 1 && !dropOwnLink(ctx, s)
}

// dropOwnLink removes the second name of a new file whose process was killed
// between linking it and removing the temporary name, and reports whether the
// file then has one name.
func dropOwnLink(ctx context.Context, s *Snapshot) bool {
	dir := fsys.Dir(s.name)
	names, err := s.fs.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		if _, ok := tempTime(name, tempPrefix(s.name)); !ok || ctx.Err() != nil {
			continue
		}
		temp := fsys.Join(dir, name)
		if sameAs(s.fs, temp, s.info) == nil {
			s.fs.Remove(temp)
		}
	}
	now, err := s.fs.Lstat(s.name)
	return err == nil && s.fs.SameFile(now, s.info) && s.fs.LinkCount(now) == 1
}
