package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/transfer"
)

// ErrNotEmpty means that the database already holds the data of a collector.
var ErrNotEmpty = errors.New("database already has the data of a collector")

// Load fills the store from a source, in one transaction: after an error it holds
// what it held before, unless the error is [collector.ErrLost]. It refuses a store
// that is not empty ([ErrNotEmpty]), or replaces its content. Progress may be nil.
// The caller keeps the lease meanwhile.
func (s *Store) Load(ctx context.Context, from transfer.Source, replace bool, progress func(rows int)) (transfer.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.load(ctx, from, replace, progress)
	if err != nil {
		return d, fmt.Errorf("load: %w", err)
	}
	return d, nil
}

func (s *Store) load(ctx context.Context, from transfer.Source, replace bool, progress func(rows int)) (d transfer.Digest, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.db.config.ConnConfig.Copy())
	if err != nil {
		return d, explain(ctx, err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // which rolls back, unless it was hijacked
	if _, err := conn.Exec(ctx, "BEGIN"); err != nil {
		return d, explain(ctx, err)
	}
	if s.db.local {
		if _, err := conn.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
			return d, explain(ctx, err)
		}
	}
	if err := makeEmpty(ctx, conn, replace); err != nil {
		return d, explain(ctx, err)
	}
	var journal int64
	d, err = transfer.Copy(ctx, from, func(b *collector.Batch) error {
		if len(b.Journal) > 0 {
			journal++
		}
		return explain(ctx, copyBatch(ctx, conn, b, s.seq+journal))
	}, progress)
	if err != nil {
		return d, err
	}
	h, err := conn.PgConn().Hijack()
	if err != nil {
		return d, err
	}
	w := &wire{h.Conn, h.Frontend}
	defer w.close()
	next := s.seq + journal + 1
	r, err := w.exec(append(query(), s.fence(next, false)+";\nCOMMIT"...), time.Now().Add(answerLimit))
	if err == nil && r.err == nil && r.warning == "" && !r.inTx {
		s.seq = next
		return d, nil
	}
	switch {
	case err != nil:
	case r.err != nil && r.err.Code == "22012":
		s.lose()
		return d, fmt.Errorf("%w: another process leads", collector.ErrLost)
	case r.err != nil:
		return d, explain(ctx, r.err)
	default:
		err = errors.New(r.warning)
	}
	return d, s.doubt(err, next)
}

// makeEmpty refuses tables that have rows, or empties them.
func makeEmpty(ctx context.Context, conn *pgx.Conn, replace bool) error {
	if replace {
		_, err := conn.Exec(ctx, "TRUNCATE rollcall_identity, rollcall_installation, rollcall_record, rollcall_journal")
		return err
	}
	var full bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM rollcall_identity) OR EXISTS (SELECT FROM rollcall_installation)
		OR EXISTS (SELECT FROM rollcall_record) OR EXISTS (SELECT FROM rollcall_journal)`).Scan(&full)
	if err == nil && full {
		return ErrNotEmpty
	}
	return err
}

// copyBatch inserts rows that do not exist.
func copyBatch(ctx context.Context, conn *pgx.Conn, b *collector.Batch, number int64) error {
	into := func(table string, columns []string, n int, row func(i int) []any) error {
		if n == 0 {
			return nil
		}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromSlice(n, func(i int) ([]any, error) { return row(i), nil }))
		return err
	}
	var entries [][]byte
	if len(b.Journal) > 0 {
		entries = append(entries, b.Journal)
	}
	return errors.Join(
		into("rollcall_record", []string{"kind", "app", "day", "name", "data"}, len(b.Records), func(i int) []any {
			r := b.Records[i]
			return []any{[]byte(r.Kind), int32(r.App), int32(r.Day), []byte(r.Name), rowsum.Seal(r.Data, rowsum.Record(r.RecordKey, r.Data))}
		}),
		into("rollcall_identity", []string{"key", "place", "sum"}, len(b.PutIdentities), func(i int) []any {
			r := b.PutIdentities[i]
			return []any{[16]byte(r.Key), rowsum.Place(r.App, r.Num), int32(rowsum.Identity(r).Value())}
		}),
		into("rollcall_installation", []string{"place", "state"}, len(b.PutInstallations), func(i int) []any {
			r := b.PutInstallations[i]
			place := rowsum.Place(r.App, r.Num)
			return []any{place, rowsum.Seal(r.State, rowsum.Installation(place, r.State))}
		}),
		into("rollcall_journal", []string{"number", "data"}, len(entries), func(i int) []any {
			return []any{number, rowsum.Seal(entries[i], rowsum.Journal(entries[i]))}
		}),
	)
}

// Snapshot calls use with everything that the database holds at one moment.
func (r *reader) Snapshot(ctx context.Context, use func(transfer.Source) error) error {
	return r.snapshot(ctx, func(s *snapshot) error { return use(s) })
}

// Rows returns the number of rows.
func (r *reader) Rows(ctx context.Context) (n int64, err error) {
	err = r.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM rollcall_identity) + (SELECT count(*) FROM rollcall_installation)
		+ (SELECT count(*) FROM rollcall_record) + (SELECT count(*) FROM rollcall_journal)`).Scan(&n)
	return n, wrap("count the rows", explain(ctx, err))
}
