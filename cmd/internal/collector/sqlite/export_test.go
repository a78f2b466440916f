package sqlite

import (
	"context"
	"io/fs"
)

// WithMigrations returns options with other migrations than the embedded ones.
func WithMigrations(o Options, migrations fs.FS) Options {
	o.migrations = migrations
	return o
}

// Embedded are the migrations of the program.
func Embedded() fs.FS { return migrationsOf(Options{}) }

// The internal constants that tests need.
const (
	LogSuffix   = logSuffix
	IndexSuffix = indexSuffix
	LockSuffix  = lockSuffix
	SoftPages   = softPages
	PageSize    = pageSize
	BusyTimeout = busyTimeout
)

// CheckSlowly begins a check that holds its snapshot until end is called.
func (s *Store) CheckSlowly(ctx context.Context) (interrupted func() bool, end func()) {
	running, stop := s.checks.begin(ctx)
	tx, err := s.reads.BeginTx(running, nil)
	if err != nil {
		panic(err)
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM goose_db_version").Scan(&n); err != nil {
		panic(err)
	}
	return func() bool { return running.Err() != nil }, func() { tx.Rollback(); stop() }
}
