package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// backupPages is how many pages one step copies, while commits wait: 1 MiB.
const backupPages = 256

// Backup implements [collector.Store]. The file has mode 0600, is durable, and
// appears when it is complete. Backup copies step by step through the
// connection for writing. So it needs no snapshot, which would hold up the log,
// and the copy is current as of its end. [Restore] restores it.
func (s *Store) Backup(ctx context.Context, file string) error {
	if err := s.backup(ctx, file, false); err != nil {
		return fmt.Errorf("back up to %s: %w", file, explain(ctx, err))
	}
	return nil
}

func (s *Store) backup(ctx context.Context, file string, replace bool) (err error) {
	publish := durable.Rename
	if !replace {
		if _, err := os.Lstat(file); err == nil {
			return fs.ErrExist
		}
		publish = durable.Link
	}
	temp, err := durable.Temp(file)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
		}
	}()
	if err := errors.Join(temp.Close(), s.copyTo(ctx, temp.Name())); err != nil {
		return err
	}
	return publish(temp.Name(), file)
}

func (s *Store) copyTo(ctx context.Context, temp string) (err error) {
	// Without a journal or syncs: an incomplete file is useless.
	target := uri(temp) + "?_pragma=journal_mode(off)&_pragma=synchronous(off)"
	var b *sqlite.Backup
	if err := s.onWriter(ctx, func(conn any) (err error) {
		source, ok := conn.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("driver does not support backups")
		}
		b, err = source.NewBackup(target)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		err = errors.Join(err, b.Finish())
	}()
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.onWriter(ctx, func(any) (err error) {
			more, err = b.Step(backupPages)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// onWriter calls f with the driver's connection for writing, between two commits.
func (s *Store) onWriter(ctx context.Context, f func(conn any) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.writer(ctx)
	if err != nil {
		return err
	}
	return w.conn.Raw(f)
}

// RestoreOptions configure [Restore].
type RestoreOptions struct {
	// Overwrite replaces a database that exists, instead of fs.ErrExist.
	Overwrite bool
}

// Restore puts a backup in place of a database that no store has open
// ([ErrInUse]). It first copies the backup and checks the copy as [Store.Check]
// does, and changes nothing if the check fails. Opening the database upgrades a
// backup of an older version. Restore needs free disk space for one copy.
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
	unlock, err := takeLock(ctx, real)
	if err != nil {
		return err
	}
	defer unlock()
	publish := durable.Link
	_, err = os.Lstat(real)
	exists := err == nil
	if opts.Overwrite {
		publish = durable.Rename
	} else if exists {
		return fs.ErrExist
	}
	temp, err := copyBeside(ctx, backup, real)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			for _, suffix := range []string{"", logSuffix, indexSuffix} {
				os.Remove(temp + suffix)
			}
		}
	}()
	if err := verify(ctx, temp); err != nil {
		return fmt.Errorf("backup cannot be used: %w", err)
	}
	if exists {
		if err := removeLog(ctx, real); err != nil {
			return err
		}
	}
	return publish(temp, real)
}

func copyBeside(ctx context.Context, backup, file string) (temp string, err error) {
	// A log beside the backup shows that it is a database in use, which its file
	// alone does not contain completely.
	if info, err := os.Stat(backup + logSuffix); err == nil && info.Size() > 0 {
		return "", fmt.Errorf("%s has a log: it is a database, not a backup", backup)
	}
	from, err := os.Open(backup)
	if err != nil {
		return "", err
	}
	defer from.Close()
	to, err := durable.Temp(file)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, contextReader{ctx, from})
	if err = errors.Join(err, to.Close()); err != nil {
		os.Remove(to.Name())
	}
	return to.Name(), err
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

// verify checks that a file is an intact database of a supported version.
func verify(ctx context.Context, file string) (err error) {
	found, err := inspect(ctx, file, Options{})
	if err != nil {
		return err
	}
	if found.version == 0 {
		return fmt.Errorf("%w: it is empty", ErrNotStore)
	}
	db, err := openDB(file, writerCache, busyTimeout, true, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return check(ctx, db)
}

// removeLog copies the log of a database that is about to be replaced to its
// file, so that the database is intact until then. Then it removes the log,
// which SQLite would apply to the new file.
func removeLog(ctx context.Context, file string) error {
	if db, err := openDB(file, writerCache, busyTimeout, false, 1); err == nil {
		db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)") // a damaged database may be replaced too
		db.Close()
	}
	for _, suffix := range []string{logSuffix, indexSuffix} {
		if err := os.Remove(file + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(filepath.Dir(file))
}
