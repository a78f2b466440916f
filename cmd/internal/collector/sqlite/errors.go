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

// Permanent errors of [Open] and [Restore].
var (
	// ErrInUse means that another store has the file open.
	ErrInUse = errors.New("another collector has this database open")
	// ErrNotStore means that the file is no database, or another program's.
	ErrNotStore = errors.New("file is not a database of a collector")
	// ErrNewer means that a newer version of this program wrote the file.
	ErrNewer = errors.New("database was written by a newer version of this program")
)

// transientErrno are the errors of the system that may pass.
var transientErrno = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE}

// explain wraps transient errors in ErrUnavailable, and replaces the error of an
// interruption by that of the context.
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
	transient := false
	if ok {
		switch code & 0xff { // the other bits refine these
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
			sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT:
			transient = true
		case sqlite3.SQLITE_IOERR:
			transient = code != sqlite3.SQLITE_IOERR_CORRUPTFS
		case sqlite3.SQLITE_NOTADB:
			return fmt.Errorf("%w: %w", ErrNotStore, err)
		}
	} else {
		for _, errno := range transientErrno {
			transient = transient || errors.Is(err, errno)
		}
	}
	if transient {
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	}
	return err
}

// codeOf returns SQLite's extended result code.
func codeOf(err error) (int, bool) {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code(), true
	}
	return 0, false
}
