// Package datadir opens, and restores, the data directory of a collector.
//
// The directory has mode 0700 and is open in one process at a time:
//
//	rollcall.db       the store, with -wal and -shm beside it while it is open
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
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
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
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// A Dir is an open data directory. Its fields are valid until Close.
type Dir struct {
	Path      string
	Store     *sqlite.Store
	Collector *engine.Engine
	Tokens    *access.Tokens

	log *slog.Logger
}

// Open opens a data directory. Errors are [ErrNoData], those of its secret
// ([ErrNoSecret], [ErrBadSecret]), and those of [sqlite.Open]:
// [sqlite.ErrInUse] if another process has the directory open.
func Open(ctx context.Context, path string, opts Options) (*Dir, error) {
	if err := prepare(path, opts.Create); err != nil {
		return nil, err
	}
	secret, err := readOrCreateSecret(path)
	if err != nil {
		return nil, err
	}
	d, err := open(ctx, path, secret, opts.Logger)
	if err != nil {
		return nil, err
	}
	d.removeLeftovers()
	return d, nil
}

// prepare creates the directory, or checks that it holds a collector's data.
func prepare(path string, create bool) error {
	if create {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("create data directory: %w", err)
		}
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

func open(ctx context.Context, path string, secret []byte, log *slog.Logger) (_ *Dir, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Dir{Path: path, log: log}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	file := filepath.Join(path, DatabaseFile)
	if d.Store, err = sqlite.Open(ctx, file, sqlite.Options{Logger: log}); err != nil {
		return nil, err
	}
	if d.Collector, err = engine.Open(ctx, d.Store, engine.Options{Secret: secret, Logger: log}); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	d.Tokens = access.New(d.Collector)
	return d, nil
}

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
	closed := make(chan error, 1)
	go func() {
		var err error
		if d.Collector != nil {
			err = d.Collector.Close(ctx)
		}
		if d.Store != nil && err == nil {
			err = d.Store.Close()
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

// secretLen is the length of a secret in bytes.
const secretLen = 32

// Errors of the secret.
var (
	// ErrNoSecret means that the database exists without its secret.
	ErrNoSecret = errors.New("rollcall.key is missing, without which rollcall.db cannot be used")
	// ErrBadSecret means that the file does not hold a secret.
	ErrBadSecret = errors.New("rollcall.key does not hold a secret of 64 hexadecimal digits")
)

// readOrCreateSecret returns the secret of a data directory, and creates it if
// neither it nor the database exists.
func readOrCreateSecret(dir string) ([]byte, error) {
	file := filepath.Join(dir, SecretFile)
	secret, err := readSecret(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	switch _, err := os.Stat(filepath.Join(dir, DatabaseFile)); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", dir, ErrNoSecret)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	secret = make([]byte, secretLen)
	rand.Read(secret)
	err = durable.Create(file, secretText(secret))
	if errors.Is(err, fs.ErrExist) {
		return readSecret(file) // another process that starts now was first
	}
	if err != nil {
		return nil, fmt.Errorf("create secret: %w", err)
	}
	return secret, nil
}

func readSecret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	secret, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != secretLen {
		return nil, fmt.Errorf("%s: %w", file, ErrBadSecret)
	}
	return secret, nil
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
