package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/collector"
)

// A writer is the connection that writes, with its statements.
type writer struct {
	conn                              *sql.Conn
	begin, commit, rollback           *sql.Stmt
	trim, enter                       *sql.Stmt
	putIdentity, dropIdentity         *sql.Stmt
	putInstallation, dropInstallation *sql.Stmt
	putRecord, dropRecord             *sql.Stmt
}

// writer gives the connection that writes, and makes it if need be. The lock is held.
func (s *Store) writer(ctx context.Context) (_ *writer, err error) {
	if s.write != nil {
		return s.write, nil
	}
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.trim, "DELETE FROM journal WHERE number <= ?"},
		{&w.enter, "INSERT INTO journal (data) VALUES (?)"},
		{&w.putIdentity, "INSERT INTO identity VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET app = excluded.app, num = excluded.num"},
		{&w.dropIdentity, "DELETE FROM identity WHERE key = ?"},
		{&w.putInstallation, "INSERT INTO installation VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state"},
		{&w.dropInstallation, "DELETE FROM installation WHERE id = ?"},
		{&w.putRecord, "INSERT INTO record VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET data = excluded.data"},
		{&w.dropRecord, "DELETE FROM record WHERE kind = ? AND app = ? AND day = ? AND name = ?"},
	} {
		if *p.stmt, err = conn.PrepareContext(ctx, p.text); err != nil {
			conn.Close()
			return nil, err
		}
	}
	s.write = w
	return w, nil
}

// dropWriter gives the connection back. The lock is held.
func (s *Store) dropWriter() error {
	if s.write == nil {
		return nil
	}
	conn := s.write.conn
	s.write = nil
	return conn.Close() // and with it the statements
}

var errReadOnly = errors.New("database is open for reading only")

// Commit implements [collector.Store]. With Scrub, the log is emptied before and after. Should the second fail although
// the first did not, a batch that wrote something is reported as written, and the log is emptied in the background as
// soon as that is possible.
func (s *Store) Commit(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if s.readOnly {
		return 0, errReadOnly
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for _, row := range b.PutInstallations {
		if len(row.State) == 0 {
			return 0, fmt.Errorf("installation %d of app %d has an empty state", row.Num, row.App)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Scrub {
		// The file has its size now, so that what follows needs less of the disk.
		if err := s.log2file.empty(ctx); err != nil {
			return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
		}
	}
	weight := weigh(b)
	if weight > 0 {
		// Not the caller's context: a statement that is interrupted would roll everything back, and a context that can
		// end costs a goroutine for each statement. All of this waits for at most one lock of another process.
		inner := context.WithoutCancel(ctx)
		w, err := s.writer(inner)
		if err == nil {
			journal, err = w.write(inner, b)
		}
		if err != nil {
			if w != nil && !w.idle(inner) {
				s.dropWriter()
			}
			return 0, fmt.Errorf("commit: %w", explain(inner, err))
		}
		s.log2file.wrote(weight)
	}
	if b.Scrub {
		if err := s.log2file.empty(ctx); err != nil {
			if weight == 0 {
				return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
			}
			s.log2file.emptyLater(err)
		}
	}
	return journal, nil
}

// write runs the transaction.
func (w *writer) write(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return 0, err
	}
	if journal, err = w.apply(ctx, b); err != nil {
		return 0, err
	}
	_, err = w.commit.ExecContext(ctx)
	return journal, err
}

// idle ends what is left of a transaction that failed, and tells whether the connection can be used again.
func (w *writer) idle(ctx context.Context) bool {
	// SQLite has rolled back by itself after most errors; then there is no transaction to end.
	w.rollback.ExecContext(ctx)
	if _, err := w.begin.ExecContext(ctx); err != nil {
		return false
	}
	_, err := w.rollback.ExecContext(ctx)
	return err == nil
}

// apply writes the batch in its order, and what is put in the order of the trees, so that each page is found once.
func (w *writer) apply(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if b.TrimJournal > 0 {
		if _, err := w.trim.ExecContext(ctx, b.TrimJournal); err != nil {
			return 0, err
		}
	}
	if len(b.Journal) > 0 {
		result, err := w.enter.ExecContext(ctx, b.Journal)
		if err != nil {
			return 0, err
		}
		if journal, err = result.LastInsertId(); err != nil {
			return 0, err
		}
	}
	byKey := func(a, b collector.Identity) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	for _, row := range sorted(b.PutIdentities, byKey) {
		if _, err := w.putIdentity.ExecContext(ctx, row.Key[:], int64(row.App), int64(row.Num)); err != nil {
			return 0, err
		}
	}
	byID := func(a, b collector.Installation) int { return cmp.Compare(rowID(a.App, a.Num), rowID(b.App, b.Num)) }
	for _, row := range sorted(b.PutInstallations, byID) {
		if _, err := w.putInstallation.ExecContext(ctx, rowID(row.App, row.Num), row.State); err != nil {
			return 0, err
		}
	}
	for _, key := range b.DropIdentities {
		if _, err := w.dropIdentity.ExecContext(ctx, key[:]); err != nil {
			return 0, err
		}
	}
	for _, row := range b.DropInstallations {
		if _, err := w.dropInstallation.ExecContext(ctx, rowID(row.App, row.Num)); err != nil {
			return 0, err
		}
	}
	for _, row := range b.Records {
		if row.Data == nil {
			_, err = w.dropRecord.ExecContext(ctx, row.Kind, int64(row.App), int64(row.Day), row.Name)
		} else {
			_, err = w.putRecord.ExecContext(ctx, row.Kind, int64(row.App), int64(row.Day), row.Name, row.Data)
		}
		if err != nil {
			return 0, err
		}
	}
	return journal, nil
}

// sorted gives the rows in order. The sort is stable: of rows with the same key the last one has to win.
func sorted[T any](rows []T, compare func(a, b T) int) []T {
	if slices.IsSortedFunc(rows, compare) {
		return rows
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, compare)
	return rows
}

// rowID is the key of an installation's row: those of an app are together, in the order of their numbers.
func rowID(app collector.AppNum, num collector.Num) int64 { return int64(app)<<32 | int64(num) }

// weigh estimates how many pages a batch changes; 0 means that it writes nothing.
func weigh(b *collector.Batch) int {
	weight := len(b.PutIdentities) + len(b.PutInstallations) + len(b.DropIdentities) + len(b.DropInstallations)
	if b.TrimJournal > 0 {
		weight++
	}
	if len(b.Journal) > 0 {
		weight += 1 + len(b.Journal)/pageSize
	}
	for _, row := range b.Records {
		weight += 1 + len(row.Data)/pageSize
	}
	return weight
}
