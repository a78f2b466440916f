// Package datadir opens, and restores, the data directory of a collector, and the
// store, which is a file in the directory or a PostgreSQL database.
//
// The directory has mode 0700. One process at a time has the store open:
//
//	rollcall.db       the store, with -wal and -shm beside it while it is open; unless it is a database
//	rollcall.key      the secret, without which the store is worthless: 64 hexadecimal digits, mode 0600
//	rollcall.control  where the running process accepts commands, and the token that authorizes them, mode 0600
//	acme/             certificates and the account, if they come from a certificate authority
package datadir

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// The files in a data directory.
const (
	DatabaseFile = "rollcall.db"
	SecretFile   = "rollcall.key"
	ControlFile  = "rollcall.control"
	ACMEDir      = "acme"
)

// ErrNoData means that the directory does not hold a collector's data.
var ErrNoData = errors.New("no collector has its data there")

// Options configure [Open].
type Options struct {
	// Create creates the directory and the files in it if they are missing.
	Create bool
	// Store is the URL of the PostgreSQL database that holds the store; empty is
	// rollcall.db in the directory.
	Store string
	// Secret is the secret; empty is the one in rollcall.key. With it and a
	// database, the directory is not needed and not created.
	Secret []byte
	// Address is how a collector on the same database names this one, such as
	// host:port; empty is the name of the machine.
	Address string
	// AuditLines receives the audit log as JSON lines; nil for none.
	AuditLines io.Writer
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// A Dir is an open data directory. Its fields are valid until Close.
type Dir struct {
	Path      string
	Secret    *secret.Secret
	Store     collector.Store
	Collector *engine.Engine
	Tokens    *access.Tokens
	Audit     *audit.Log
	Releases  *release.Store
	Notes     *note.Store

	log        *slog.Logger
	database   *postgres.DB // nil for a file
	closeStore func() error
	lose       func() // closes lost
	lost       chan struct{}
	closing    chan struct{} // closed by Shutdown
	shutDown   func()        // closes closing
}

// Open opens a data directory. Errors are [ErrNoData], those of its secret
// ([ErrNoSecret], [ErrBadSecret]), and those of sqlite.Open or [postgres.Open]:
// sqlite.ErrInUse if another process has the directory open, and
// [*postgres.HeldError] if another process counts in the database.
func Open(ctx context.Context, path string, opts Options) (*Dir, error) {
	if err := prepare(path, opts); err != nil {
		return nil, err
	}
	d, err := open(ctx, path, opts.Secret, opts)
	if err != nil {
		return nil, err
	}
	d.removeLeftovers()
	return d, nil
}

// OnStore returns a Dir for a store in a database. Both stay open when the Dir is
// closed. Options.Secret is required.
func OnStore(ctx context.Context, path string, db *postgres.DB, store collector.Store, opts Options) (*Dir, error) {
	d := newDir(path, opts)
	d.Store, d.database = store, db
	if err := d.count(ctx, opts.Secret, "database "+db.Name(), opts); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// prepare creates the directory, or checks that it holds a collector's data.
func prepare(path string, opts Options) error {
	if opts.Create && (opts.Store == "" || len(opts.Secret) == 0) {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("create data directory: %w", err)
		}
		return nil
	}
	if opts.Store != "" {
		return nil
	}
	switch _, err := os.Stat(filepath.Join(path, DatabaseFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", path, ErrNoData)
	case err != nil:
		return fmt.Errorf("open data directory: %w", err)
	}
	return nil
}

// HasOnlyKey reports whether a directory has a key but no database file, as with
// a collector that counts in PostgreSQL.
func HasOnlyKey(path string) bool {
	_, key := os.Lstat(filepath.Join(path, SecretFile))
	_, database := os.Lstat(filepath.Join(path, DatabaseFile))
	return key == nil && errors.Is(database, fs.ErrNotExist)
}

func newDir(path string, opts Options) *Dir {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Dir{Path: path, log: log, lost: make(chan struct{}), closing: make(chan struct{})}
	d.lose, d.shutDown = sync.OnceFunc(func() { close(d.lost) }), sync.OnceFunc(func() { close(d.closing) })
	return d
}

// open opens the store. Without a key it uses the secret of the directory.
func open(ctx context.Context, path string, key []byte, opts Options) (_ *Dir, err error) {
	d := newDir(path, opts)
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	name := filepath.Join(path, DatabaseFile)
	if opts.Store == "" {
		if len(key) == 0 {
			if key, err = readOrCreateSecret(path); err != nil {
				return nil, err
			}
		}
		err = d.openFile(ctx, name)
	} else {
		if err = d.openDatabase(ctx, opts); err == nil && len(key) == 0 {
			key, err = d.secretOfDatabase(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	if d.database != nil {
		name = "database " + d.database.Name()
	}
	return d, d.count(ctx, key, name, opts)
}

// count begins to count in the store, which errors name.
func (d *Dir) count(ctx context.Context, key []byte, name string, opts Options) (err error) {
	if d.Secret, err = secret.New(key); err != nil {
		return err
	}
	if d.Collector, err = engine.Open(ctx, d.Store, engine.Options{Secret: key, Logger: d.log}); err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	go func() {
		select {
		case <-d.Collector.Lost():
			d.lose()
		case <-d.closing:
		}
	}()
	d.Audit = audit.New(d.Collector, opts.AuditLines)
	d.Tokens = access.New(d.Collector, d.Audit)
	d.Releases = release.New(d.Collector)
	d.Notes = note.New(d.Collector)
	return nil
}

// Lost is closed when the store is lost ([collector.ErrLost]). Close the Dir then,
// and open it again.
func (d *Dir) Lost() <-chan struct{} { return d.lost }

// A temporary file that is at least leftoverAge old counts as left over. A
// younger one may belong to a process that is starting and has not taken the
// lock yet.
const leftoverAge = 10 * time.Minute

func (d *Dir) removeLeftovers() {
	for _, pattern := range []string{backupPattern, restorePattern, durable.TempPattern} {
		names, _ := filepath.Glob(filepath.Join(d.Path, pattern))
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > leftoverAge {
				_ = os.RemoveAll(name) // a file that cannot be removed does no harm
			}
		}
	}
}

// Close is Shutdown with a limit of 30 seconds.
func (d *Dir) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d.Shutdown(ctx)
}

// Shutdown closes the collector and the store, and stops waiting for them when
// ctx ends. Acknowledged reports are durable in either case.
func (d *Dir) Shutdown(ctx context.Context) {
	d.shutDown()
	closed := make(chan error, 1)
	go func() {
		var err error
		if d.Collector != nil {
			err = errors.Join(d.Audit.Flush(ctx), d.Collector.Close(ctx))
		}
		if d.closeStore != nil && err == nil {
			err = d.closeStore()
		}
		closed <- err
	}()
	select {
	case err := <-closed:
		if err != nil {
			d.log.Warn("Store was not closed; the next start reads its journal", "error", err.Error())
		}
	case <-ctx.Done():
		d.log.Warn("Store was not closed in time; the next start reads its journal")
	}
}

// Errors of the secret.
var (
	// ErrNoSecret means that the database exists without its secret.
	ErrNoSecret = errors.New("rollcall.key is missing, without which the database cannot be used")
	// ErrBadSecret means that the file does not hold a secret.
	ErrBadSecret = errors.New("rollcall.key does not hold a secret of 64 hexadecimal digits")
)

// readOrCreateSecret returns the secret of a data directory, and creates it if
// neither it nor the database exists.
func readOrCreateSecret(dir string) ([]byte, error) {
	file := filepath.Join(dir, SecretFile)
	found, err := readSecret(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	switch _, err := os.Stat(filepath.Join(dir, DatabaseFile)); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrNoSecret)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return createSecret(dir)
}

func createSecret(dir string) ([]byte, error) {
	file := filepath.Join(dir, SecretFile)
	created := make([]byte, secret.Len)
	rand.Read(created)
	err := durable.Create(file, secretText(created))
	if errors.Is(err, fs.ErrExist) {
		return readSecret(file) // another process that starts now was first
	}
	if err != nil {
		return nil, fmt.Errorf("create secret: %w", err)
	}
	return created, nil
}

func readSecret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	parsed, err := secret.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, ErrBadSecret)
	}
	return parsed, nil
}

