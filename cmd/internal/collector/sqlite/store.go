// Package sqlite keeps a collector's data in one SQLite file: the default [collector.Store].
//
// A commit is durable when it returns, also over a power cut: the write-ahead log is synced at each. At most one process
// has the file open to write, which a lock beside it (FILE.lock) ensures; backups and checks of a running collector can be
// made through a store that is open [Options.ReadOnly].
//
// The log (FILE-wal) is copied into the file in the background, after about 2,000 changed pages, so that commits hardly
// wait for it. See [MaxLog] for the bound of its size.
//
// Waits for another process that has locked the file end after two seconds with [collector.ErrUnavailable], as do errors
// of the disk. A disk that does not answer at all holds Commit until it does, since only then it is known whether the
// batch is written; that is why callers of [engine.Engine] wait with a context of their own. After an error the
// store goes on by itself as soon as the cause is gone.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Options say how a [Store] is opened. The zero value is right for a collector.
type Options struct {
	// ReadOnly opens a file that is there and of this program's version, whether or not a collector runs on it, for
	// Backup, Check and reading. Commit fails then. As long as a backup or a check goes on, the log of a collector that
	// runs grows by all that it writes.
	ReadOnly bool
	// Cache is how many bytes of the file each connection that writes keeps in memory; 0 is DefaultCache.
	Cache int64
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger

	migrations fs.FS // for tests; nil is the embedded ones
}

// DefaultCache is Options.Cache when that is 0.
const DefaultCache = 64 << 20

const (
	// busyTimeout is how long SQLite waits for a lock of another process.
	busyTimeout = 2 * time.Second
	// readers is how many connections read at the same time.
	readers     = 4
	readerCache = 8 << 20
)

// A Store is a [collector.Store] in one SQLite file. Make it with [Open]. As the interface says, it is safe for concurrent
// use, except that one goroutine commits.
type Store struct {
	file     string
	log      *slog.Logger
	readOnly bool
	lock     *fileLock
	raw      *os.File // the file itself, for scrub; to close it drops SQLite's locks on it, so that is done last

	// mu is held by who uses the writing connection: Commit, a step of Backup, the end of a checkpoint.
	mu      sync.Mutex
	writeDB *sql.DB
	write   *writer // nil when it has to be made again

	reads  *sql.DB
	lookup [2]*sql.Stmt // of one key, and of lookupKeys

	log2file *checkpointer
	checks   interruptible
	closing  func() error
}

var _ collector.Store = (*Store)(nil)

// Open opens the store in a file, and makes it with mode 0600 if it is not there; the folder must be. A file of an older
// version is copied to FILE.vN.backup and then brought up to date; each step is a transaction, so that an interrupted
// upgrade goes on at the next Open.
//
// It fails with [ErrInUse] when another store has the file open, with [ErrNotStore] for a file that is something else,
// and with [ErrNewer] for one of a newer program; and with [collector.ErrUnavailable] as other methods do.
func Open(ctx context.Context, file string, opts Options) (_ *Store, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database %s: %w", file, explain(ctx, err))
		}
	}()
	// The lock and SQLite's own files must have the same names whichever way the file is reached.
	real, err := resolve(file)
	if err != nil {
		return nil, err
	}
	s := &Store{file: real, readOnly: opts.ReadOnly, log: opts.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.closing = sync.OnceValue(s.close)
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if !opts.ReadOnly {
		if s.lock, err = takeLock(ctx, real); err != nil {
			return nil, err
		}
		if err := createFile(real); err != nil {
			return nil, err
		}
	}
	if err := checkRegular(real); err != nil {
		return nil, err
	}
	if !opts.ReadOnly {
		if s.raw, err = os.Open(real); err != nil {
			return nil, err
		}
	}
	found, err := inspect(ctx, real, opts)
	if err != nil {
		return nil, err
	}

	cache := cmp.Or(opts.Cache, DefaultCache)
	if s.writeDB, err = sql.Open("sqlite", dsn(real, cache, busyTimeout, opts.ReadOnly)); err != nil {
		return nil, err
	}
	s.writeDB.SetMaxOpenConns(1)
	if err := s.prepareSchema(ctx, found, opts); err != nil {
		return nil, err
	}
	if s.reads, err = sql.Open("sqlite", dsn(real, readerCache, busyTimeout, true)); err != nil {
		return nil, err
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	for i, n := range []int{1, lookupKeys} {
		if s.lookup[i], err = s.reads.PrepareContext(ctx, lookupSQL(n)); err != nil {
			return nil, err
		}
	}
	if !opts.ReadOnly {
		if s.log2file, err = newCheckpointer(ctx, s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// resolve gives the absolute name of a file behind symbolic links; the file itself may be missing.
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

// createFile makes an empty file, which is an empty database, so that its mode is ours; SQLite gives its other files the
// same one. A file that is there is left alone and not even opened: closing it would drop SQLite's locks in this process.
func createFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(filepath.Dir(file)))
}

// dsn says how a connection is set up. What is not said here is not so on every connection of a pool.
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
		for _, pragma := range []string{
			"journal_mode(wal)",
			"journal_size_limit(" + strconv.Itoa(softPages*pageSize) + ")",
			"secure_delete(1)",
			"synchronous(full)",
			"wal_autocheckpoint(0)", // the checkpointer does it
		} {
			q.Add("_pragma", pragma)
		}
	}
	return "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + q.Encode()
}

// Size implements [collector.Store]: the file and its log.
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

// SQLite's files beside the one of the database.
const (
	logSuffix   = "-wal"
	indexSuffix = "-shm"
)

// Close implements [collector.Store]. The log is copied into the file. Closing again does nothing.
func (s *Store) Close() error { return s.closing() }

func (s *Store) close() error {
	var errs []error
	if s.log2file != nil {
		errs = append(errs, s.log2file.close())
	}
	if s.reads != nil {
		errs = append(errs, s.reads.Close())
	}
	if s.writeDB != nil {
		s.mu.Lock()
		errs = append(errs, s.dropWriter(), s.writeDB.Close())
		s.mu.Unlock()
	}
	if s.raw != nil {
		errs = append(errs, s.raw.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}
