package sqlite

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Errors of [Open] and [Restore], each with a cause that does not pass by itself.
var (
	// ErrInUse says that another collector has the file open.
	ErrInUse = errors.New("another collector has this database open")
	// ErrNotStore says that the file is no database, or one of another program.
	ErrNotStore = errors.New("file is not a database of a collector")
	// ErrNewer says that a newer version of this program has written the file.
	ErrNewer = errors.New("database was written by a newer version of this program")
)

// explain makes errors of SQLite those of a store: what may pass by itself is ErrUnavailable, and an interruption by the
// context is the context's error.
func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code, ok := codeOf(err)
	if ctx.Err() != nil && (!ok || code&0xff == sqlite3.SQLITE_INTERRUPT) {
		return ctx.Err()
	}
	if errors.Is(err, collector.ErrUnavailable) {
		return err
	}
	if !ok {
		for _, passing := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
			if errors.Is(err, passing) {
				return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
			}
		}
		return err
	}
	switch code & 0xff { // the rest of the bits says more of the same
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	case sqlite3.SQLITE_IOERR:
		if code == sqlite3.SQLITE_IOERR_CORRUPTFS {
			return err
		}
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrNotStore, err)
	}
	return err
}

// codeOf gives SQLite's extended result code.
func codeOf(err error) (int, bool) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code(), true
	}
	return 0, false
}
