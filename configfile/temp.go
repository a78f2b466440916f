package configfile

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
)

func tempPrefix(name string) string {
	base := filepath.Base(name)
	return "." + base[:min(len(base), tempBase)] + tempMark
}

// newTemp makes an empty temporary file beside name.
func newTemp(disk fsys.FS, name string, perm fs.FileMode) (fsys.File, string, error) {
	temp := filepath.Join(filepath.Dir(name),
		tempPrefix(name)+strconv.FormatInt(time.Now().Unix(), 10)+"-"+rand.Text()[:8]+tempSuffix)
	file, err := disk.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return nil, "", fmt.Errorf("create temporary file: %w", err)
	}
	return file, temp, nil
}

// writeTemp makes a temporary file with data beside name, durable but for its name. When like is not nil it gets that
// file's mode, owner and attributes, otherwise perm. A temporary file whose fsync failed is never used: a later fsync
// that succeeds would not mean that the data is there.
func writeTemp(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode, like fsys.File) (temp string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	file, temp, err := newTemp(disk, name, perm)
	if err != nil {
		return "", err
	}
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close temporary file: %w", closeErr)
		}
		if err != nil {
			disk.Remove(temp)
		}
	}()
	if _, err := file.Write(data); err != nil {
		return "", fmt.Errorf("write temporary file: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if like != nil {
		if err := file.CopyAttributes(like); err != nil {
			return "", &attributesError{err}
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := file.Sync(); err != nil {
		return "", fmt.Errorf("sync temporary file: %w", err)
	}
	return temp, ctx.Err()
}

// attributesError says that a temporary file could not be made like the file it is to replace.
type attributesError struct{ err error }

func (e *attributesError) Error() string { return "keep owner and attributes: " + e.err.Error() }
func (e *attributesError) Unwrap() error { return e.err }

// publish makes the file name with data, whole and durable: of any number of racing processes exactly one succeeds, and
// the others get fs.ErrExist. Where the file system has no hard links, a file that another program makes in the very
// microseconds before the rename is written over.
func publish(ctx context.Context, disk fsys.FS, name string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(ctx, disk, name, data, perm, nil)
	if err != nil {
		return err
	}
	defer disk.Remove(temp)
	err = disk.Link(temp, name)
	if err != nil && !errors.Is(err, fs.ErrExist) && fsys.WithoutLinks(err) {
		if _, statErr := disk.Lstat(name); statErr == nil {
			return fs.ErrExist
		}
		err = disk.Rename(temp, name)
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return syncFolder(ctx, disk, name)
}

// syncFolder makes the name durable.
func syncFolder(ctx context.Context, disk fsys.FS, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := disk.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// makeFolders makes a folder and its parents where they are missing, each durable, with modes that follow the umask.
func makeFolders(ctx context.Context, disk fsys.FS, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := disk.Lstat(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err // should it not be a folder, the next step says so
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return err
	}
	if err := makeFolders(ctx, disk, parent); err != nil {
		return err
	}
	if err := disk.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	return syncFolder(ctx, disk, dir)
}

// lock takes the lock of a folder, for at most lockWait, and gives the function that releases it. It goes on without
// when the folder is not there, the lock is not to be had in time, or locks do not work.
func lock(ctx context.Context, disk fsys.FS, dir string) (unlock func()) {
	unlock, _ = tryLock(ctx, disk, dir, lockWait)
	return unlock
}

// tryLock is lock, and tells with what it failed.
func tryLock(ctx context.Context, disk fsys.FS, dir string, wait time.Duration) (unlock func(), err error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 20*time.Millisecond) {
		unlock, err := disk.LockDir(dir)
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, fsys.ErrLocked) || time.Now().After(deadline) {
			return func() {}, err
		}
		time.Sleep(pause)
	}
	return func() {}, ctx.Err()
}

// sweep removes the temporary files of name that are old and, since the lock is free, not in use.
func sweep(ctx context.Context, disk fsys.FS, name string) error {
	dir := filepath.Dir(name)
	unlock, err := tryLock(ctx, disk, dir, 0)
	if errors.Is(err, fsys.ErrLocked) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	defer unlock()
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
		if ctx.Err() != nil {
			break
		}
		if err := disk.Remove(filepath.Join(dir, entry)); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
