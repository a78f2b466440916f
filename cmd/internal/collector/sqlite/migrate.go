package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
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

// checkRegular refuses what is no file. The content is left to SQLite, since to open and close the file here would drop
// the locks that another store in this process may have on it.
func checkRegular(file string) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrNotStore)
	}
	return err
}

// found is what a file was found to be.
type found struct {
	empty   bool  // nothing at all
	version int64 // of the last migration; 0 for none
	target  int64 // the version of this program
}

// inspect looks at a file without writing to it, which setting up a connection that writes would do.
func inspect(ctx context.Context, file string, opts Options) (f found, err error) {
	db, err := sql.Open("sqlite", dsn(file, readerCache, busyTimeout, true))
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var id, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return f, err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return f, err
	}
	if id == 0 && tables == 0 {
		f.empty = true
	} else if id != applicationID {
		return f, fmt.Errorf("%w: it belongs to another program", ErrNotStore)
	}
	if f.version, err = schemaVersion(ctx, db); err != nil {
		return f, err
	}
	p, err := provider(db, opts)
	if err != nil {
		return f, err
	}
	sources := p.ListSources()
	f.target = sources[len(sources)-1].Version
	if f.version > f.target {
		return f, fmt.Errorf("%w: it has version %d, and this program knows %d", ErrNewer, f.version, f.target)
	}
	return f, nil
}

// schemaVersion gives the number of the last migration, 0 for none.
func schemaVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	var table bool
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'").Scan(&table)
	if err != nil || !table {
		return 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&version)
	return version, err
}

func provider(db *sql.DB, opts Options) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectSQLite3, db, migrationsOf(opts),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// prepareSchema brings the schema to the version of this program.
func (s *Store) prepareSchema(ctx context.Context, f found, opts Options) error {
	switch {
	case f.version == f.target:
		return nil
	case opts.ReadOnly:
		return fmt.Errorf("database has version %d and not %d: a collector has to open it first", f.version, f.target)
	case f.empty:
		// First of all, so that what is interrupted from here on is known to be ours.
		if _, err := s.writeDB.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	case f.version > 0:
		backup := fmt.Sprintf("%s.v%d.backup", s.file, f.version)
		s.log.Info("Database is backed up and upgraded", "version", f.version, "to", f.target, "backup", backup)
		// One that is there is from an upgrade that was interrupted, or from before a restore: this one is newer.
		if err := s.backup(ctx, backup, true); err != nil {
			return fmt.Errorf("back up before the upgrade: %w", err)
		}
		if err := s.dropWriter(); err != nil {
			return err
		}
	}
	p, err := provider(s.writeDB, opts)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			err = partial.Err
		}
		return fmt.Errorf("upgrade from version %d to %d: %w", f.version, f.target, err)
	}
	return nil
}
