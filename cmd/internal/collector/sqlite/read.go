package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const lookupKeys = 64

func lookupSQL(n int) string {
	return "SELECT key, app, num FROM identity WHERE key IN (?" + strings.Repeat(", ?", n-1) + ")"
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
	err := s.reads.QueryRowContext(ctx, "SELECT state FROM installation WHERE id = ?", rowID(app, num)).Scan(&row.State)
	if errors.Is(err, sql.ErrNoRows) {
		return collector.Installation{}, false, nil
	} else if err != nil {
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
	} else if err != nil {
		return nil, false, fmt.Errorf("read record: %w", explain(ctx, err))
	}
	return notNil(data), true, nil
}

// notNil makes an empty value distinct from a missing one, which is nil.
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
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
		return "SELECT key, app, num FROM identity WHERE key > ? ORDER BY key LIMIT ?", []any{after}
	})
}

// Installations implements [collector.Store].
func (s *Store) Installations(ctx context.Context) iter.Seq2[collector.Installation, error] {
	scan := func(rows *sql.Rows) (row collector.Installation, err error) {
		var id int64
		err = rows.Scan(&id, &row.State)
		row.App, row.Num = collector.AppNum(id>>32), collector.Num(id)
		return row, err
	}
	return pages(ctx, s, rowsPerPage, scan, func(last *collector.Installation) (string, []any) {
		after := int64(-1)
		if last != nil {
			after = rowID(last.App, last.Num)
		}
		return "SELECT id, state FROM installation WHERE id > ? ORDER BY id LIMIT ?", []any{after}
	})
}

// Journal implements [collector.Store].
func (s *Store) Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error] {
	scan := func(rows *sql.Rows) (row collector.JournalEntry, err error) {
		return row, rows.Scan(&row.Number, &row.Data)
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
	scan := func(rows *sql.Rows) (r collector.Record, err error) {
		r.Kind, r.App = kind, app
		err = rows.Scan(&r.Day, &r.Name, &r.Data)
		r.Data = notNil(r.Data)
		return r, err
	}
	return pages(ctx, s, recordsPerPage, scan, func(last *collector.Record) (string, []any) {
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

// pages yields the rows of page after page, up to one that is not full. Next
// returns the query for the page after the last row, and its parameters but the
// last one, the limit.
func pages[T any](ctx context.Context, s *Store, limit int, scan func(*sql.Rows) (T, error),
	next func(last *T) (text string, args []any)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var last *T
		for {
			text, args := next(last)
			found, err := s.reads.QueryContext(ctx, text, append(args, int64(limit))...)
			rows, err := collect(ctx, found, err, scan)
			if err != nil {
				var zero T
				yield(zero, fmt.Errorf("read: %w", err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < limit {
				return
			}
			last = &rows[len(rows)-1]
		}
	}
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
			return nil, err
		}
		all = append(all, row)
	}
	return all, explain(ctx, rows.Err())
}

func scanIdentity(rows *sql.Rows) (row collector.Identity, err error) {
	var key sql.RawBytes
	if err := rows.Scan(&key, &row.App, &row.Num); err != nil {
		return row, err
	}
	if copy(row.Key[:], key) != len(row.Key) || len(key) != len(row.Key) {
		return row, fmt.Errorf("identity has a key of %d bytes", len(key))
	}
	return row, nil
}
