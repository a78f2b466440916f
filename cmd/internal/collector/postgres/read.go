package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/paging"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

// A reader reads from the tables. It is part of both [DB] and [Store].
type reader struct{ pool *pgxpool.Pool }

// Lookup implements [collector.Store].
func (r *reader) Lookup(ctx context.Context, keys []collector.Key) ([]collector.Identity, error) {
	if len(keys) == 0 {
		return nil, ctx.Err()
	}
	m := &builder{}
	for m.rows = range keys {
		m.key(0, keys[m.rows])
	}
	found, err := collect(ctx, r, scanIdentity, "SELECT key, place, sum FROM rollcall_identity WHERE key = ANY ($1::uuid[])",
		"{"+string(m.columns[0])+"}")
	if err != nil {
		return nil, fmt.Errorf("look up: %w", err)
	}
	return found, nil
}

// Installation implements [collector.Store].
func (r *reader) Installation(ctx context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error) {
	row := collector.Installation{App: app, Num: num}
	place := rowsum.Place(app, num)
	found, err := ignoreNoRows(r.pool.QueryRow(ctx, "SELECT state FROM rollcall_installation WHERE place = $1", place).Scan(&row.State))
	if found {
		row.State, err = unsealState(place, row.State)
	}
	if err != nil || !found {
		return collector.Installation{}, false, wrap("read installation", explain(ctx, err))
	}
	return row, true, nil
}

// Record implements [collector.Store].
func (r *reader) Record(ctx context.Context, key collector.RecordKey) (data []byte, ok bool, err error) {
	found, err := ignoreNoRows(r.pool.QueryRow(ctx, "SELECT data FROM rollcall_record WHERE kind = $1 AND app = $2 AND day = $3 AND name = $4",
		[]byte(key.Kind), int32(key.App), int32(key.Day), []byte(key.Name)).Scan(&data))
	if found {
		data, err = unsealRecord(key, data)
	}
	if err != nil || !found {
		return nil, false, wrap("read record", explain(ctx, err))
	}
	return data, true, nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func unsealRecord(key collector.RecordKey, data []byte) ([]byte, error) {
	return unseal(data, "a record", func(value []byte) rowsum.Sum { return rowsum.Record(key, value) })
}

func unsealState(place int64, state []byte) ([]byte, error) {
	return unseal(state, "an installation", func(value []byte) rowsum.Sum { return rowsum.Installation(place, value) })
}

func unseal(sealed []byte, what string, sum func(value []byte) rowsum.Sum) ([]byte, error) {
	value, ok := rowsum.Unseal(sealed, sum)
	if !ok {
		return nil, fmt.Errorf("%w: %s has a wrong checksum", ErrDamaged, what)
	}
	return value, nil
}

func scanIdentity(rows pgx.Rows) (row collector.Identity, err error) {
	var place int64
	var sum int32
	if err = rows.Scan((*[16]byte)(&row.Key), &place, &sum); err != nil {
		return row, err
	}
	row.App, row.Num = rowsum.AtPlace(place)
	if uint32(sum) != rowsum.Identity(row).Value() {
		return row, fmt.Errorf("%w: an identity has a wrong checksum", ErrDamaged)
	}
	return row, nil
}

// Identities implements [collector.Store]. It reads the table from its beginning to
// its end, because a scan in the order of the keys, which are random, would read
// each page again and again.
func (r *reader) Identities(ctx context.Context) iter.Seq2[collector.Identity, error] {
	return stream(ctx, r.pool, scanIdentity, "SELECT key, place, sum FROM rollcall_identity")
}

// The number of rows of a page. Between two pages no transaction is open, which
// would keep the server from removing old versions of rows.
const (
	rowsPerPage    = 10_000
	recordsPerPage = 100 // they can be large
)

// Installations implements [collector.Store].
func (r *reader) Installations(ctx context.Context) iter.Seq2[collector.Installation, error] {
	scan := func(rows pgx.Rows) (row collector.Installation, err error) {
		var place int64
		if err = rows.Scan(&place, &row.State); err == nil {
			row.App, row.Num = rowsum.AtPlace(place)
			row.State, err = unsealState(place, row.State)
		}
		return row, err
	}
	return pages(ctx, r, rowsPerPage, scan, func(last *collector.Installation) (string, []any) {
		after := int64(-1)
		if last != nil {
			after = rowsum.Place(last.App, last.Num)
		}
		return "SELECT place, state FROM rollcall_installation WHERE place > $1 ORDER BY place LIMIT $2", []any{after}
	})
}

// Journal implements [collector.Store].
func (r *reader) Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error] {
	scan := func(rows pgx.Rows) (row collector.JournalEntry, err error) {
		if err = rows.Scan(&row.Number, &row.Data); err == nil {
			row.Data, err = unseal(row.Data, "an entry of the journal", rowsum.Journal)
		}
		return row, err
	}
	return pages(ctx, r, recordsPerPage, scan, func(last *collector.JournalEntry) (string, []any) {
		var after int64
		if last != nil {
			after = last.Number
		}
		return "SELECT number, data FROM rollcall_journal WHERE number > $1 ORDER BY number LIMIT $2", []any{after}
	})
}

