package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// schemaVersion is the version of the tables that this program uses.
const schemaVersion = 1

// migrations are the statements that lead from the version before to each one.
// They can be repeated, since each is a transaction of its own: engines differ in
// what they allow in a larger one.
//
// Names and keys are bytes, so that no collation has a say in their order. What
// is large is bitmaps that are compressed already, so the server does not try.
var migrations = [schemaVersion][]string{{
	`CREATE TABLE IF NOT EXISTS rollcall_identity (
		key   uuid PRIMARY KEY,
		place bigint NOT NULL, -- app << 32 | num
		sum   integer NOT NULL
	)`,
	`CREATE TABLE IF NOT EXISTS rollcall_installation (
		place bigint PRIMARY KEY,
		state bytea NOT NULL
	)`,
	`CREATE TABLE IF NOT EXISTS rollcall_record (
		kind bytea NOT NULL,
		app  integer NOT NULL,
		day  integer NOT NULL,
		name bytea NOT NULL,
		data bytea NOT NULL,
		PRIMARY KEY (kind, app, day, name)
	)`,
	`CREATE TABLE IF NOT EXISTS rollcall_journal (
		number bigint PRIMARY KEY,
		data   bytea NOT NULL
	)`,
	`ALTER TABLE rollcall_installation ALTER COLUMN state SET STORAGE EXTERNAL`,
	`ALTER TABLE rollcall_record ALTER COLUMN data SET STORAGE EXTERNAL`,
	`ALTER TABLE rollcall_journal ALTER COLUMN data SET STORAGE EXTERNAL`,
	// seq is the number of the last commit; numbers of the journal are taken from
	// it. scrub says that deleted data may be left in files.
	`CREATE TABLE IF NOT EXISTS rollcall_fence (
		id     integer PRIMARY KEY,
		epoch  bigint NOT NULL,
		seq    bigint NOT NULL,
		holder bytea NOT NULL,
		token  bytea NOT NULL,
		until  timestamptz NOT NULL,
		scrub  boolean NOT NULL
	)`,
	`INSERT INTO rollcall_fence (id, epoch, seq, holder, token, until, scrub)
		VALUES (1, 0, 0, '', '', '-infinity', false) ON CONFLICT (id) DO NOTHING`,
}}

// columns are queries that fail if a table has other columns: IF NOT EXISTS
// accepts whatever somebody else has created.
var columns = []string{
	"SELECT key, place, sum FROM rollcall_identity LIMIT 0", "SELECT place, state FROM rollcall_installation LIMIT 0",
	"SELECT kind, app, day, name, data FROM rollcall_record LIMIT 0", "SELECT number, data FROM rollcall_journal LIMIT 0",
	"SELECT id, epoch, seq, holder, token, until, scrub FROM rollcall_fence LIMIT 0",
}

// migrateTries is how often a migration is tried that another process makes at
// the same time.
const migrateTries = 5

// migrate brings the tables to schemaVersion. Tables that are current are not
// touched, so that the user needs no right to create any.
func (db *DB) migrate(ctx context.Context) error {
	for try := 1; ; try++ {
		version, err := db.version(ctx)
		if err != nil || version >= schemaVersion {
			return errors.Join(err, newer(version))
		}
		if err = db.migrateFrom(ctx, version); err == nil {
			continue
		}
		// Even IF NOT EXISTS fails while another process creates the same table.
		e, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || try == migrateTries || e.Code != "23505" && e.Code != "42P07" && e.Code != "42710" && e.Code != "XX000" {
			return fmt.Errorf("create the tables: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// checkVersion returns [ErrNewer] if a newer program has changed the tables.
func (db *DB) checkVersion(ctx context.Context) error {
	version, err := db.version(ctx)
	return errors.Join(err, newer(version))
}

func newer(version int) error {
	if version <= schemaVersion {
		return nil
	}
	return fmt.Errorf("%w: it has version %d, and this program supports %d", ErrNewer, version, schemaVersion)
}

// version returns the version of the tables, or 0 if there are none.
func (db *DB) version(ctx context.Context) (version int, err error) {
	var exists bool
	err = db.pool.QueryRow(ctx, "SELECT to_regclass('rollcall_schema') IS NOT NULL").Scan(&exists)
	if err != nil || !exists {
		return 0, err
	}
	err = db.pool.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM rollcall_schema").Scan(&version)
	return version, err
}

func (db *DB) migrateFrom(ctx context.Context, version int) error {
	exec := func(sql string, args ...any) error {
		_, err := db.pool.Exec(ctx, sql, args...)
		return err
	}
	if err := exec("CREATE TABLE IF NOT EXISTS rollcall_schema (version integer PRIMARY KEY)"); err != nil {
		return err
	}
	for i, statements := range migrations[version:] {
		for _, sql := range slices.Concat(statements, columns) {
			if err := exec(sql); err != nil {
				return err
			}
		}
		if err := exec("INSERT INTO rollcall_schema (version) VALUES ($1) ON CONFLICT DO NOTHING", version+i+1); err != nil {
			return err
		}
	}
	return nil
}
