package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A writer is the connection that writes, with its statements.
type writer struct {
	conn                              *sql.Conn
	begin, commit, rollback           *sql.Stmt
	trim, enter                       *sql.Stmt
	putIdentity, dropIdentity         *sql.Stmt
	putInstallation, dropInstallation *sql.Stmt
	putRecord, dropRecord             *sql.Stmt
	putPage                           *sql.Stmt

	statements []*sql.Stmt // all of these
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
	s.write = &writer{conn: conn}
	return s.write, nil
}

// prepare makes the statements, if that is not done. To back up a database of an older version they are not needed, and
// could not be made.
func (w *writer) prepare(ctx context.Context) error {
	if w.statements != nil {
		return nil
	}
	var all []*sql.Stmt
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.trim, "DELETE FROM journal WHERE number <= ?"},
		{&w.enter, "INSERT INTO journal (data) VALUES (?)"},
		{&w.putIdentity, `INSERT INTO identity (key, app, num) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET app = excluded.app, num = excluded.num`},
		{&w.dropIdentity, "DELETE FROM identity WHERE key = ?"},
		{&w.putInstallation, `INSERT INTO installation (id, state) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET state = excluded.state`},
		{&w.dropInstallation, "DELETE FROM installation WHERE id = ?"},
		{&w.putRecord, `INSERT INTO record (kind, app, day, name, data) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET data = excluded.data`},
		{&w.putPage, "UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?"},
		{&w.dropRecord, "DELETE FROM record WHERE kind = ? AND app = ? AND day = ? AND name = ?"},
	} {
		stmt, err := w.conn.PrepareContext(ctx, p.text)
		if err != nil {
			closeAll(all)
			return err
		}
		*p.stmt = stmt
		all = append(all, stmt)
	}
	w.statements = all
	return nil
}

// closeAll closes statements of a connection, which does not do it by itself and stays open in SQLite until it is done.
func closeAll(statements []*sql.Stmt) {
	for _, stmt := range statements {
		stmt.Close()
	}
}

// dropWriter gives the connection back. The lock is held.
func (s *Store) dropWriter() error {
	if s.write == nil {
		return nil
	}
	w := s.write
	s.write = nil
	closeAll(w.statements)
	return w.conn.Close()
}

var errReadOnly = errors.New("database is open for reading only")

// Commit implements [collector.Store]. With Scrub, the log is emptied before the batch, and afterwards the file is
// wiped and the log emptied again. Should the latter fail although the former did not, a batch that wrote something is
// reported as written, and the rest is done in the background as soon as that is possible.
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
		if journal, err = s.transact(inner, b); err != nil {
			return 0, fmt.Errorf("commit: %w", explain(inner, err))
		}
		s.log2file.wrote(weight)
	}
	if b.Scrub {
		if err := s.scrub(ctx); err != nil {
			if weight == 0 {
				return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
			}
			s.log2file.scrubLater(err)
		}
	}
	return journal, nil
}

// transact runs the transaction on the connection that writes. The lock is held.
func (s *Store) transact(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	w, err := s.writer(ctx)
	if err != nil {
		return 0, err
	}
	if err := w.prepare(ctx); err != nil {
		s.dropWriter()
		return 0, err
	}
	if journal, err = w.write(ctx, b); err != nil && !w.idle(ctx) {
		s.dropWriter()
	}
	return journal, err
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

// idle ends what is left of a transaction that failed, and tells whether the connection is surely free of it.
func (w *writer) idle(ctx context.Context) bool {
	_, err := w.rollback.ExecContext(ctx)
	if err == nil {
		return true
	}
	// SQLite has rolled back by itself after most errors; then there is no transaction to end, which is a plain error.
	code, ok := codeOf(err)
	return ok && code == sqlite3.SQLITE_ERROR
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