// Records implements [collector.Store].
func (r *reader) Records(ctx context.Context, kind string, app collector.AppNum, from, to collector.Day) iter.Seq2[collector.Record, error] {
	return pages(ctx, r, recordsPerPage, scanRecord(kind, app), func(last *collector.Record) (string, []any) {
		if last == nil {
			return `SELECT day, name, data FROM rollcall_record
				WHERE kind = $1 AND app = $2 AND day BETWEEN $3 AND $4 ORDER BY day, name LIMIT $5`,
				[]any{[]byte(kind), int32(app), int32(from), int32(to)}
		}
		return `SELECT day, name, data FROM rollcall_record
			WHERE kind = $1 AND app = $2 AND (day, name) > ($3, $4) AND day <= $5 ORDER BY day, name LIMIT $6`,
			[]any{[]byte(kind), int32(app), int32(last.Day), []byte(last.Name), int32(to)}
	})
}

// RecordsOfDay implements [collector.Store].
func (r *reader) RecordsOfDay(ctx context.Context, kind string, app collector.AppNum, day collector.Day, first, last string) iter.Seq2[collector.Record, error] {
	return pages(ctx, r, recordsPerPage, scanRecord(kind, app), func(before *collector.Record) (string, []any) {
		if before == nil {
			return `SELECT day, name, data FROM rollcall_record
				WHERE kind = $1 AND app = $2 AND day = $3 AND name BETWEEN $4 AND $5 ORDER BY name LIMIT $6`,
				[]any{[]byte(kind), int32(app), int32(day), []byte(first), []byte(last)}
		}
		return `SELECT day, name, data FROM rollcall_record
			WHERE kind = $1 AND app = $2 AND day = $3 AND name > $4 AND name <= $5 ORDER BY name LIMIT $6`,
			[]any{[]byte(kind), int32(app), int32(day), []byte(before.Name), []byte(last)}
	})
}

// scanRecord scans a record of a kind and app.
func scanRecord(kind string, app collector.AppNum) func(pgx.Rows) (collector.Record, error) {
	return func(rows pgx.Rows) (row collector.Record, err error) {
		var name []byte
		row.Kind, row.App = kind, app
		if err = rows.Scan((*int32)(&row.Day), &name, &row.Data); err == nil {
			row.Name = string(name)
			row.Data, err = unsealRecord(row.RecordKey, row.Data)
		}
		return row, err
	}
}

// pages yields the rows of page after page, up to one that is not full. Next
// returns the query for the page after the last row, and its parameters but the
// last one, the limit.
func pages[T any](ctx context.Context, r *reader, limit int, scan func(pgx.Rows) (T, error),
	next func(last *T) (text string, args []any)) iter.Seq2[T, error] {
	return paging.Rows(limit, func(last *T) ([]T, error) {
		text, args := next(last)
		return collect(ctx, r, scan, text, append(args, int64(limit))...)
	})
}

// collect returns all rows of a query.
func collect[T any](ctx context.Context, r *reader, scan func(pgx.Rows) (T, error), text string, args ...any) ([]T, error) {
	rows, err := r.pool.Query(ctx, text, args...)
	if err != nil {
		return nil, explain(ctx, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, explain(ctx, err)
		}
		all = append(all, row)
	}
	return all, explain(ctx, rows.Err())
}
