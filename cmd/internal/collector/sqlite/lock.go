package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	sqlite3 "modernc.org/sqlite/lib"
)

// lockSuffix names the file that is locked as long as a store is open. It is empty, and stays.
const lockSuffix = ".lock"

// A fileLock is the right to write to a database file. It is the lock of an SQLite database beside it, which works in one
// process and between several, on each system and file system on which the database itself works, and ends with the
// process. The database's own lock cannot be it: held for long, it would shut out our other connections.
type fileLock struct {
	db   *sql.DB
	conn *sql.Conn
}

// takeLock takes the lock of a database file, or fails with ErrInUse at once.
func takeLock(ctx context.Context, file string) (*fileLock, error) {
	name := file + lockSuffix
	if err := createFile(name); err != nil {
		return nil, fmt.Errorf("make lock file: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: name}).EscapedPath()+"?_pragma=busy_timeout(0)&_pragma=journal_mode(off)")
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
