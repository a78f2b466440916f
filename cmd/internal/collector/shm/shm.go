// Package shm converts what the server of SHM (Self-Hosted Metrics) has stored to
// the history of an app; see package history. It reads a dump of the server's
// PostgreSQL database in plain SQL, as pg_dump writes it, with COPY blocks or with
// INSERT statements, into a temporary database, so that memory does not grow with
// it.
package shm

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	_ "modernc.org/sqlite" // the driver
)

// Namespace is that of the IDs that are no UUIDs, in the sense of
// installid.FromLegacy.
const Namespace = "shm"

var (
	// ErrInvalid means that a dump is malformed or not complete.
	ErrInvalid = errors.New("invalid dump")
	// ErrNotDump means that a dump has no instances of SHM.
	ErrNotDump = errors.New("it has no table of SHM, or no rows in it")

	errWrite = errors.New("write temporary database")
)

// A ChoiceError means that a dump has several applications, or not the named one.
type ChoiceError struct {
	Named string   // "" if none was
	Has   []string // what can be named
}

func (e *ChoiceError) Error() string {
	text := "the dump has several applications"
	if e.Named != "" {
		text = fmt.Sprintf("the dump has no application %q", e.Named)
	}
	return text + ": " + strings.Join(e.Has, ", ")
}

// A Dump is one that has been read. Create it with [Read].
type Dump struct {
	db  *sql.DB
	dir string
}

const schema = `
CREATE TABLE application (id TEXT PRIMARY KEY, slug TEXT, name TEXT);
CREATE TABLE instance (id TEXT PRIMARY KEY, application TEXT, name TEXT, version TEXT, mode TEXT, environment TEXT, os_arch TEXT,
 revoked INTEGER, first INTEGER, last INTEGER);
CREATE TABLE snapshot (instance TEXT, day INTEGER, at INTEGER, data TEXT, PRIMARY KEY (instance, day)) WITHOUT ROWID;
`

// Read reads a dump. Of the snapshots of an instance on a day it keeps the last.
func Read(ctx context.Context, in io.Reader) (d *Dump, err error) {
	d = &Dump{}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	if d.dir, err = os.MkdirTemp("", "rollcall-import-"); err != nil {
		return d, err
	}
	path := filepath.ToSlash(filepath.Join(d.dir, "shm.db"))
	d.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_pragma=journal_mode(off)&_pragma=synchronous(off)"}).String())
	if err != nil {
		return d, err
	}
	if _, err := d.db.ExecContext(ctx, schema); err != nil {
		return d, fmt.Errorf("create temporary database: %w", err)
	}
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return d, err
	}
	defer tx.Rollback()
	into, err := newInserter(ctx, tx)
	if err != nil {
		return d, err
	}
	r := reader{do: into.row, wants: func(table string) bool { return into.statements[table] != nil }}
	if err := r.read(ctx, in); err != nil {
		return d, err
	}
	if err := tx.Commit(); err != nil {
		return d, fmt.Errorf("%w: %w", errWrite, err)
	}
	if into.instances == 0 {
		return d, ErrNotDump
	}
	return d, nil
}

// Close removes the temporary database.
func (d *Dump) Close() error {
	var errs []error
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// An inserter writes rows of a dump to the temporary database.
type inserter struct {
	ctx        context.Context
	statements map[string]*sql.Stmt // by table of SHM
	instances  int
}

func newInserter(ctx context.Context, tx *sql.Tx) (*inserter, error) {
	i := &inserter{ctx: ctx, statements: make(map[string]*sql.Stmt)}
	for table, text := range map[string]string{
		"applications": "INSERT INTO application VALUES (?, ?, ?)",
		"instances":    "INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"snapshots": "INSERT INTO snapshot VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, data = excluded.data " +
			"WHERE excluded.at >= at",
	} {
		statement, err := tx.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		i.statements[table] = statement
	}
	return i, nil
}

// row writes a row of a table.
func (i *inserter) row(table string, r row) error {
	var args []any
	switch table {
	case "applications":
		if r["id"] == "" || r["app_slug"] == "" {
			return errors.New("it has no id or no app_slug")
		}
		args = []any{r["id"], r["app_slug"], r["app_name"]}
	case "instances":
		i.instances++
		if r["instance_id"] == "" {
			return errors.New("it has no instance_id")
		}
		first, err := dayOf(r["created_at"])
		if err != nil {
			return fmt.Errorf("created_at: %w", err)
		}
		last, err := dayOf(r["last_seen_at"])
		if err != nil {
			return fmt.Errorf("last_seen_at: %w", err)
		}
		args = []any{
			r["instance_id"], r["application_id"], cmp.Or(r["app_name"], "unknown_app"), r["app_version"], r["deployment_mode"],
			r["environment"], r["os_arch"], r["status"] == "revoked", first, last,
		}
	case "snapshots":
		at, err := parseTime(r["snapshot_at"])
		if err != nil {
			return fmt.Errorf("snapshot_at: %w", err)
		}
		if r["instance_id"] == "" || !json.Valid([]byte(r["data"])) {
			return errors.New("it has no instance_id, or its data is no JSON")
		}
		args = []any{r["instance_id"], int64(collector.DayOf(at)), at.UnixMicro(), r["data"]}
	}
	if _, err := i.statements[table].ExecContext(i.ctx, args...); err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	return nil
}

// dayOf returns the day of a time, and nil if there is none.
func dayOf(text string) (any, error) {
	if text == "" {
		return nil, nil
	}
	t, err := parseTime(text)
	return int64(collector.DayOf(t)), err
}

// parseTime parses a time as PostgreSQL writes it, in any time zone.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{"2006-01-02 15:04:05-07", "2006-01-02 15:04:05-07:00", "2006-01-02 15:04:05-07:00:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", text)
}
