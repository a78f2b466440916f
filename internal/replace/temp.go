package replace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Temporary files are called .NAME.rollcall-SECONDS-RANDOM.tmp: recognisable, hidden, and with the time at which they
// were made in the name, since the file's own times may be those of a config that has changed places with it.
const (
	tempMark   = ".rollcall-"
	tempSuffix = ".tmp"
	// tempBase is how much of the config's name goes into that of a temporary file: names end at 255 bytes.
	tempBase = 100
	// sweepAge is how old a temporary file has to be to be swept. No save that is not stuck takes that long.
	sweepAge = 10 * time.Minute
	// sweepAgeUnlocked is the same where the lock does not work, which otherwise shows that no save is running.
	sweepAgeUnlocked = 24 * time.Hour
	// LockWait bounds the wait for another process that changes the file. The
	// lock saves work and is not needed for correctness, so that after the
	// wait, or where locks do not work, the change goes on without it.
	LockWait = time.Second
)

func tempPrefix(name string) string {
	base := filepath.Base(name)
	if len(base) > tempBase {
		end := tempBase
		for !utf8.RuneStart(base[end]) { // some file systems take no half characters
			end--
		}
		base = base[:end]
	}
	return "." + base + tempMark
}

// newTemp makes an empty temporary file beside name.
func newTemp(disk fsys.FS, name string, perm fs.FileMode) (fsys.File, string, error) {
	temp := fsys.Join(fsys.Dir(name),
		tempPrefix(name)+strconv.FormatInt(time.Now().Unix(), 10)+"-"+rand.Text()[:8]+tempSuffix)
	file, err := disk.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		disk.Remove(temp) // it may have been made all the same
		return nil, "", fmt.Errorf("create temporary file: %w", err)
	}
	return file, temp, nil
}

// writeTemp makes a temporary file with data beside name, durable but for its name. When like is not nil it gets that
// file's mode, owner and attributes, otherwise perm. A temporary file whose fsync failed is never used: a later fsync
// that succeeds would not mean that the data is there.
func writeTemp(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode, like fsys.File) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	file, temp, err := newTemp(disk, name, perm)
	if err != nil {
		return "", err
	}
	err = fillTemp(ctx, file, data, like)
	if closeErr := file.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("close temporary file: %w", closeErr)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		disk.Remove(temp)
		return "", err
	}
	return temp, nil
}

// WriteTemp creates a temporary file with data next to name, and returns its
// name. [Sweep] removes it later if the caller does not.
func WriteTemp(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) (string, error) {
	return writeTemp(ctx, disk, name, data, perm, nil)
}

func fillTemp(ctx context.Context, file fsys.File, data []byte, like fsys.File) error {
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if like != nil {
		if err := file.CopyAttributes(like); err != nil {
			return &attributesError{err}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// attributesError says that a temporary file could not be made like the file it is to replace.
type attributesError struct{ err error }

func (e *attributesError) Error() string { return "keep owner and attributes: " + e.err.Error() }
func (e *attributesError) Unwrap() error { return e.err }

// Create makes the file name with data, whole and durable: of any number of racing processes exactly one succeeds, and
// the others get fs.ErrExist. Where the file system has no hard links, the lock of the folder has to stand in; when that
// does not work either, a file that another program makes in the very microseconds before the rename is written over.
func Create(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	return create(ctx, disk, name, data, perm, func() func() { return Lock(ctx, disk, fsys.Dir(name)) })
}

// CreateLocked is Create for a caller that holds the lock of the directory.
func CreateLocked(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	return create(ctx, disk, name, data, perm, func() func() { return func() {} })
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
	case err != nil && fsys.WithoutLinks(err):
		if err := renameToNew(ctx, disk, temp, name, lock); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("publish: %w", err)
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
		return fmt.Errorf("publish: %w", err)
	}
	return nil
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
	return s.sync(ctx, name)
}

// isSame tells whether two names are those of one file.
func isSame(disk fsys.FS, a, b string) bool {
	x, err := disk.Lstat(a)
	if err != nil {
		return false
	}
	y, err := disk.Lstat(b)
	return err == nil && disk.SameFile(x, y)
}

// SyncDir makes the name durable.
func SyncDir(ctx context.Context, disk fsys.FS, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := disk.SyncDir(fsys.Dir(name)); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// MakeDirs makes a folder and its parents where they are missing, each durable, with modes that follow the umask. One
// that is there may have been made a moment ago by a process that has not come to syncing it, so that it is synced here.
func MakeDirs(ctx context.Context, disk fsys.FS, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parent := fsys.Dir(dir)
	_, err := disk.Lstat(dir)
	if err == nil && parent != dir {
		if err := SyncDir(ctx, disk, dir); err != nil && !fsys.IsReadOnly(err) { // a parent that only others may read
			return err
		}
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) || parent == dir {
		return err // should it not be a folder, the next step says so
	}
	if err := MakeDirs(ctx, disk, parent); err != nil {
		return err
	}
	if err := disk.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return SyncDir(ctx, disk, dir)
}

// Lock takes the lock of a folder, for at most LockWait, and gives the function that releases it. It goes on without
// when the folder is not there, the lock is not to be had in time, or locks do not work.
func Lock(ctx context.Context, disk fsys.FS, dir string) (unlock func()) {
	unlock, _ = TryLock(ctx, disk, dir, LockWait)
	return unlock
}

// TryLock is Lock, and tells with what it failed.
func TryLock(ctx context.Context, disk fsys.FS, dir string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 20*time.Millisecond) {
		unlock, err := disk.LockDir(dir)
		if err == nil {
			return unlock, nil
		}
		left := time.Until(deadline)
		if !errors.Is(err, fsys.ErrLocked) || left <= 0 {
			return func() {}, err
		}
		sleep(ctx, min(pause, left))
	}
	return func() {}, ctx.Err()
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Sweep removes the temporary files of name that are old and, since the lock is free, not in use.
func Sweep(ctx context.Context, disk fsys.FS, name string) error {
	dir := fsys.Dir(name)
	unlock, err := TryLock(ctx, disk, dir, 0)
	if errors.Is(err, fsys.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	defer unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	age := sweepAge
	if err != nil {
		age = sweepAgeUnlocked
	}
	names, err := disk.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sweep temporary files: %w", err)
	}
	var errs []error
	for _, entry := range names {
		made, ok := tempTime(entry, tempPrefix(name))
		if !ok || time.Since(made) < age {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := disk.Remove(fsys.Join(dir, entry)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("sweep temporary files: %w", err))
		}
	}
	return errors.Join(errs...)
}

// tempTime tells when a temporary file was made, from its name.
func tempTime(name, prefix string) (time.Time, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return time.Time{}, false
	}
	rest, ok = strings.CutSuffix(rest, tempSuffix)
	if !ok {
		return time.Time{}, false
	}
	seconds, _, ok := strings.Cut(rest, "-")
	if !ok {
		return time.Time{}, false
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(unix, 0), err == nil
}
