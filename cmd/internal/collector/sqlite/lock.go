package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	sqlite3 "modernc.org/sqlite/lib"
)

// lockSuffix names the file that is locked while a store is open. The file is
// empty and is never removed.
const lockSuffix = ".lock"

// A fileLock is the right to write to a database file. It is the lock of an
// SQLite database beside it, which works within a process and between processes,
// on every system and file system that the database itself works on, and ends
// with the process. The database's own lock would shut out our other
// connections.
type fileLock struct {
	db   *sql.DB
	conn *sql.Conn
}

// takeLock locks a database file, or returns ErrInUse at once.
func takeLock(ctx context.Context, file string) (*fileLock, error) {
	name := file + lockSuffix
	if err := createFile(name); err != nil {
		return nil, fmt.Errorf("create lock file: %w", err)
	}
	db, err := sql.Open("sqlite", uri(name)+"?_pragma=busy_timeout(0)&_pragma=journal_mode(off)")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err == nil {
		if _, err = conn.ExecContext(ctx, "BEGIN EXCLUSIVE"); err == nil {
			return &fileLock{db, conn}, nil
		}
		conn.Close()
	}
	db.Close()
	if code, ok := codeOf(err); ok && code&0xff == sqlite3.SQLITE_BUSY {
		return nil, ErrInUse
	}
	return nil, fmt.Errorf("lock file %s: %w", name, err)
}

func (l *fileLock) release() error { return errors.Join(l.conn.Close(), l.db.Close()) }
