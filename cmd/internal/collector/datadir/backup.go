package datadir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

const (
	backupPattern  = ".backup-*"
	restorePattern = ".restore-*"
)

// Backup copies the store to a temporary file, calls use with that file, and
// removes it. The file is in the data directory, the only place that is sure
// to be writable; without a directory, in that for temporary files.
func (d *Dir) Backup(ctx context.Context, use func(*os.File) error) error {
	temp, err := os.MkdirTemp(d.Path, backupPattern)
	if errors.Is(err, fs.ErrNotExist) {
		temp, err = os.MkdirTemp("", backupPattern)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	name := filepath.Join(temp, DatabaseFile)
	if err := d.Store.Backup(ctx, name); err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return use(file)
}

// RestoreOptions configure [Restore].
type RestoreOptions struct {
	// SecretFile names the file with the secret; empty is the one in the
	// backup, or else the one in the data directory.
	SecretFile string
	// Secret is the secret of Store, if the directory does not hold it. Restore
	// then ignores the directory and requires a backup made with that secret.
	Secret []byte
	// Overwrite replaces data in the directory or the database, instead of
	// fs.ErrExist or [postgres.ErrNotEmpty].
	Overwrite bool
	// Store is the URL of a PostgreSQL database to restore into; empty is
	// rollcall.db in the directory.
	Store string
	// Progress is as in [CopyOptions]; only a database has one.
	Progress func(done, all int64)
}

// Restore puts a backup into a data directory that no process has open. It
// first checks the backup and its secret on a copy in the data directory, and
// changes nothing if the check fails. That copy is what it restores, so a backup
// of an earlier version is upgraded. It needs free disk space for two copies.
func Restore(ctx context.Context, backup, path string, opts RestoreOptions) error {
	if err := prepare(path, Options{Create: true, Store: opts.Store, Secret: opts.Secret}); err != nil {
		return err
	}
	target := filepath.Join(path, DatabaseFile)
	if _, err := os.Lstat(target); err == nil && !opts.Overwrite && opts.Store == "" {
		return fmt.Errorf("%s: %w", target, fs.ErrExist)
	}
	secret, err := secretOfBackup(backup, path, opts)
	if err != nil {
		return err
	}
	in := path
	if opts.Store != "" {
		if len(opts.Secret) > 0 {
			in = os.TempDir()
			if !bytes.Equal(secret, opts.Secret) {
				return fmt.Errorf("restore %s: %w", backup, engine.ErrSecret)
			}
		} else if err := sameSecret(path, secret); err != nil {
			// Nobody can recreate a key. Only Overwrite replaces one, and never
			// that of a database file.
			if _, stat := os.Lstat(target); stat == nil {
				return fmt.Errorf("%s: %w", target, ErrOtherKey)
			} else if !opts.Overwrite {
				return err
			}
		}
	}
	temp, err := durable.TempDir(in, restorePattern)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(temp)
	if err := checkedCopy(ctx, backup, temp, secret); err != nil {
		return err
	}
	if opts.Store != "" {
		_, err = Copy(ctx, temp, opts.Store, CopyOptions{Replace: opts.Overwrite, Progress: opts.Progress})
	} else {
		err = sqlite.Restore(ctx, filepath.Join(temp, DatabaseFile), target, sqlite.RestoreOptions{Overwrite: opts.Overwrite})
	}
	if err != nil {
		return err
	}
	if len(opts.Secret) > 0 {
		return nil
	}
	return keepSecret(path, secret)
}

// ErrOtherKey means that a restore would replace the key of a database file.
var ErrOtherKey = errors.New("the database there has another key, which would be lost")

// keepSecret writes the secret that belongs to restored data. After an
// interruption before it, the collector refuses to start because the secret does
// not fit, and Restore can be repeated.
func keepSecret(path string, secret []byte) error {
	if err := durable.Replace(filepath.Join(path, SecretFile), secretText(secret)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func secretOfBackup(backup, path string, opts RestoreOptions) ([]byte, error) {
	if opts.SecretFile != "" {
		return readSecret(opts.SecretFile)
	}
	secret, err := readSecret(filepath.Join(backup, SecretFile))
	if errors.Is(err, fs.ErrNotExist) && len(opts.Secret) > 0 {
		return opts.Secret, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = readSecret(filepath.Join(path, SecretFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("restore: %w", ErrNoSecret)
	}
	return secret, err
}

// checkedCopy copies a backup to a directory, and opens the copy as a collector
// would. The copy has the backup's audit log, which gets an entry about the
// restore.
func checkedCopy(ctx context.Context, backup, temp string, secret []byte) error {
	err := sqlite.Restore(ctx, filepath.Join(backup, DatabaseFile), filepath.Join(temp, DatabaseFile), sqlite.RestoreOptions{})
	if err != nil {
		return err
	}
	d, err := open(ctx, temp, secret, Options{})
	if err != nil {
		return fmt.Errorf("restore: backup cannot be used: %w", err)
	}
	d.Audit.Add(audit.Entry{Action: audit.Restored, Actor: audit.CommandLine, Detail: filepath.Base(backup)})
	d.Close()
	return nil
}
