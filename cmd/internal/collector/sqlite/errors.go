package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// ErrNoSpace means that there is too little free space for an upgrade.
	ErrNoSpace = errors.New("too little free space")
	// ErrNewer means that a newer version of this program wrote the file.
	ErrNewer = errors.New("database was written by a newer version of this program")
)

// transientErrno are the errors of the system that may pass, and
// transientCodes those of SQLite.
var (
	transientErrno = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE}
	transientCodes = []int{sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR}
)

// explain wraps transient errors in ErrUnavailable, and replaces the error of an
// interruption by that of the context.
func explain(ctx context.Context, err error) error {
	code, ok := codeOf(err)
	primary := code & 0xff // the other bits refine it
	isErr := func(errno error) bool { return errors.Is(err, errno) }
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && (!ok || primary == sqlite3.SQLITE_INTERRUPT):
		return ctx.Err()
	case isErr(collector.ErrUnavailable):
		return err
	case primary == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_IOERR_CORRUPTFS:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case primary == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrNotStore, err)
	case ok && slices.Contains(transientCodes, primary),
		!ok && slices.ContainsFunc(transientErrno, isErr):
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
