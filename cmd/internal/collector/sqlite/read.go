package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/paging"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

const lookupKeys = 64

func lookupSQL(n int) string {
	return "SELECT key, app, num, sum FROM identity WHERE key IN (?" + strings.Repeat(", ?", n-1) + ")"
}

// Lookup implements [collector.Store].
func (s *Store) Lookup(ctx context.Context, keys []collector.Key) ([]collector.Identity, error) {
	var found []collector.Identity
	args := make([]any, 0, lookupKeys)
	for len(keys) > 0 {
		stmt, n := s.lookup[0], 1
		if len(keys) > 1 {
			stmt, n = s.lookup[1], lookupKeys
		}
		given := min(n, len(keys))
		args = args[:0]
		for i := range n {
			args = append(args, keys[min(i, given-1)][:]) // padded with the last one
		}
		keys = keys[given:]
		rows, err := stmt.QueryContext(ctx, args...)
		part, err := collect(ctx, rows, err, scanIdentity)
		if err != nil {
			return nil, fmt.Errorf("look up: %w", err)
		}
		found = append(found, part...)
	}
	return found, nil
}

// Installation implements [collector.Store].
func (s *Store) Installation(ctx context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error) {
	row := collector.Installation{App: app, Num: num}
	err := s.reads.QueryRowContext(ctx, "SELECT state FROM installation WHERE id = ?", rowsum.Place(app, num)).Scan(&row.State)
	if errors.Is(err, sql.ErrNoRows) {
		return collector.Installation{}, false, nil
	} else if err == nil {
		row.State, err = unsealState(rowsum.Place(app, num), row.State)
	}
	if err != nil {
		return collector.Installation{}, false, fmt.Errorf("read installation: %w", explain(ctx, err))
	}
	return row, true, nil
}

// Record implements [collector.Store].
func (s *Store) Record(ctx context.Context, key collector.RecordKey) (data []byte, ok bool, err error) {
	err = s.reads.QueryRowContext(ctx, "SELECT data FROM record WHERE kind = ? AND app = ? AND day = ? AND name = ?",
		key.Kind, int64(key.App), int64(key.Day), key.Name).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	} else if err == nil {
		data, err = unsealRecord(key, data)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read record: %w", explain(ctx, err))
	}
	return data, true, nil
}

func unsealRecord(key collector.RecordKey, data []byte) ([]byte, error) {
	return unseal(data, "a record", func(value []byte) rowsum.Sum { return rowsum.Record(key, value) })
}

func unsealState(id int64, state []byte) ([]byte, error) {
	return unseal(state, "an installation", func(value []byte) rowsum.Sum { return rowsum.Installation(id, value) })
}

// The number of rows of a page. Between two pages no snapshot of the database is
// held, which would keep the log from starting over.
const (
	rowsPerPage    = 2000
	recordsPerPage = 100 // they can be large
)

// Identities implements [collector.Store].
func (s *Store) Identities(ctx context.Context) iter.Seq2[collector.Identity, error] {
	return pages(ctx, s, rowsPerPage, scanIdentity, func(last *collector.Identity) (string, []any) {
		after := []byte{}
		if last != nil {
			after = last.Key[:]
		}
		return "SELECT key, app, num, sum FROM identity WHERE key > ? ORDER BY key LIMIT ?", []any{after}
	})
}

// Installations implements [collector.Store].
func (s *Store) Installations(ctx context.Context) iter.Seq2[collector.Installation, error] {
	scan := func(rows *sql.Rows) (row collector.Installation, err error) {
		var id int64
		if err = rows.Scan(&id, &row.State); err == nil {
			row.App, row.Num = rowsum.AtPlace(id)
			row.State, err = unsealState(id, row.State)
		}
		return row, err
	}
	return pages(ctx, s, rowsPerPage, scan, func(last *collector.Installation) (string, []any) {
		after := int64(-1)
		if last != nil {
			after = rowsum.Place(last.App, last.Num)
		}
		return "SELECT id, state FROM installation WHERE id > ? ORDER BY id LIMIT ?", []any{after}
	})
}

// Journal implements [collector.Store].
func (s *Store) Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error] {
	scan := func(rows *sql.Rows) (row collector.JournalEntry, err error) {
		if err = rows.Scan(&row.Number, &row.Data); err == nil {
			row.Data, err = unseal(row.Data, "an entry of the journal", rowsum.Journal)
		}
		return row, err
	}
	return pages(ctx, s, recordsPerPage, scan, func(last *collector.JournalEntry) (string, []any) {
		var after int64
		if last != nil {
			after = last.Number
		}
		return "SELECT number, data FROM journal WHERE number > ? ORDER BY number LIMIT ?", []any{after}
	})
}

