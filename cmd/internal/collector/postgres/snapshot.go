package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

// A snapshot reads what the database held at one moment.
type snapshot struct{ tx pgx.Tx }

// snapshot calls use with a snapshot.
func (r *reader) snapshot(ctx context.Context, use func(*snapshot) error) error {
	return pgx.BeginTxFunc(ctx, r.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return use(&snapshot{tx})
	})
}

func (s *snapshot) Identities(ctx context.Context) iter.Seq2[collector.Identity, error] {
	return stream(ctx, s.tx, scanIdentity, "SELECT key, place, sum FROM rollcall_identity")
}

func (s *snapshot) Installations(ctx context.Context) iter.Seq2[collector.Installation, error] {
	return stream(ctx, s.tx, func(rows pgx.Rows) (row collector.Installation, err error) {
		var place int64
		if err = rows.Scan(&place, &row.State); err == nil {
			row.App, row.Num = rowsum.AtPlace(place)
			row.State, err = unsealState(place, row.State)
		}
		return row, err
	}, "SELECT place, state FROM rollcall_installation ORDER BY place")
}

func (s *snapshot) Journal(ctx context.Context) iter.Seq2[collector.JournalEntry, error] {
	return stream(ctx, s.tx, func(rows pgx.Rows) (row collector.JournalEntry, err error) {
		if err = rows.Scan(&row.Number, &row.Data); err == nil {
			row.Data, err = unseal(row.Data, "an entry of the journal", rowsum.Journal)
		}
		return row, err
	}, "SELECT number, data FROM rollcall_journal ORDER BY number")
}

// AllRecords yields the records of all kinds.
func (s *snapshot) AllRecords(ctx context.Context) iter.Seq2[collector.Record, error] {
	return stream(ctx, s.tx, func(rows pgx.Rows) (row collector.Record, err error) {
		var kind, name []byte
		var app int32
		if err = rows.Scan(&kind, &app, (*int32)(&row.Day), &name, &row.Data); err == nil {
			row.Kind, row.App, row.Name = string(kind), collector.AppNum(app), string(name)
			row.Data, err = unsealRecord(row.RecordKey, row.Data)
		}
		return row, err
	}, "SELECT kind, app, day, name, data FROM rollcall_record")
}

// A querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// stream yields the rows of one query as they come.
func stream[T any](ctx context.Context, q querier, scan func(pgx.Rows) (T, error), text string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		rows, err := q.Query(running, text)
		if err != nil {
			yield(zero, wrap("read", explain(ctx, err)))
			return
		}
		defer rows.Close()
		defer cancel() // first, or the connection would read the rest
		for rows.Next() {
			row, err := scan(rows)
			if err != nil {
				yield(zero, wrap("read", explain(ctx, err)))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(zero, wrap("read", explain(ctx, err)))
		}
	}
}

func readAll[T any](rows iter.Seq2[T, error]) error {
	for _, err := range rows {
		if err != nil {
			return err
		}
	}
	return nil
}
