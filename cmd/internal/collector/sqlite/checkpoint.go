package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	pageSize = 4096
	// softPages is the number of changed pages after which the log is copied to
	// the file in the background.
	softPages = 2000
	// hardPages is how long the log may grow before commits wait for readers.
	hardPages = 16_000
	// checkpointWait is how long one attempt waits for readers, and
	// restartTries is the number of attempts before commits continue anyway.
	checkpointWait = 200 * time.Millisecond
	restartTries   = 3
	// retryAfter is the delay after a checkpoint that failed.
	retryAfter = time.Second
)

// MaxLog bounds the size of the log: about 64 MiB, plus one batch and what is
// committed while the log is copied. It is usually 8 to 16 MiB. It is larger
// while another process reads from it without a pause, or while the disk does
// not accept the copy. See TestLogIsBounded.
const MaxLog = hardPages * (pageSize + 24)

// A checkpointer copies the log to the file. It does the long part concurrently
// with commits. Then they wait for a moment until the rest is copied too,
// because the log can start over only when nothing in it remains to be copied.
type checkpointer struct {
	store      *Store
	db         *sql.DB
	changed    atomic.Int64 // pages changed since the last checkpoint
	unscrubbed atomic.Bool  // a scrub is incomplete
	wake       chan struct{}
	stop       context.CancelFunc
	done       chan struct{}
}

func newCheckpointer(ctx context.Context, s *Store) (*checkpointer, error) {
	db, err := openDB(s.file, 1<<20, checkpointWait, false, 1)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, err
	}
	c := &checkpointer{store: s, db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.wrote(softPages) // a log may be left from before
	go c.run(running)
	return c, nil
}

// wrote is called after a commit that changed about so many pages.
func (c *checkpointer) wrote(pages int) {
	if c.changed.Add(int64(pages)) >= softPages {
		c.nudge()
	}
}

func (c *checkpointer) scrubLater(cause error) {
	c.store.log.Warn("Deleted data cannot be removed from all files of the database yet", "error", cause.Error())
	c.unscrubbed.Store(true)
	c.nudge()
}

func (c *checkpointer) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		err := c.work(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			c.store.log.Warn("Log of the database cannot be copied yet", "error", err.Error())
		}
		if failed = err != nil; failed {
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryAfter):
				c.nudge()
			}
		}
	}
}

// work makes a checkpoint, and completes a scrub if one is incomplete.
func (c *checkpointer) work(ctx context.Context) error {
	changed := c.changed.Load()
	length, err := c.checkpoint(ctx, "PASSIVE")
	if err != nil {
		return err
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.unscrubbed.Load():
		err = s.scrub(ctx)
	case length >= hardPages:
		err = c.insist(ctx, "RESTART", restartTries)
	default:
		_, err = c.checkpoint(ctx, "PASSIVE")
	}
	if err == nil {
		c.changed.Add(-changed)
	}
	return err
}

// empty empties the log. It interrupts checks, and waits up to busyTimeout for
// other readers. The caller holds the store's mu.
func (c *checkpointer) empty(ctx context.Context) error {
	if err := c.insist(ctx, "TRUNCATE", int(busyTimeout/checkpointWait)); err != nil {
		return err
	}
	c.changed.Store(0)
	return nil
}

// insist makes a checkpoint that waits for readers. Each attempt interrupts
// checks and waits up to checkpointWait.
func (c *checkpointer) insist(ctx context.Context, mode string, tries int) (err error) {
	for range tries {
		c.store.checks.interrupt()
		if _, err = c.checkpoint(ctx, mode); !errors.Is(explain(ctx, err), collector.ErrUnavailable) {
			return err
		}
	}
	return err
}

// checkpoint returns the number of pages in the log.
func (c *checkpointer) checkpoint(ctx context.Context, mode string) (length int, err error) {
	var blocked, copied int
	err = c.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&blocked, &length, &copied)
	if err == nil && blocked != 0 {
		err = fmt.Errorf("%w: log is in use by another connection", collector.ErrUnavailable)
	}
	return length, err
}

func (c *checkpointer) close() error {
	c.stop()
	<-c.done
	return c.db.Close()
}
