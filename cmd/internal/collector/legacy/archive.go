package legacy

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// The tables of the worker that have history.
const (
	tableInstallations = "heartbeats"            // the last heartbeat of each installation
	tableDays          = "heartbeat_daily"       // some values of each day
	tableIssues        = "health_issue_reports"  // an issue of an installation
	tableReports       = "health_report_batches" // a health report, and its events
)

var tables = []string{tableInstallations, tableDays, tableIssues, tableReports}

// ErrNotArchive means that a file is neither a database of the worker nor a dump of
// one.
var ErrNotArchive = errors.New("it has no table of the YA-WAMF worker")

// An Archive is what the worker has stored: its two databases, or dumps of them.
// Open it with [OpenArchive].
type Archive struct {
	dbs []*sql.DB
	dir string // of the databases that dumps were read into
	// in has the database that has a table.
	in map[string]*sql.DB
}

// OpenArchive opens databases of the worker. Each file is an SQLite database, which
// it does not change, or an SQL dump of one. It reads only the worker's tables.
func OpenArchive(ctx context.Context, files ...string) (a *Archive, err error) {
	a = &Archive{in: make(map[string]*sql.DB)}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	for _, name := range files {
		db, err := a.open(ctx, name)
		if err != nil {
			return a, fmt.Errorf("open %s: %w", name, err)
		}
		found := false
		for _, table := range tables {
			var n int
			err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", table).Scan(&n)
			if err != nil {
				return a, fmt.Errorf("open %s: %w", name, err)
			}
			if n > 0 {
				a.in[table], found = db, true
			}
		}
		if !found {
			return a, fmt.Errorf("open %s: %w", name, ErrNotArchive)
		}
	}
	return a, nil
}

// Close closes the archive and removes its temporary files.
func (a *Archive) Close() error {
	var errs []error
	for _, db := range a.dbs {
		errs = append(errs, db.Close())
	}
	if a.dir != "" {
		errs = append(errs, os.RemoveAll(a.dir))
	}
	return errors.Join(errs...)
}

func (a *Archive) open(ctx context.Context, name string) (*sql.DB, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	if magic, _ := in.Peek(16); string(magic) == "SQLite format 3\x00" {
		return a.connect(name, "mode=ro")
	}
	if a.dir == "" {
		if a.dir, err = os.MkdirTemp("", "rollcall-import-"); err != nil {
			return nil, err
		}
	}
	db, err := a.connect(filepath.Join(a.dir, fmt.Sprintf("%d.db", len(a.dbs))), "_pragma=journal_mode(off)&_pragma=synchronous(off)")
	if err == nil {
		err = readDump(ctx, db, in)
	}
	return db, err
}

func (a *Archive) connect(name, query string) (*sql.DB, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: query}).String())
	if err == nil {
		a.dbs = append(a.dbs, db)
	}
	return db, err
}

// maxStatement bounds a statement of a dump, in bytes.
const maxStatement = 16 << 20

// wanted matches the statements of a dump that create or fill a table of the
// worker. No other is executed.
var wanted = regexp.MustCompile(`(?is)^\s*(?:CREATE\s+TABLE(?:\s+IF\s+NOT\s+EXISTS)?|INSERT(?:\s+OR\s+\w+)?\s+INTO)\s+["'\x60]?(?:` +
	strings.Join(tables, "|") + `)\b`)

func readDump(ctx context.Context, db *sql.DB, in *bufio.Reader) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var statement []byte
	for {
		piece, err := in.ReadSlice(';')
		statement = append(statement, piece...)
		switch {
		case len(statement) > maxStatement:
			return fmt.Errorf("a statement has more than %d bytes: %w", maxStatement, ErrNotArchive)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF:
			return index(ctx, tx)
		case err != nil:
			return err
		case slices.Contains(statement, '\'') && strings.Count(string(statement), "'")%2 == 1:
			continue // the semicolon is in a text
		}
		if wanted.Match(statement) {
			if _, err := tx.ExecContext(ctx, string(statement)); err != nil {
				return fmt.Errorf("read dump: %w", err)
			}
		}
		statement = statement[:0]
	}
}

// index ends reading a dump, so that the reports of a day are found quickly.
func index(ctx context.Context, tx *sql.Tx) error {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE name = ?", tableReports).Scan(&n)
	if err == nil && n > 0 {
		_, err = tx.ExecContext(ctx, "CREATE INDEX day ON "+tableReports+" (report_date)")
	}
	return errors.Join(err, tx.Commit())
}

// A row is a row of a table, by column. What is null is missing.
type row map[string]any

// text returns a column as text; a missing one is empty.
func (r row) text(column string) string {
	switch v := r[column].(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

// each calls do with the rows of a table that have a value in the column, or with
// all rows if column is empty. An archive without the table has none. Columns that only
// later versions of the worker have may be missing.
func (a *Archive) each(ctx context.Context, table, column, value, order string, do func(row) error) error {
	db := a.in[table]
	if db == nil {
		return nil
	}
	names, err := columns(ctx, db, table)
	if err != nil {
		return err
	}
	// The casts undo what the driver makes of columns that are declared as times.
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf(`CASE typeof("%[1]s") WHEN 'integer' THEN "%[1]s" + 0 ELSE CAST("%[1]s" AS TEXT) END`, strings.ReplaceAll(name, `"`, `""`))
	}
	query, args := "SELECT "+strings.Join(list, ", ")+" FROM "+table, []any(nil)
	if column != "" {
		query, args = query+" WHERE "+column+" = ?", []any{value}
	}
	found, err := db.QueryContext(ctx, query+" ORDER BY "+order, args...)
	if err != nil {
		return fmt.Errorf("read table %s: %w", table, err)
	}
	defer found.Close()
	values := make([]any, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return fmt.Errorf("read table %s: %w", table, err)
		}
		r := make(row, len(names))
		for i, name := range names {
			if values[i] != nil {
				r[name] = values[i]
			}
		}
		if err := do(r); err != nil {
			return err
		}
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("read table %s: %w", table, err)
	}
	return nil
}

func columns(ctx context.Context, db *sql.DB, table string) (names []string, err error) {
	found, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	defer found.Close()
	for found.Next() {
		var name string
		if err := found.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, found.Err()
}

// days returns the values of report_date in a table.
func (a *Archive) days(ctx context.Context, table string) (days []string, err error) {
	db := a.in[table]
	if db == nil {
		return nil, nil
	}
	found, err := db.QueryContext(ctx, "SELECT DISTINCT CAST(report_date AS TEXT) FROM "+table)
	if err != nil {
		return nil, fmt.Errorf("read table %s: %w", table, err)
	}
	defer found.Close()
	for found.Next() {
		var day sql.NullString
		if err := found.Scan(&day); err != nil {
			return nil, err
		}
		days = append(days, day.String)
	}
	return days, found.Err()
}
