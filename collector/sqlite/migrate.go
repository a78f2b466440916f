package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

func migrationsOf(opts Options) fs.FS {
	if opts.migrations != nil {
		return opts.migrations
	}
	sub, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// applicationID is in the header of the file and says whose database it is.
const applicationID = 0x52636c6c

// magic is how the file of a database that is not empty begins.
var magic = []byte("SQLite format 3\x00")

// checkHeader refuses what is no database before SQLite writes anything to it or beside it. It is called before this
// process has the database open, since to close the file would drop the locks on it.
func checkHeader(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrNotStore)
	}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	switch {
	case err == nil && bytes.Equal(head, magic), n == 0 && err == io.EOF:
		return nil
	case err == nil || err == io.ErrUnexpectedEOF:
		return ErrNotStore
	}
	return err
}

// prepareSchema brings the schema to the version of this program.
func (s *Store) prepareSchema(ctx context.Context, opts Options) error {
	if err := s.claim(ctx, opts.ReadOnly); err != nil {
		return err
	}
	version, target, p, err := s.versions(ctx, opts)
	if err != nil {
		return err
	}
	switch {
	case version > target:
		return newerError(version, target)
	case version == target:
		return nil
	case opts.ReadOnly:
		return fmt.Errorf("database has version %d and not %d: a collector has to open it first", version, target)
	case version > 0:
		backup := fmt.Sprintf("%s.v%d.backup", s.file, version)
		s.log.Info("Database is backed up and upgraded", "version", version, "to", target, "backup", backup)
		// One that is there is from an upgrade that was interrupted, or from before a restore: this one is newer.
		if err := s.backup(ctx, backup, true); err != nil {
			return fmt.Errorf("back up before the upgrade: %w", err)
		}
		s.dropWriter()
	}
	if _, err := p.Up(ctx); err != nil {
		if cause, ok := errors.AsType[*goose.PartialError](err); ok {
			err = cmp.Or(cause.Err, err)
		}
		return fmt.Errorf("upgrade from version %d to %d: %w", version, target, err)
	}
	return nil
}

func newerError(version, target int64) error {
	return fmt.Errorf("%w: it has version %d, and this program knows %d", ErrNewer, version, target)
}

// versions gives the version that the database has, the one of this program, and what takes it there.
func (s *Store) versions(ctx context.Context, opts Options) (version, target int64, _ *goose.Provider, err error) {
	if version, err = s.schemaVersion(ctx); err != nil {
		return 0, 0, nil, err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.writeDB, migrationsOf(opts),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return 0, 0, nil, err
	}
	sources := p.ListSources()
	return version, sources[len(sources)-1].Version, p, nil
}

// claim makes an empty database ours, and refuses one that is not.
func (s *Store) claim(ctx context.Context, readOnly bool) error {
	var id, tables int
	if err := s.writeDB.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id == applicationID {
		return nil
	}
	if err := s.writeDB.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if id != 0 || tables > 0 || readOnly {
		return fmt.Errorf("%w: it belongs to another program", ErrNotStore)
	}
	_, err := s.writeDB.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

// schemaVersion gives the number of the last migration, 0 for none.
func (s *Store) schemaVersion(ctx context.Context) (version int64, err error) {
	var table bool
	err = s.writeDB.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'").Scan(&table)
	if err != nil || !table {
		return 0, err
	}
	err = s.writeDB.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").
		Scan(&version)
	return version, err
}
