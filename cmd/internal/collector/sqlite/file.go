package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// The files that SQLite keeps beside the database.
const (
	logSuffix   = "-wal"
	indexSuffix = "-shm"
)

// resolve follows symbolic links. The file itself may be missing.
func resolve(file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// createFile creates an empty file, which is an empty database, to set its mode;
// SQLite gives its other files the same mode. It does not open a file that
// exists: closing it would drop SQLite's locks in this process.
func createFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	durable.Own(f, filepath.Dir(file))
	return errors.Join(f.Close(), durable.SyncDir(filepath.Dir(file)))
}

// checkRegular refuses a directory or device. It leaves the content to SQLite:
// closing the file here would drop the locks of another store in this process.
func checkRegular(file string) error {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrNotStore)
	}
	return err
}

// openDB returns a pool of connections, which it does not open yet.
func openDB(file string, cache int64, busy time.Duration, readOnly bool, connections int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(file, cache, busy, readOnly))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// dsn returns the settings of every connection. A setting that is not part of
// it would apply to one connection of a pool only.
func dsn(file string, cache int64, busy time.Duration, readOnly bool) string {
	q := url.Values{"_pragma": {
		"busy_timeout(" + strconv.FormatInt(busy.Milliseconds(), 10) + ")",
		"cache_size(-" + strconv.FormatInt(max(cache>>10, 1), 10) + ")",
		"temp_store(memory)",
	}, "_txlock": {"immediate"}}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Set("_txlock", "deferred")
	} else {
		q["_pragma"] = append(q["_pragma"],
			"journal_mode(wal)",
			"journal_size_limit("+strconv.Itoa(softPages*pageSize)+")",
			"secure_delete(1)",
			"synchronous(full)",
			"wal_autocheckpoint(0)", // see checkpointer
		)
	}
	return uri(file) + "?" + q.Encode()
}

func uri(file string) string { return "file:" + (&url.URL{Path: file}).EscapedPath() }

// lockSuffix names the file that is locked while a store is open. The file is
// empty and is never removed.
const lockSuffix = ".lock"

// takeLock locks a database file, or returns ErrInUse at once. It locks an SQLite
// database beside the file, which works within a process and between processes,
// on every system and file system that the database itself works on, and ends
// with the process. The database's own lock would shut out our other
// connections.
func takeLock(ctx context.Context, file string) (release func() error, err error) {
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
			return func() error { return errors.Join(conn.Close(), db.Close()) }, nil
		}
		conn.Close()
	}
	db.Close()
	if code, ok := codeOf(err); ok && code&0xff == sqlite3.SQLITE_BUSY {
		return nil, ErrInUse
	}
	return nil, fmt.Errorf("lock file %s: %w", name, err)
}
