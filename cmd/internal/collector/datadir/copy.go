package datadir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/transfer"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

// ErrDiffers means that a copy does not hold what its source does.
var ErrDiffers = errors.New("the copy differs from what it was made of")

// CopyOptions configure [Copy].
type CopyOptions struct {
	// Replace replaces what a database holds. A file is never replaced.
	Replace bool
	// SecretFile names the file with the secret that Copy puts beside a database
	// file; empty for none. Copy compares it with the source and the target before
	// it writes anything.
	SecretFile string
	// Progress, if not nil, is called now and then with the rows that are copied so
	// far, and with all rows.
	Progress func(done, all int64)
}

// Copy copies what one store holds to another, and compares the two. From and to
// are data directories, or URLs of PostgreSQL databases. No collector may use
// either meanwhile. A target that is not empty is refused (fs.ErrExist,
// [postgres.ErrNotEmpty]). If it fails, the target is as before, unless the error
// is [ErrDiffers] or [collector.ErrLost]. Copy writes no key to PostgreSQL.
func Copy(ctx context.Context, from, to string, opts CopyOptions) (transfer.Digest, error) {
	source, err := openSource(ctx, from)
	if err != nil {
		return transfer.Digest{}, err
	}
	defer source.close()
	if opts.SecretFile == "" || postgres.IsURL(to) {
		return copyFrom(ctx, source, to, opts)
	}
	key, err := readSecret(opts.SecretFile)
	if err != nil {
		return transfer.Digest{}, err
	}
	keys, err := secret.New(key)
	if err != nil {
		return transfer.Digest{}, err
	}
	if err := engine.CheckSecret(ctx, source.store, keys); err != nil {
		return transfer.Digest{}, fmt.Errorf("%s: %w", opts.SecretFile, err)
	}
	if err := sameSecret(to, key); err != nil {
		return transfer.Digest{}, err
	}
	d, err := copyFrom(ctx, source, to, opts)
	if err != nil {
		return d, err
	}
	return d, AddSecret(opts.SecretFile, to)
}

// sameSecret returns fs.ErrExist if a directory has another secret.
func sameSecret(dir string, want []byte) error {
	found, err := readSecret(filepath.Join(dir, SecretFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Equal(found, want) {
		return nil
	}
	return fmt.Errorf("%s: another key: %w", filepath.Join(dir, SecretFile), fs.ErrExist)
}

func copyFrom(ctx context.Context, source *source, to string, opts CopyOptions) (d transfer.Digest, err error) {
	all, err := source.rows(ctx)
	if err != nil {
		return d, err
	}
	var done int64
	progress := func(rows int) {
		if done += int64(rows); opts.Progress != nil {
			opts.Progress(done, all)
		}
	}
	target := copyToFile
	if postgres.IsURL(to) {
		target = copyToDatabase
	}
	var copied transfer.Digest
	err = source.read(ctx, func(s transfer.Source) error {
		d, copied, err = target(ctx, s, to, opts.Replace, progress)
		return err
	})
	if err == nil && copied != d {
		err = fmt.Errorf("%w: it has %d rows, and the source has %d", ErrDiffers, copied.Rows(), d.Rows())
	}
	return d, err
}

// A source is a store that nobody changes.
type source struct {
	store collector.Store
	rows  func(context.Context) (int64, error)
	read  func(context.Context, func(transfer.Source) error) error
	close func()
}

func openSource(ctx context.Context, from string) (*source, error) {
	if !postgres.IsURL(from) {
		file := filepath.Join(from, DatabaseFile)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", from, ErrNoData)
		}
		s, err := sqlite.Open(ctx, file, sqlite.Options{})
		if err != nil {
			return nil, err
		}
		return &source{s, s.Rows, func(_ context.Context, use func(transfer.Source) error) error { return use(s) }, func() { s.Close() }}, nil
	}
	lead, err := takeLead(ctx, from)
	if err != nil {
		return nil, err
	}
	return &source{lead.store, lead.store.Rows, lead.store.Snapshot, lead.end}, nil
}

// A lead holds the lease of a database during a copy.
type lead struct {
	store *postgres.Store
	end   func()
}

// takeLead opens a database and takes its lease. It fails while a collector counts
// there.
func takeLead(ctx context.Context, url string) (*lead, error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: url})
	if err != nil {
		return nil, err
	}
	s, err := db.Take(ctx, "rollcall collector copy", lease)
	if err != nil {
		db.Close()
		return nil, err
	}
	keeping, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Keep(keeping) // commits say that it is lost
	}()
	return &lead{s, func() {
		stop()
		<-ended
		s.Close()
		db.Close()
	}}, nil
}

func copyToDatabase(ctx context.Context, from transfer.Source, url string, replace bool, progress func(int)) (d, copied transfer.Digest, err error) {
	lead, err := takeLead(ctx, url)
	if err != nil {
		return d, copied, err
	}
	defer lead.end()
	if d, err = lead.store.Load(ctx, from, replace, progress); err != nil {
		return d, copied, err
	}
	err = lead.store.Snapshot(ctx, func(s transfer.Source) error {
		copied, err = transfer.Read(ctx, s)
		return err
	})
	return d, copied, err
}

// copyToFile makes a database file in a directory.
func copyToFile(ctx context.Context, from transfer.Source, dir string, _ bool, progress func(int)) (d, copied transfer.Digest, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return d, copied, fmt.Errorf("create data directory: %w", err)
	}
	file := filepath.Join(dir, DatabaseFile)
	if _, err := os.Lstat(file); err == nil {
		return d, copied, fmt.Errorf("%s: %w", file, fs.ErrExist)
	}
	temp, err := durable.TempDir(dir, restorePattern)
	if err != nil {
		return d, copied, err
	}
	defer os.RemoveAll(temp)
	name := filepath.Join(temp, DatabaseFile)
	to, err := sqlite.Open(ctx, name, sqlite.Options{})
	if err != nil {
		return d, copied, err
	}
	d, err = transfer.Copy(ctx, from, transfer.Into(ctx, to), progress)
	if err == nil {
		copied, err = transfer.Read(ctx, to)
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return d, copied, err
	}
	if copied != d {
		return d, copied, nil // the caller says so
	}
	return d, copied, durable.Link(name, file)
}
