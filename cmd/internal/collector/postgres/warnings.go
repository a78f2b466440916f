package postgres

import (
	"context"
	"fmt"
)

// A Warning is something that endangers acknowledged reports.
type Warning string

// The values of [Warning].
const (
	// Asynchronous means that standbys exist and commits do not wait for any: a
	// failover would lose reports that were acknowledged.
	Asynchronous Warning = "asynchronous_replication"
	// Unsynced means that the server does not sync its disk: a power cut could
	// lose everything.
	Unsynced Warning = "fsync_off"
	// Timeouts means that the role or the database limits how long a statement may
	// take: reading all rows at the start, a check, or a scrub may never succeed.
	Timeouts Warning = "statement_timeout"
	// Unscrubbed endangers no reports: files of the database may hold data that was
	// deleted since the last scrub.
	Unscrubbed Warning = "deleted_data_in_files"
)

// Warnings returns what endangers acknowledged reports although everything works.
// Standbys that are not connected to the server are not noticed.
func (db *DB) Warnings(ctx context.Context) (found []Warning, err error) {
	var names, commit, fsync, timeout string
	var standbys int
	err = db.pool.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
		current_setting('fsync'), current_setting('statement_timeout'), (SELECT count(*) FROM pg_stat_replication)`).Scan(&names, &commit, &fsync, &timeout, &standbys)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the database: %w", explain(ctx, err))
	}
	if standbys > 0 && (names == "" || commit == "local") {
		found = append(found, Asynchronous)
	}
	if fsync == "off" {
		found = append(found, Unsynced)
	}
	if timeout != "0" {
		found = append(found, Timeouts)
	}
	if version, err := db.version(ctx); err != nil || version == 0 {
		return found, wrap("read the tables", explain(ctx, err)) // there are none
	}
	if due, err := db.Unscrubbed(ctx); err != nil {
		return nil, err
	} else if due {
		found = append(found, Unscrubbed)
	}
	return found, nil
}

// Text returns the warning for people, and what to do.
func (w Warning) Text() (text, hint string) {
	switch w {
	case Asynchronous:
		return "replication is asynchronous: a failover would lose acknowledged reports",
			"set synchronous_standby_names, and leave synchronous_commit on"
	case Unsynced:
		return "fsync is off: a power cut of the server could lose everything", "set fsync = on"
	case Timeouts:
		return "statement_timeout is set: a start that reads all installations, a check, or a scrub may never succeed",
			"ALTER ROLE USER SET statement_timeout = 0"
	case Unscrubbed:
		return "files of the database may hold data that was deleted", "rewrite its tables at a quiet time: rollcall collector scrub"
	}
	return string(w), ""
}

// Server returns the version of the server, such as 15.18.
func (db *DB) Server(ctx context.Context) (version string, err error) {
	err = db.pool.QueryRow(ctx, "SHOW server_version").Scan(&version)
	return version, wrap("read the version of the database", explain(ctx, err))
}
