package replace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Create creates a file with data, whole and durable. Of any number of racing
// processes exactly one succeeds, and the others get fs.ErrExist.
//
// Where the file system has no hard links, which is tried, the file is renamed
// to its name while the lock of the directory is held. If locks do not work
// either, of two processes that look for the file at the same moment, and find
// none, the later one overwrites the file of the earlier one. Both look again
// once their file is durable, so that only a process whose rename comes later
// than that leaves the two with different files.
func Create(ctx context.Context, disk fsys.FS, name string, data []byte, access Access) error {
	return create(ctx, disk, name, data, access, func() (unlock func()) {
		unlock, _ = Lock(ctx, disk, fsys.Dir(name))
		return unlock
	})
}

// CreateLocked is [Create] for a caller that holds the lock of the directory.
func CreateLocked(ctx context.Context, disk fsys.FS, name string, data []byte, access Access) error {
	return create(ctx, disk, name, data, access, func() (unlock func()) { return func() {} })
}

func create(ctx context.Context, disk fsys.FS, name string, data []byte, access Access, lock func() (unlock func())) error {
	name, err := resolveDir(ctx, disk, name)
	if err != nil {
		return err
	}
	temp, err := writeTemp(ctx, disk, name, data, access, nil)
	if err != nil {
		return err
	}
	defer disk.Remove(temp)
	err = disk.Link(temp, name)
	if err == nil || isSame(disk, temp, name) { // linked, even if a server lost its first answer and was asked twice
		return SyncDir(ctx, disk, name)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return fs.ErrExist
	case ctx.Err() != nil:
		return ctx.Err()
	case tryLink(disk, temp) == nil:
		return fmt.Errorf("create: %w", err)
	}
	if renameErr := renameToNew(ctx, disk, temp, name, lock); renameErr != nil {
		return fmt.Errorf("create: %w (hard link: %v)", renameErr, err)
	}
	if err := SyncDir(ctx, disk, name); err != nil {
		return err
	}
	return lookAgain(ctx, disk, name, data)
}

// renameToNew renames temp to name unless that exists.
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
	return err
}

// lookAgain fails with fs.ErrExist if another process has overwritten the file
// that was renamed to name. Servers without links may also know a renamed file
// by another number, so that its content decides.
func lookAgain(ctx context.Context, disk fsys.FS, name string, data []byte) error {
	s, err := readAt(ctx, disk, name)
	if err != nil {
		return fmt.Errorf("create: look again: %w", err)
	}
	s.Close()
	if !bytes.Equal(s.Data, data) {
		return fs.ErrExist
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
func Overwrite(ctx context.Context, disk fsys.FS, name string, data []byte, access Access) error {
	name, err := resolveDir(ctx, disk, name)
	if err != nil {
		return err
	}
	temp, err := writeTemp(ctx, disk, name, data, access, nil)
	if err != nil {
		return err
	}
	if err := disk.Rename(temp, name); err != nil {
		disk.Remove(temp)
		return fmt.Errorf("rename: %w", err)
	}
	return SyncDir(ctx, disk, name)
}
