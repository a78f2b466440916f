package sqlite

import (
	"context"
	"database/sql"

	sqlite3 "modernc.org/sqlite/lib"
)

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

// preparedWriter returns the connection for writing with its statements. The
// caller holds mu.
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
		{&w.putIdentity, `INSERT INTO identity (key, app, num) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET app = excluded.app, num = excluded.num`},
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
