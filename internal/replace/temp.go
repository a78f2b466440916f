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

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Temporary files are called .NAME.rollcall-SECONDS-RANDOM.tmp. The name shows
// whose they are, hides them, and holds the time of their creation: their own
// times may be those of a file that was exchanged with them.
const (
	tempMark   = ".rollcall-"
	tempSuffix = ".tmp"
	// tempBase is how many bytes of the file's name go into that of a
	// temporary file: names end at 255 bytes.
	tempBase = 100
	// sweepAge is the age at which a temporary file is swept. No save that
	// does not hang takes that long.
	sweepAge = 10 * time.Minute
	// sweepAgeUnlocked is the same if the lock, which otherwise shows that no
	// save is running, does not work.
	sweepAgeUnlocked = 24 * time.Hour
)

func tempPrefix(name string) string {
	return "." + fsys.CutName(filepath.Base(name), tempBase) + tempMark
}

// newTempName returns the name of a new temporary file next to name.
func newTempName(name string) string {
	return fsys.Join(fsys.Dir(name), fmt.Sprintf("%s%d-%s%s", tempPrefix(name), time.Now().Unix(), rand.Text()[:8], tempSuffix))
}

// tempTime returns the time of creation from the name of a temporary file.
func tempTime(name, prefix string) (created time.Time, ok bool) {
	name, hasPrefix := strings.CutPrefix(name, prefix)
	name, hasSuffix := strings.CutSuffix(name, tempSuffix)
	seconds, _, hasRandom := strings.Cut(name, "-")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(unix, 0), hasPrefix && hasSuffix && hasRandom && err == nil
}

// writeTemp creates a temporary file with data next to name, which leads through
// no symlink, durable except for its own name. It gets the mode, owner and attributes of like or, if that
// is nil, those of access. A temporary file whose fsync failed is never used: if a later
// fsync succeeds, that does not mean that the data is there.
func writeTemp(ctx context.Context, disk fsys.FS, name string, data []byte, access Access, like fsys.File) (temp string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	dir, err := disk.Lstat(fsys.Dir(name))
	if err != nil {
		return "", err
	}
	temp = newTempName(name)
	file, err := disk.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|fsys.NoFollow, access.open())
	if err != nil {
		disk.Remove(temp) // it may have been created all the same
		return "", fmt.Errorf("create temporary file: %w", err)
	}
	err = fillTemp(ctx, file, data, func() error {
		if like != nil {
			return file.CopyAttributes(like)
		}
		return access.give(disk, file, dir)
	})
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

func fillTemp(ctx context.Context, file fsys.File, data []byte, setAttributes func() error) error {
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := setAttributes(); err != nil {
		return &attributesError{err}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync temporary file: %w", err)
	}
	return nil
}

// An attributesError means that a temporary file could not get the attributes
// of the file that it was to replace, or an owner who may use it.
type attributesError struct{ err error }

func (e *attributesError) Error() string { return "set owner and attributes: " + e.err.Error() }
func (e *attributesError) Unwrap() error { return e.err }

// Sweep removes the temporary files of name that are old and, since the lock
// is free, not in use.
func Sweep(ctx context.Context, disk fsys.FS, name string) error {
	name, err := resolveDir(ctx, disk, name)
	if err != nil {
		return err
	}
	dir := fsys.Dir(name)
	unlock, err := lock(ctx, disk, dir, 0)
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
		created, ok := tempTime(entry, tempPrefix(name))
		// A clock that was wrong then, or is wrong now, puts the creation into
		// the future.
		if !ok || time.Since(created).Abs() < age {
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
