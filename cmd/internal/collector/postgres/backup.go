package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/transfer"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// Backup implements [collector.Store]. It writes one snapshot as a store file,
// which package sqlite opens and restores. The file has mode 0600, is durable, and
// appears when it is complete.
func (r *reader) Backup(ctx context.Context, file string) error {
	if err := r.backup(ctx, file); err != nil {
		return fmt.Errorf("back up to %s: %w", file, explain(ctx, err))
	}
	return nil
}

func (r *reader) backup(ctx context.Context, file string) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fs.ErrExist
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "."+filepath.Base(file)+".*.part")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	temp := filepath.Join(dir, filepath.Base(file))
	err = r.snapshot(ctx, func(s *snapshot) (err error) {
		to, err := sqlite.Open(ctx, temp, sqlite.Options{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		_, err = transfer.Copy(ctx, s, transfer.Into(ctx, to), nil)
		return err
	})
	if err != nil {
		return err
	}
	return durable.Link(temp, file)
}
