package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const checkTries = 3

// Check implements [collector.Store]. It checks the structure of the file, the
// checksum of each row, and that identities and installations belong to each
// other. It holds a snapshot,
// so a scrub, or a log that reaches its bound, interrupts it and it starts again;
// after the third time it returns [collector.ErrUnavailable].
func (s *Store) Check(ctx context.Context) error {
	for range checkTries {
		running, end := s.checks.begin(ctx)
		err := check(running, s.reads)
		interrupted := err != nil && running.Err() != nil && ctx.Err() == nil
		end()
		if !interrupted {
			return err
		}
	}
	return fmt.Errorf("%w: writes interrupted the check %d times", collector.ErrUnavailable, checkTries)
}

// invariants are queries whose result must be 0. Those in sums hold from version
// sumsVersion on.
var (
	invariants = []invariant{
		{"SELECT count(*) FROM identity WHERE app << 32 | num NOT IN (SELECT id FROM installation)",
			"identities have no installation"},
		{"SELECT count(*) FROM installation WHERE id NOT IN (SELECT app << 32 | num FROM identity)",
			"installations have no identity"},
		{"SELECT count(*) - count(DISTINCT app << 32 | num) FROM identity", "identities share an installation"},
		{"SELECT count(*) FROM identity WHERE length(key) <> 16", "identities have a key that is not 16 bytes long"},
		{"SELECT count(*) FROM installation WHERE length(state) = 0", "installations have no state"},
		{"SELECT coalesce(max(number) - min(number) + 1 - count(*), 0) FROM journal", "entries of the journal are missing"},
		{"SELECT count(*) FROM sqlite_sequence WHERE name = 'journal' AND seq <> (SELECT max(number) FROM journal)",
			"entries of the journal are missing at its end"},
	}
	sums = []invariant{
		{"SELECT count(*) FROM identity WHERE sum <> rollcall_sum(key, app, num)", "identities have a wrong checksum"},
		{"SELECT count(*) FROM installation WHERE NOT rollcall_intact(id, state)", "installations have a wrong checksum"},
		{"SELECT count(*) FROM record WHERE NOT rollcall_intact(kind, app, day, name, data)", "records have a wrong checksum"},
		{"SELECT count(*) FROM journal WHERE NOT rollcall_intact(data)", "entries of the journal have a wrong checksum"},
	}
)

type invariant struct{ query, complaint string }

func check(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return explain(ctx, err)
	}
	defer tx.Rollback()
	rows, err := tx.QueryContext(ctx, "PRAGMA integrity_check(10)")
	if err != nil {
		return explain(ctx, err)
	}
	defer rows.Close()
	var found []error
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			found = append(found, errors.New(line))
		}
	}
	if err := rows.Err(); err != nil {
		return explain(ctx, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(found...))
	}
	holding := invariants
	if version, err := schemaVersion(ctx, tx); err != nil {
		return explain(ctx, err)
	} else if version >= sumsVersion {
		holding = slices.Concat(invariants, sums)
	}
	for _, invariant := range holding {
		var count int64
		if err := tx.QueryRowContext(ctx, invariant.query).Scan(&count); err != nil {
			return explain(ctx, err)
		}
		if count != 0 {
			found = append(found, fmt.Errorf("%d %s", count, invariant.complaint))
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(found...))
	}
	return nil
}

// An interruptible cancels all the operations that have begun and not ended.
type interruptible struct{ cancels sync.Map } // of *context.CancelFunc

func (i *interruptible) begin(ctx context.Context) (running context.Context, end func()) {
	running, cancel := context.WithCancel(ctx)
	i.cancels.Store(&cancel, nil)
	return running, func() {
		cancel()
		i.cancels.Delete(&cancel)
	}
}

func (i *interruptible) interrupt() {
	for cancel := range i.cancels.Range {
		(*cancel.(*context.CancelFunc))()
	}
}
