package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/durable"
)

const (
	backupPattern  = ".backup-*"
	restorePattern = ".restore-*"
)

// Backup copies the store to a temporary file, calls use with that file, and
// removes it. The file is in the data directory, the only place that is sure
// to be writable.
func (d *Dir) Backup(ctx context.Context, use func(*os.File) error) error {
	temp, err := os.MkdirTemp(d.Path, backupPattern)
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
	// Overwrite replaces data in the directory, instead of fs.ErrExist.
	Overwrite bool
}

// Restore puts a backup into a data directory that no process has open. It
// first checks the backup and its secret on a copy in the data directory, and
// changes nothing if the check fails. It needs free disk space for two copies.
func Restore(ctx context.Context, backup, path string, opts RestoreOptions) error {
	if err := prepare(path, true); err != nil {
		return err
	}
	target := filepath.Join(path, DatabaseFile)
	if _, err := os.Lstat(target); err == nil && !opts.Overwrite {
		return fmt.Errorf("%s: %w", target, fs.ErrExist)
	}
	secret, err := secretOfBackup(backup, path, opts.SecretFile)
	if err != nil {
		return err
	}
	if err := checkBackup(ctx, backup, path, secret); err != nil {
		return err
	}
	restore := sqlite.RestoreOptions{Overwrite: opts.Overwrite}
	if err := sqlite.Restore(ctx, filepath.Join(backup, DatabaseFile), target, restore); err != nil {
		return err
	}
	// After an interruption between the two, the collector refuses to start
	// because the secret does not fit, and Restore can be repeated.
	if err := durable.Replace(filepath.Join(path, SecretFile), secretText(secret)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func secretOfBackup(backup, path, file string) ([]byte, error) {
	if file != "" {
		return readSecret(file)
	}
	secret, err := readSecret(filepath.Join(backup, SecretFile))
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = readSecret(filepath.Join(path, SecretFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("restore: %w", ErrNoSecret)
	}
	return secret, err
}

// checkBackup opens a copy of the backup as a collector would.
func checkBackup(ctx context.Context, backup, path string, secret []byte) error {
	temp, err := os.MkdirTemp(path, restorePattern)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(temp)
	err = sqlite.Restore(ctx, filepath.Join(backup, DatabaseFile), filepath.Join(temp, DatabaseFile), sqlite.RestoreOptions{})
	if err != nil {
		return err
	}
	d, err := open(ctx, temp, secret, nil)
	if err != nil {
		return fmt.Errorf("restore: backup cannot be used: %w", err)
	}
	d.Close()
	return nil
}
