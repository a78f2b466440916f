package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Check implements [collector.Store]: the structure of the file, and that each identity has an installation and the
// reverse. It holds a snapshot, so it is interrupted, and starts again, when something is scrubbed or when the log has
// grown to its bound meanwhile; after checkTries times it is given up with [collector.ErrUnavailable].
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
	return fmt.Errorf("%w: check was interrupted %d times by what is written", collector.ErrUnavailable, checkTries)
}

const checkTries = 3

// invariants are questions whose answer has to be 0.
var invariants = []struct{ text, complaint string }{
	{"SELECT count(*) FROM identity WHERE app << 32 | num NOT IN (SELECT id FROM installation)",
		"identities have no installation"},
	{"SELECT count(*) FROM installation WHERE id NOT IN (SELECT app << 32 | num FROM identity)",
		"installations have no identity"},
	{"SELECT count(*) - count(DISTINCT app << 32 | num) FROM identity", "identities share an installation"},
	{"SELECT count(*) FROM identity WHERE length(key) <> 16", "identities have a key of another length than 16 bytes"},
	{"SELECT count(*) FROM installation WHERE length(state) = 0", "installations have no state"},
}

// check looks at one snapshot of a database.
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
		return fmt.Errorf("database is damaged: %w", errors.Join(found...))
	}
	for _, question := range invariants {
		var count int64
		if err := tx.QueryRowContext(ctx, question.text).Scan(&count); err != nil {
			return explain(ctx, err)
		}
		if count != 0 {
			found = append(found, fmt.Errorf("%d %s", count, question.complaint))
		}
	}
	return errors.Join(found...)
}

// An interruptible is what can be stopped by others, any number of it at the same time.
type interruptible struct {
	mu      sync.Mutex
	cancels map[*context.CancelFunc]bool
}

func (i *interruptible) begin(ctx context.Context) (running context.Context, end func()) {
	running, cancel := context.WithCancel(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cancels == nil {
		i.cancels = make(map[*context.CancelFunc]bool)
	}
	i.cancels[&cancel] = true
	return running, func() {
		cancel()
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.cancels, &cancel)
	}
}

func (i *interruptible) interrupt() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for cancel := range i.cancels {
		(*cancel)()
	}
}
