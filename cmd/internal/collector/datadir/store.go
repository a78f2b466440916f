package datadir

import (
	"context"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// Lease is how long the lead in a database lasts without a renewal: after that
// time another process can count in place of one that was killed.
const Lease = 3 * time.Second

// lease is [Lease]. Tests extend it.
var lease = Lease

// openFile opens the store in a file.
func (d *Dir) openFile(ctx context.Context, file string) error {
	s, err := sqlite.Open(ctx, file, sqlite.Options{Logger: d.log})
	if err != nil {
		return err
	}
	d.Store, d.closeStore = s, s.Close
	return nil
}

// openDatabase opens the store in a database, and keeps the lead there until the
// store is closed or lost.
func (d *Dir) openDatabase(ctx context.Context, opts Options) error {
	address := opts.Address
	if address == "" {
		address, _ = os.Hostname()
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: opts.Store, Logger: d.log})
	if err != nil {
		return err
	}
	s, err := db.Take(ctx, address, lease)
	if err != nil {
		db.Close()
		return err
	}
	keeping, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Keep(keeping); err != nil {
			d.log.Error("Lead in the database is lost; requests are refused until this collector has it again", "error", err.Error())
			d.lose()
		}
	}()
	d.Store, d.database = s, db
	d.closeStore = func() error {
		stop()
		<-ended
		err := s.Close()
		db.Close()
		return err
	}
	return nil
}

// secretOfDatabase returns the secret of the directory, and creates it if the
// database is new.
func (d *Dir) secretOfDatabase(ctx context.Context) ([]byte, error) {
	made, err := engine.Made(ctx, d.Store)
	if err != nil {
		return nil, err
	}
	return Secret(d.Path, made)
}

// Warnings returns what endangers acknowledged reports although everything works;
// see [postgres.DB.Warnings].
func (d *Dir) Warnings(ctx context.Context) ([]postgres.Warning, error) {
	if d.database == nil {
		return nil, nil
	}
	return d.database.Warnings(ctx)
}

// Scrub removes deleted data from the files of the database; see
// [postgres.Store.ScrubFiles]. A file in the directory holds none.
func (d *Dir) Scrub(ctx context.Context) error {
	if s, ok := d.Store.(*postgres.Store); ok {
		return s.ScrubFiles(ctx)
	}
	return nil
}
