// Package postgres is a [collector.Store] in a PostgreSQL database, version 15 or
// later.
//
// A [DB] is a connection to the database; it reads. A [Store] also commits: it
// leads. Of any number of processes one leads at a time, which the fence ensures,
// a row that every commit checks. A commit is one message and one round trip. The
// server executes it when all of it has arrived, so a process that is paused, or
// a connection that is cut, leaves no transaction open.
//
// A commit whose answer is lost may be written or not. The store then connects
// again, takes a new epoch so that the lost message can no longer take effect, and
// compares the number of the last commit. If that cannot be done within ten
// seconds, the error is [collector.ErrLost].
//
// The package uses tables with the prefix rollcall_ in the first schema of the
// search path. It needs no extensions, sequences, advisory locks, notifications,
// temporary tables, session settings, or prepared statements, so poolers in
// transaction mode work.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config configures [Open].
type Config struct {
	// URL is postgres://user@host:port/database?sslmode=verify-full, a connection
	// string of keywords, or empty. What it lacks comes from the PG* variables of
	// libpq and from its password file.
	URL string
	// Logger receives log lines; nil discards them.
	Logger *slog.Logger

	minVersion int // for tests; 0 is minVersion
}

// A DB is an open database. [Open] makes one. It is safe for concurrent use.
type DB struct {
	reader
	config *pgxpool.Config
	log    *slog.Logger
	// local is true if the server's default is to acknowledge commits that are
	// not on its own disk yet. Each commit then asks for more.
	local bool
}

// IsURL reports whether a text is the address of a PostgreSQL database rather
// than the name of a file.
func IsURL(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// Open connects to a database, checks the server's version and role, and creates
// or migrates the tables. It does not lead. Its errors are [ErrConfig],
// [ErrPassword], [ErrNoDatabase], [ErrTooOld], [ErrReadOnly], [ErrPrivilege],
// [ErrNewer], and [collector.ErrUnavailable] if the server cannot be reached.
func Open(ctx context.Context, c Config) (*DB, error) {
	return connect(ctx, c, (*DB).migrate)
}

// Probe connects as Open does and changes nothing. It returns the version of the
// server, and what endangers acknowledged reports.
func Probe(ctx context.Context, c Config) (version string, warnings []Warning, err error) {
	db, err := connect(ctx, c, func(*DB, context.Context) error { return nil })
	if err != nil {
		return "", nil, err
	}
	defer db.Close()
	if version, err = db.Server(ctx); err != nil {
		return "", nil, err
	}
	warnings, err = db.Warnings(ctx)
	return version, warnings, err
}

func connect(ctx context.Context, c Config, prepare func(*DB, context.Context) error) (_ *DB, err error) {
	config, err := parse(c.URL)
	if err != nil {
		return nil, err
	}
	db := &DB{config: config, log: cmp.Or(c.Logger, slog.New(slog.DiscardHandler))}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open database %s: %w", db.Name(), explain(ctx, err))
		}
	}()
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db.pool.Close()
		}
	}()
	if err := db.checkServer(ctx, cmp.Or(c.minVersion, minVersion)); err != nil {
		return nil, err
	}
	if err := prepare(db, ctx); err != nil {
		return nil, err
	}
	return db, nil
}

// parse reads a configuration, with defaults that suit poolers.
func parse(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c := config.ConnConfig
	if err := checkPassfile(url, c.Password); err != nil {
		return nil, err
	}
	if !strings.Contains(url, "default_query_exec_mode") {
		c.DefaultQueryExecMode = pgx.QueryExecModeExec // unnamed statements
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "rollcall"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	// Of several hosts, the primary is meant.
	type host struct {
		name string
		port uint16
	}
	hosts := map[host]bool{{c.Host, c.Port}: true}
	for _, f := range c.Fallbacks {
		hosts[host{f.Host, f.Port}] = true
	}
	if len(hosts) > 1 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return config, nil
}

// Name identifies the database in messages: host and name, without a password.
func (db *DB) Name() string {
	c := db.config.ConnConfig
	return fmt.Sprintf("%s on %s port %d", c.Database, c.Host, c.Port)
}

// Close closes the connections. It does not release a lease: see [Store.Release].
func (db *DB) Close() { db.pool.Close() }

// checkServer refuses a server that cannot hold a store.
func (db *DB) checkServer(ctx context.Context, minVersion int) error {
	var version int
	var standby, readOnly bool
	var commit string
	if err := db.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
		current_setting('transaction_read_only')::bool, current_setting('synchronous_commit')`).
		Scan(&version, &standby, &readOnly, &commit); err != nil {
		return err
	}
	switch {
	case version < minVersion:
		return fmt.Errorf("%w: it is version %d.%d", ErrTooOld, version/10_000, version%10_000)
	case standby:
		return fmt.Errorf("%w: the server is a standby", ErrReadOnly)
	case readOnly:
		return fmt.Errorf("%w: default_transaction_read_only is on", ErrReadOnly)
	}
	db.local = commit == "off"
	return nil
}

// ignoreNoRows turns the error of a missing row into false.
func ignoreNoRows(err error) (found bool, _ error) {
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
