package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

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

// applicationID, in the header of the file, identifies our databases.
const applicationID = 0x52636c6c

type schema struct {
	empty   bool  // there is nothing in the file
	version int64 // of the last migration; 0 is none
	target  int64 // the version of this program
}

// inspect reads the schema of a file. It does not write to the file, as opening
// a connection for writing would.
func inspect(ctx context.Context, file string, opts Options) (found schema, err error) {
	db, err := openDB(file, readerCache, busyTimeout, true, 1)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var id, tables int
	const query = "SELECT application_id, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id"
	if err := db.QueryRowContext(ctx, query).Scan(&id, &tables); err != nil {
		return found, err
	}
	if id == 0 && tables == 0 {
		found.empty = true
	} else if id != applicationID {
		return found, fmt.Errorf("%w: it belongs to another program", ErrNotStore)
	}
	if found.version, err = schemaVersion(ctx, db); err != nil {
		return found, err
	}
	p, err := provider(db, opts)
	if err != nil {
		return found, err
	}
	sources := p.ListSources()
	found.target = sources[len(sources)-1].Version
	if found.version > found.target {
		return found, fmt.Errorf("%w: it has version %d, and this program supports %d", ErrNewer, found.version, found.target)
	}
	return found, nil
}

// A queryer is a database or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// sumsVersion is the first version with checksums.
const sumsVersion = 3

// schemaVersion returns the number of the last migration, or 0.
func schemaVersion(ctx context.Context, db queryer) (version int64, err error) {
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

// upgrade brings the schema to the version of this program. It makes a backup
// first, unless the database is new.
func (s *Store) upgrade(ctx context.Context, found schema, opts Options) error {
	switch {
	case found.version == found.target:
		return nil
	case found.empty:
		// First, so that the next Open recognizes an interrupted upgrade as ours.
		if _, err := s.writeDB.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	case found.version > 0:
		if err := s.checkSpace(); err != nil {
			return err
		}
		backup := fmt.Sprintf("%s.v%d.backup", s.file, found.version)
		s.log.Info("Database is backed up and upgraded", "version", found.version, "to", found.target, "backup", backup)
		// This one is newer than a backup that may exist.
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
		return fmt.Errorf("upgrade from version %d to %d: %w", found.version, found.target, err)
	}
	return nil
}
