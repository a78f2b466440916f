// Package sqlite is the default [collector.Store]: one SQLite file.
//
// A commit is durable when it returns, even across a power cut: it syncs the
// write-ahead log. One process at a time has the file open, which a lock beside
// it (FILE.lock) ensures.
//
// The log (FILE-wal) is copied to the file in the background after about 2,000
// changed pages, so that commits hardly ever wait for it. See [MaxLog] for the
// bound of its size.
//
// If another process locks the file, or the disk fails, methods return
// [collector.ErrUnavailable] after at most two seconds; so does Commit before the
// disk is full, because what is in the log must still fit into the file. A disk that does not
// answer blocks Commit until it does, because only then it is known whether the
// batch was written; that is why callers of the engine wait with a context of
// their own. The store recovers by itself when the cause is gone.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Options configure [Open]. The zero value suits a collector.
type Options struct {
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger

	migrations fs.FS // for tests; nil is the embedded ones
}

const (
	// busyTimeout is how long SQLite waits for a lock of another process.
	busyTimeout = 2 * time.Second
	// readers is the number of connections for reading.
	readers = 4
	// The caches bound the bytes of the file that a connection keeps in memory.
	readerCache = 8 << 20
	writerCache = 64 << 20
)

// A Store is a [collector.Store] in one SQLite file. Create it with [Open]. It is
// safe for concurrent use, except that one goroutine commits.
type Store struct {
	file string
	log  *slog.Logger
	// raw is the file itself, for scrub. Closing it drops SQLite's locks on the
	// file, so it is closed last.
	raw *os.File

	// mu is held while the connection for writing is in use: by Commit, by a
	// step of Backup, and at the end of a checkpoint.
	mu      sync.Mutex
	writeDB *sql.DB
	write   *writer // nil if it must be created

	reads  *sql.DB
	lookup [2]*sql.Stmt // for one key, and for lookupKeys

	checkpoints *checkpointer
	checks      interruptible
	opened      []func() error // what close calls, in reverse
	closing     func() error
}

var _ collector.Store = (*Store)(nil)

// Open opens the store in a file. It creates the file with mode 0600 if it is
// missing; the directory must exist. It copies a file of an older version to
// FILE.vN.backup and then upgrades it. Each step is a transaction, so that the
// next Open continues an interrupted upgrade.
//
// The error is [ErrInUse] if another store has the file open, [ErrNotStore] if
// the file is something else, [ErrNewer] if a newer program wrote it, and
// [ErrNoSpace] if there is too little space for the upgrade.
func Open(ctx context.Context, file string, opts Options) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database %s: %w", file, explain(ctx, err))
		}
	}()
	// The names of the lock and of SQLite's own files must not depend on the
	// symbolic link that leads to the file.
	real, err := resolve(file)
	if err != nil {
		return nil, err
	}
	s := &Store{file: real, log: opts.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.closing = sync.OnceValue(s.close)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	unlock, err := takeLock(ctx, real)
	if err != nil {
		return nil, err
	}
	s.opened = append(s.opened, unlock)
	if err := createFile(real); err != nil {
		return nil, err
	}
	if err := checkRegular(real); err != nil {
		return nil, err
	}
	if s.raw, err = os.Open(real); err != nil {
		return nil, err
	}
	s.opened = append(s.opened, s.raw.Close)
	if err := lockInode(s.raw); err != nil {
		return nil, err
	}
	found, err := inspect(ctx, real, opts)
	if err != nil {
		return nil, err
	}
	if s.writeDB, err = openDB(real, writerCache, busyTimeout, false, 1); err != nil {
		return nil, err
	}
	s.opened = append(s.opened, s.closeWriteDB)
	if err := s.upgrade(ctx, found, opts); err != nil {
		return nil, err
	}
	if s.reads, err = openDB(real, readerCache, busyTimeout, true, readers); err != nil {
		return nil, err
	}
	s.opened = append(s.opened, s.reads.Close)
	for i, n := range []int{1, lookupKeys} {
		if s.lookup[i], err = s.reads.PrepareContext(ctx, lookupSQL(n)); err != nil {
			return nil, err
		}
	}
	if s.checkpoints, err = newCheckpointer(ctx, s); err != nil {
		return nil, err
	}
	s.opened = append(s.opened, s.checkpoints.close)
	return s, nil
}

// Size implements [collector.Store]. It includes the log.
func (s *Store) Size(context.Context) (int64, error) {
	var size int64
	for _, suffix := range []string{"", logSuffix, indexSuffix} {
		info, err := os.Stat(s.file + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		} else if err == nil {
			size += info.Size()
		}
	}
	return size, nil
}

// Erases implements [collector.Store].
func (s *Store) Erases() collector.Erasure { return collector.ErasedFromFiles }

// Close implements [collector.Store]. It copies the log to the file, once.
func (s *Store) Close() error { return s.closing() }

func (s *Store) close() (err error) {
	for _, f := range slices.Backward(s.opened) {
		err = errors.Join(err, f())
	}
	return err
}

func (s *Store) closeWriteDB() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.dropWriter(), s.writeDB.Close())
}
