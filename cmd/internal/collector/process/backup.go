package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// Backup makes a new folder with a copy of the store in it, as it is at the end, and, with the key, of the secret. The
// collector goes on meanwhile. Nothing is left of a backup that fails.
func (c *Client) Backup(ctx context.Context, dataDir, dest string, withKey bool) (err error) {
	var secret []byte
	if withKey {
		if secret, err = readSecret(filepath.Join(dataDir, keyName)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dest, 0o700); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dest)
		}
	}()
	if err := c.fetchStore(ctx, filepath.Join(dest, dbName)); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if withKey {
		if err := writeDurably(filepath.Join(dest, keyName), secretText(secret), false); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
	}
	return errors.Join(syncDir(dest), syncDir(filepath.Dir(dest)))
}

func (c *Client) fetchStore(ctx context.Context, name string) error {
	response, err := c.do(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Sync(), file.Close())
}

// RestoreOptions say how [Restore] works.
type RestoreOptions struct {
	// Key is a file with the secret; empty is the one in the backup, or else the one in the data folder.
	Key string
	// Force lets a collector that is in the data folder be replaced; else that is fs.ErrExist.
	Force bool
}

// Restore puts a backup into a data folder that no process uses. All of it is checked first, the secret too, on a copy in
// the data folder: what does not pass leaves all as it was. It needs twice the backup's size of free disk.
func Restore(ctx context.Context, backup, dataDir string, opts RestoreOptions) error {
	if err := prepareDir(dataDir, true); err != nil {
		return err
	}
	target := filepath.Join(dataDir, dbName)
	if _, err := os.Lstat(target); err == nil && !opts.Force {
		return fmt.Errorf("%s: %w", target, fs.ErrExist)
	}
	secret, err := restoredSecret(backup, dataDir, opts.Key)
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp(dataDir, ".restore-")
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(stage)
	staged := filepath.Join(stage, dbName)
	if err := sqlite.Restore(ctx, filepath.Join(backup, dbName), staged, sqlite.RestoreOptions{}); err != nil {
		return err
	}
	if err := tryOpen(ctx, staged, secret); err != nil {
		return fmt.Errorf("restore: backup is not good: %w", err)
	}
	restore := sqlite.RestoreOptions{Overwrite: opts.Force}
	if err := sqlite.Restore(ctx, filepath.Join(backup, dbName), target, restore); err != nil {
		return err
	}
	// Should this be interrupted between the two, the collector refuses to start with a secret that does not fit, and the
	// restore can be repeated.
	if err := writeDurably(filepath.Join(dataDir, keyName), secretText(secret), true); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// restoredSecret finds the secret that belongs to a backup.
func restoredSecret(backup, dataDir, key string) ([]byte, error) {
	if key != "" {
		return readSecret(key)
	}
	secret, err := readSecret(filepath.Join(backup, keyName))
	if errors.Is(err, fs.ErrNotExist) {
		secret, err = readSecret(filepath.Join(dataDir, keyName))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("restore: %w", ErrNoKey)
	}
	return secret, err
}

// tryOpen looks whether a collector can work with a store.
func tryOpen(ctx context.Context, file string, secret []byte) error {
	log := slog.New(slog.DiscardHandler)
	d := &data{}
	defer d.close(ctx, log)
	var err error
	if d.store, err = sqlite.Open(ctx, file, sqlite.Options{Logger: log}); err != nil {
		return err
	}
	d.collector, err = collector.Open(ctx, d.store, collector.Options{Secret: secret, Logger: log})
	return err
}
