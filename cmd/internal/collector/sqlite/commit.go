package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/rowsum"
)

// Commit implements [collector.Store]. With Scrub, it empties the log before the
// batch, and afterwards wipes the file and empties the log again. If the second
// part fails, a batch that wrote something is reported as written, and the
// scrub continues in the background as soon as possible.
func (s *Store) Commit(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := b.Validate(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Scrub {
		// The file grows now, so that the rest needs less space on the disk.
		if err := s.checkpoints.empty(ctx); err != nil {
			return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
		}
	}
	pages := pagesOf(b)
	if pages > 0 {
		if err := s.makeRoom(ctx, pages, b.Scrub); err != nil {
			return 0, fmt.Errorf("commit: %w", explain(ctx, err))
		}
		// Without the caller's context: interrupting a statement would roll
		// everything back, and a context that can end costs a goroutine for each
		// statement. The wait is for at most one lock of another process.
		inner := context.WithoutCancel(ctx)
		if journal, err = s.transact(inner, b); err != nil {
			return 0, fmt.Errorf("commit: %w", explain(inner, err))
		}
		s.checkpoints.wrote(pages)
	}
	if b.Scrub {
		if err := s.scrub(ctx); err != nil {
			if pages == 0 {
				return 0, fmt.Errorf("scrub: %w", explain(ctx, err))
			}
			s.checkpoints.scrubLater(err)
		}
	}
	return journal, nil
}

// pagesOf estimates how many pages a batch changes; 0 means that it is empty.
func pagesOf(b *collector.Batch) int {
	pages := len(b.PutIdentities) + len(b.PutInstallations) + len(b.DropIdentities) + len(b.DropInstallations)
	if b.TrimJournal > 0 {
		pages++
	}
	if len(b.Journal) > 0 {
		pages += 1 + len(b.Journal)/pageSize
	}
	for _, row := range b.Records {
		pages += 1 + len(row.Data)/pageSize
	}
	return pages
}

// transact writes the batch in one transaction. The caller holds mu.
func (s *Store) transact(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	w, err := s.preparedWriter(ctx)
	if err != nil {
		return 0, err
	}
	if _, err = w.begin.ExecContext(ctx); err == nil {
		if journal, err = w.apply(ctx, b); err == nil {
			_, err = w.commit.ExecContext(ctx)
		}
	}
	if err != nil {
		s.dropUnlessIdle(ctx, w)
	}
	return journal, err
}

// apply writes the batch in its order. It sorts the rows to put in the order of
// their trees, so that it visits each page once.
func (w *writer) apply(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	exec := func(stmt *sql.Stmt, args ...any) (result sql.Result) { // does nothing after an error
		if err == nil {
			result, err = stmt.ExecContext(ctx, args...)
		}
		return result
	}
	if b.TrimJournal > 0 {
		exec(w.trimJournal, b.TrimJournal)
	}
	if len(b.Journal) > 0 {
		if result := exec(w.addJournal, rowsum.Seal(b.Journal, rowsum.Journal(b.Journal))); err == nil {
			journal, err = result.LastInsertId()
		}
	}
	byKey := func(a, b collector.Identity) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	for _, row := range sorted(b.PutIdentities, byKey) {
		exec(w.putIdentity, row.Key[:], int64(row.App), int64(row.Num), int64(rowsum.Identity(row).Value()))
	}
	byID := func(a, b collector.Installation) int {
		return cmp.Compare(rowsum.Place(a.App, a.Num), rowsum.Place(b.App, b.Num))
	}
	for _, row := range sorted(b.PutInstallations, byID) {
		id := rowsum.Place(row.App, row.Num)
		exec(w.putInstallation, id, rowsum.Seal(row.State, rowsum.Installation(id, row.State)))
	}
	for _, key := range b.DropIdentities {
		exec(w.dropIdentity, key[:])
	}
	for _, row := range b.DropInstallations {
		exec(w.dropInstallation, rowsum.Place(row.App, row.Num))
	}
	for _, row := range b.Records {
		if row.Data == nil {
			exec(w.dropRecord, row.Kind, int64(row.App), int64(row.Day), row.Name)
		} else {
			exec(w.putRecord, row.Kind, int64(row.App), int64(row.Day), row.Name, rowsum.Seal(row.Data, rowsum.Record(row.RecordKey, row.Data)))
		}
	}
	return journal, err
}

// sorted returns the rows in order. Rows with the same key keep their order,
// because the last one wins.
func sorted[T any](rows []T, compare func(a, b T) int) []T {
	if slices.IsSortedFunc(rows, compare) {
		return rows
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, compare)
	return rows
}

// A writer is the connection for writing, with its statements.
type writer struct {
	conn                              *sql.Conn
	begin, commit, rollback           *sql.Stmt
	trimJournal, addJournal           *sql.Stmt
	putIdentity, dropIdentity         *sql.Stmt
	putInstallation, dropInstallation *sql.Stmt
	putRecord, dropRecord             *sql.Stmt
	putPage                           *sql.Stmt

	statements []*sql.Stmt // all of them
}

// writer returns the connection for writing. The caller holds mu.
func (s *Store) writer(ctx context.Context) (*writer, error) {
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

// preparedWriter is writer, with its statements. The caller holds mu.
func (s *Store) preparedWriter(ctx context.Context) (*writer, error) {
	w, err := s.writer(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.prepare(ctx); err != nil {
		s.dropWriter()
		return nil, err
	}
	return w, nil
}

// dropWriter closes the connection for writing. The caller holds mu.
func (s *Store) dropWriter() error {
	if s.write == nil {
		return nil
	}
	w := s.write
	s.write = nil
	w.closeStatements()
	return w.conn.Close()
}

// dropUnlessIdle rolls back a transaction that failed, and closes the connection
// for writing unless it is free of it for certain. The caller holds mu.
func (s *Store) dropUnlessIdle(ctx context.Context, w *writer) {
	// SQLite itself rolls back after most errors. Then there is no transaction
	// left, which is a plain error.
	_, err := w.rollback.ExecContext(ctx)
	if code, _ := codeOf(err); err != nil && code != sqlite3.SQLITE_ERROR {
		s.dropWriter()
	}
}

// prepare prepares the statements once. The backup of an older version needs
// none, and they could not be prepared there.
func (w *writer) prepare(ctx context.Context) error {
	if w.statements != nil {
		return nil
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.trimJournal, "DELETE FROM journal WHERE number <= ?"},
		{&w.addJournal, "INSERT INTO journal (data) VALUES (?)"},
		{&w.putIdentity, `INSERT INTO identity (key, app, num, sum) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET app = excluded.app, num = excluded.num, sum = excluded.sum`},
		{&w.dropIdentity, "DELETE FROM identity WHERE key = ?"},
		{&w.putInstallation, `INSERT INTO installation (id, state) VALUES (?, ?)
			ON CONFLICT DO UPDATE SET state = excluded.state`},
		{&w.dropInstallation, "DELETE FROM installation WHERE id = ?"},
		{&w.putRecord, `INSERT INTO record (kind, app, day, name, data) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET data = excluded.data`},
		{&w.dropRecord, "DELETE FROM record WHERE kind = ? AND app = ? AND day = ? AND name = ?"},
		{&w.putPage, "UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?"},
	} {
		stmt, err := w.conn.PrepareContext(ctx, p.text)
		if err != nil {
			w.closeStatements()
			return err
		}
		*p.stmt = stmt
		w.statements = append(w.statements, stmt)
	}
	return nil
}

// closeStatements closes the statements. Closing a connection does not, and
// SQLite keeps the connection open until it is done.
func (w *writer) closeStatements() {
	for _, stmt := range w.statements {
		stmt.Close()
	}
	w.statements = nil
}
