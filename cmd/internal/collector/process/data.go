package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// data is an open data folder, of which this process is the only user.
type data struct {
	dir       string
	store     *sqlite.Store
	collector *collector.Collector
	access    *access.Keeper
}

// openData opens the data folder; create makes what is missing.
func openData(ctx context.Context, dir string, create bool, log *slog.Logger) (*data, error) {
	if err := prepareDir(dir, create); err != nil {
		return nil, err
	}
	d := &data{dir: dir}
	if err := d.open(ctx, log); err != nil {
		d.close(ctx, log)
		return nil, err
	}
	return d, nil
}

func (d *data) open(ctx context.Context, log *slog.Logger) error {
	secret, err := readOrMakeSecret(d.dir)
	if err != nil {
		return err
	}
	file := filepath.Join(d.dir, dbName)
	if d.store, err = sqlite.Open(ctx, file, sqlite.Options{Logger: log}); err != nil {
		return err
	}
	sweep(d.dir)
	if d.collector, err = collector.Open(ctx, d.store, collector.Options{Secret: secret, Logger: log}); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	d.access = access.New(d.collector)
	return nil
}

// sweepAfter is the age from which on a temporary file is left over: a younger one may be another process's that starts at
// the same moment and has not taken the lock yet.
const sweepAfter = 10 * time.Minute

// sweep removes what a killed process left behind.
func sweep(dir string) {
	for _, pattern := range []string{".backup-*", ".restore-*", "." + keyName + "-*.tmp", "." + controlName + "-*.tmp"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > sweepAfter {
				_ = os.RemoveAll(name) // what cannot be removed does no harm
			}
		}
	}
}

// close ends all of it, or stops waiting for it when ctx ends; what was acknowledged is durable in either case.
func (d *data) close(ctx context.Context, log *slog.Logger) {
	closed := make(chan error, 1)
	go func() {
		var errs []error
		if d.collector != nil {
			errs = append(errs, d.collector.Close(ctx))
		}
		if d.store != nil && errors.Join(errs...) == nil {
			errs = append(errs, d.store.Close())
		}
		closed <- errors.Join(errs...)
	}()
	select {
	case err := <-closed:
		if err != nil {
			log.Warn("Store was not closed; the next start reads its journal", "error", err.Error())
		}
	case <-ctx.Done():
		log.Warn("Store was not closed in time; the next start reads its journal")
	}
}

// closeTimeout bounds the end of a data folder that was opened for one instruction.
const closeTimeout = 30 * time.Second
