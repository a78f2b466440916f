package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// backupPages is how much of the database one step of a backup copies: 1 MiB, during which commits wait.
const backupPages = 256

// Backup implements [collector.Store]. The file has mode 0600, is durable, and appears when it is complete. It is copied
// through the connection that commits, a step at a time: so it needs no snapshot that would hold the log, and is as of
// its end. Every store file can be restored from it with [Restore].
func (s *Store) Backup(ctx context.Context, file string) error {
	if err := s.backup(ctx, file, false); err != nil {
		return fmt.Errorf("back up to %s: %w", file, explain(ctx, err))
	}
	return nil
}

func (s *Store) backup(ctx context.Context, file string, replace bool) (err error) {
	if _, err := os.Lstat(file); err == nil && !replace {
		return fs.ErrExist
	}
	part, err := partBeside(file)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(part)
		}
	}()
	if err := s.copyTo(ctx, part); err != nil {
		return err
	}
	return publish(part, file, replace)
}

// partBeside makes an empty file with mode 0600 in which what will have a name is built.
func partBeside(file string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*.part")
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// copyTo copies the database to an empty file.
func (s *Store) copyTo(ctx context.Context, part string) (err error) {
	// Neither a journal nor syncs: if this is interrupted, the file is of no use, and it is synced at the end.
	to := "file:" + (&url.URL{Path: part}).EscapedPath() + "?_pragma=journal_mode(off)&_pragma=synchronous(off)"
	var b *sqlite.Backup
	if err := s.onWriter(ctx, func(conn any) (err error) {
		source, ok := conn.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("driver cannot make backups")
		}
		b, err = source.NewBackup(to)
		return err
	}); err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		err = errors.Join(err, b.Finish())
	}()
	pages := int32(backupPages)
	if s.readOnly {
		pages = -1 // all at once: what another process commits between two steps would let it begin anew
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.onWriter(ctx, func(any) (err error) {
			more, err = b.Step(pages)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// onWriter calls f with the driver's connection that writes, while nothing is committed.
func (s *Store) onWriter(ctx context.Context, f func(conn any) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.writer(ctx)
	if err != nil {
		return err
	}
	return w.conn.Raw(f)
}

// publish makes a file durable and gives it its name. A file that has the name already is replaced or, without replace,
// an error.
func publish(part, file string, replace bool) error {
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(part, file)
	} else if err = os.Link(part, file); err == nil {
		err = os.Remove(part)
	} else if !errors.Is(err, fs.ErrExist) {
		// A file system without links. Between this look and the rename another could take the name.
		if _, stat := os.Lstat(file); stat == nil {
			return fs.ErrExist
		}
		err = os.Rename(part, file)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}
