package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Create creates a file with data, whole and durable. Of any number of racing
// processes exactly one succeeds, and the others get fs.ErrExist. perm is the
// mode before the umask.
//
// Where the file system has no hard links, the lock of the directory replaces
// them. If that does not work either, a file is overwritten that another
// program creates within microseconds of the rename.
func Create(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	return create(ctx, disk, name, data, perm, func() (unlock func()) {
		unlock, _ = Lock(ctx, disk, fsys.Dir(name))
		return unlock
	})
}

// CreateLocked is [Create] for a caller that holds the lock of the directory.
func CreateLocked(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	return create(ctx, disk, name, data, perm, func() (unlock func()) { return func() {} })
}

func create(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode, lock func() (unlock func())) error {
	temp, err := writeTemp(ctx, disk, name, data, perm, nil)
	if err != nil {
		return err
	}
	defer disk.Remove(temp)
	err = disk.Link(temp, name)
	switch {
	case errors.Is(err, fs.ErrExist):
		if !isSame(disk, temp, name) { // else a server lost its first answer and was asked twice
			return fs.ErrExist
		}
	case err != nil && fsys.IsWithoutLinks(err):
		if err := renameToNew(ctx, disk, temp, name, lock); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("create: %w", err)
	}
	return SyncDir(ctx, disk, name)
}

func renameToNew(ctx context.Context, disk fsys.FS, temp, name string, lock func() (unlock func())) error {
	defer lock()()
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := disk.Lstat(name)
	if err == nil {
		return fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = disk.Rename(temp, name)
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return nil
}

// isSame reports whether two names are those of one file.
func isSame(disk fsys.FS, a, b string) bool {
	info, err := disk.Lstat(a)
	return err == nil && sameAs(disk, b, info) == nil
}

// Overwrite puts a new file with data in the place of whatever name is: a file
// that cannot be read, or a symlink.
func Overwrite(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(ctx, disk, name, data, perm, nil)
	if err != nil {
		return err
	}
	if err := disk.Rename(temp, name); err != nil {
		disk.Remove(temp)
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(ctx, disk, name)
}
