package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// RestoreOptions say how [Restore] works.
type RestoreOptions struct {
	// Overwrite lets a database that is there be replaced; else that is an error (fs.ErrExist).
	Overwrite bool
}

// Restore puts a backup in the place of a database, for which no collector may have that open ([ErrInUse]). The backup is
// copied and the copy checked first, as [Store.Check] does: what does not pass leaves all as it was. A backup of an older
// version is upgraded when the database is opened. It needs as much free disk as the backup has bytes.
func Restore(ctx context.Context, backup, file string, opts RestoreOptions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s from %s: %w", file, backup, explain(ctx, err))
		}
	}()
	real, err := resolve(file)
	if err != nil {
		return err
	}
	lock, err := takeLock(ctx, real)
	if err != nil {
		return err
	}
	defer lock.release()
	_, err = os.Lstat(real)
	exists := err == nil
	if exists && !opts.Overwrite {
		return fs.ErrExist
	}
	part, err := copyBeside(ctx, backup, real)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			for _, suffix := range []string{"", logSuffix, indexSuffix} {
				os.Remove(part + suffix)
			}
		}
	}()
	if err := verify(ctx, part); err != nil {
		return fmt.Errorf("backup is not good: %w", err)
	}
	if exists {
		if err := retire(ctx, real); err != nil {
			return err
		}
	}
	return publish(part, real, opts.Overwrite)
}

// copyBeside copies a backup to a file in the folder of the database.
func copyBeside(ctx context.Context, backup, file string) (part string, err error) {
	// A log beside the backup means that it is a database in use, of which the file alone is not the whole.
	if info, err := os.Stat(backup + logSuffix); err == nil && info.Size() > 0 {
		return "", fmt.Errorf("%s has a log beside it: it is a database and not a backup", backup)
	}
	from, err := os.Open(backup)
	if err != nil {
		return "", err
	}
	defer from.Close()
	if part, err = partBeside(file); err != nil {
		return "", err
	}
	to, err := os.OpenFile(part, os.O_WRONLY, 0)
	if err == nil {
		_, err = io.Copy(to, contextReader{ctx, from})
		err = errors.Join(err, to.Close())
	}
	if err != nil {
		os.Remove(part)
	}
	return part, err
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// verify looks whether a file is the whole database of a collector, of a version that this program knows.
func verify(ctx context.Context, file string) (err error) {
	f, err := inspect(ctx, file, Options{})
	if err != nil {
		return err
	}
	if f.version == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotStore)
	}
	db, err := sql.Open("sqlite", dsn(file, DefaultCache, busyTimeout, true))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return check(ctx, db)
}

// retire lets the database that is replaced be whole in its one file, as long as it is there, and takes away its log:
// SQLite would apply it to the new file.
func retire(ctx context.Context, file string) error {
	if db, err := sql.Open("sqlite", dsn(file, DefaultCache, busyTimeout, false)); err == nil {
		db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // what is broken is replaced because it is
		db.Close()
	}
	for _, suffix := range []string{logSuffix, indexSuffix} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(filepath.Dir(file))
}
