package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// backupPages is how many pages one step of a backup copies: 1 MiB, during which
// commits wait.
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
	// Without a journal or syncs: the file is useless if this is interrupted, and
	// is synced at the end.
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