// Records implements [collector.Store].
func (s *Store) Records(ctx context.Context, kind string, app collector.AppNum, from, to collector.Day) iter.Seq2[collector.Record, error] {
	return pages(ctx, s, recordsPerPage, scanRecord(kind, app), func(last *collector.Record) (string, []any) {
		if last == nil {
			return `SELECT day, name, data FROM record
				WHERE kind = ? AND app = ? AND day BETWEEN ? AND ? ORDER BY day, name LIMIT ?`,
				[]any{kind, int64(app), int64(from), int64(to)}
		}
		return `SELECT day, name, data FROM record
			WHERE kind = ? AND app = ? AND (day, name) > (?, ?) AND day <= ? ORDER BY day, name LIMIT ?`,
			[]any{kind, int64(app), int64(last.Day), last.Name, int64(to)}
	})
}

// RecordsOfDay implements [collector.Store].
func (s *Store) RecordsOfDay(ctx context.Context, kind string, app collector.AppNum, day collector.Day, first, last string) iter.Seq2[collector.Record, error] {
	return pages(ctx, s, recordsPerPage, scanRecord(kind, app), func(before *collector.Record) (string, []any) {
		if before == nil {
			return "SELECT day, name, data FROM record WHERE kind = ? AND app = ? AND day = ? AND name BETWEEN ? AND ? ORDER BY name LIMIT ?",
				[]any{kind, int64(app), int64(day), first, last}
		}
		return "SELECT day, name, data FROM record WHERE kind = ? AND app = ? AND day = ? AND name > ? AND name <= ? ORDER BY name LIMIT ?",
			[]any{kind, int64(app), int64(day), before.Name, last}
	})
}

// scanRecord scans a record of a kind and app.
func scanRecord(kind string, app collector.AppNum) func(*sql.Rows) (collector.Record, error) {
	return func(rows *sql.Rows) (r collector.Record, err error) {
		r.Kind, r.App = kind, app
		if err = rows.Scan(&r.Day, &r.Name, &r.Data); err == nil {
			r.Data, err = unsealRecord(r.RecordKey, r.Data)
		}
		return r, err
	}
}

// AllRecords yields the records of all kinds, apps, and days.
func (s *Store) AllRecords(ctx context.Context) iter.Seq2[collector.Record, error] {
	scan := func(rows *sql.Rows) (r collector.Record, err error) {
		if err = rows.Scan(&r.Kind, &r.App, &r.Day, &r.Name, &r.Data); err == nil {
			r.Data, err = unsealRecord(r.RecordKey, r.Data)
		}
		return r, err
	}
	return pages(ctx, s, recordsPerPage, scan, func(last *collector.Record) (string, []any) {
		if last == nil {
			return "SELECT kind, app, day, name, data FROM record ORDER BY kind, app, day, name LIMIT ?", nil
		}
		return `SELECT kind, app, day, name, data FROM record
			WHERE (kind, app, day, name) > (?, ?, ?, ?) ORDER BY kind, app, day, name LIMIT ?`,
			[]any{last.Kind, int64(last.App), int64(last.Day), last.Name}
	})
}

// Rows returns the number of rows.
func (s *Store) Rows(ctx context.Context) (n int64, err error) {
	err = s.reads.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM identity) + (SELECT count(*) FROM installation)
		+ (SELECT count(*) FROM record) + (SELECT count(*) FROM journal)`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the rows: %w", explain(ctx, err))
	}
	return n, nil
}

// pages yields the rows of page after page, up to one that is not full. Next
// returns the query for the page after the last row, and its parameters but the
// last one, the limit.
func pages[T any](ctx context.Context, s *Store, limit int, scan func(*sql.Rows) (T, error),
	next func(last *T) (text string, args []any)) iter.Seq2[T, error] {
	return paging.Rows(limit, func(last *T) ([]T, error) {
		text, args := next(last)
		found, err := s.reads.QueryContext(ctx, text, append(args, int64(limit))...)
		return collect(ctx, found, err, scan)
	})
}

// collect scans all rows of a query that returned rows and err.
func collect[T any](ctx context.Context, rows *sql.Rows, err error, scan func(*sql.Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, explain(ctx, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, damaged(err)
		}
		all = append(all, row)
	}
	return all, explain(ctx, rows.Err())
}

// damaged returns the error of a row that cannot be scanned: it has other types
// than were written.
func damaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

func scanIdentity(rows *sql.Rows) (row collector.Identity, err error) {
	var key sql.RawBytes
	var sum int64
	if err := rows.Scan(&key, &row.App, &row.Num, &sum); err != nil {
		return row, err
	}
	if copy(row.Key[:], key) != len(row.Key) || len(key) != len(row.Key) || sum != int64(rowsum.Identity(row).Value()) {
		return row, fmt.Errorf("%w: an identity has a wrong checksum", ErrDamaged)
	}
	return row, nil
}