// Secret returns the secret of a directory. If it has none it is created, unless
// made says that the database was made with one.
func Secret(path string, made bool) ([]byte, error) {
	found, err := readSecret(filepath.Join(path, SecretFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	if made {
		return nil, fmt.Errorf("%s: %w", path, ErrNoSecret)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	return createSecret(path)
}

// WriteSecret writes a secret to a directory, where it must not exist.
func WriteSecret(secret []byte, to string) error {
	return durable.Create(filepath.Join(to, SecretFile), secretText(secret))
}

func secretText(secret []byte) []byte { return append(hex.AppendEncode(nil, secret), '\n') }

// CopySecret copies a secret to another directory, where it must not exist.
func CopySecret(from, to string) error {
	secret, err := readSecret(filepath.Join(from, SecretFile))
	if err != nil {
		return err
	}
	return durable.Create(filepath.Join(to, SecretFile), secretText(secret))
}

// AddSecret copies the secret in a file to a data directory, where it must not
// exist, unless it is the same.
func AddSecret(file, dir string) error {
	added, err := readSecret(file)
	if err != nil {
		return err
	}
	err = durable.Create(filepath.Join(dir, SecretFile), secretText(added))
	if errors.Is(err, fs.ErrExist) {
		if found, readErr := readSecret(filepath.Join(dir, SecretFile)); readErr == nil && bytes.Equal(found, added) {
			return nil
		}
	}
	return err
}
