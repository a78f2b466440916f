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
	// softPages is after how many changed pages the log is copied into the file, in the background.
	softPages = 2000
	// hardPages is the length of the log from which on commits wait for those who read from it.
	hardPages = 16_000
	// checkpointWait is for how long they do so at once, and restartTries how often before they go on nevertheless.
	checkpointWait = 200 * time.Millisecond
	restartTries   = 3
)

// MaxLog bounds the size of the log in bytes, beside what is committed while it is being copied and the size of one batch:
// about 64 MiB. For the most part it has 8 to 16 MiB. It is longer as long as another process reads from it without a
// pause, and when the disk does not take what is copied. See TestLogIsBounded.
const MaxLog = hardPages * (pageSize + 24)

// A checkpointer copies the log into the file. What is long about it is done beside commits; then those wait for a moment
// until the rest is copied too, since the log can start over only when nothing is left in it.
type checkpointer struct {
	store      *Store
	db         *sql.DB
	weight     atomic.Int64 // pages written since the last time
	unscrubbed atomic.Bool  // a scrub has to be finished
	wake       chan struct{}
	stop       context.CancelFunc
	done       chan struct{}
}

func newCheckpointer(ctx context.Context, s *Store) (*checkpointer, error) {
	db, err := sql.Open("sqlite", dsn(s.file, 1<<20, checkpointWait, false))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		db.Close()
		return nil, err
	}
	c := &checkpointer{store: s, db: db, wake: make(chan struct{}, 1), done: make(chan struct{})}
	running, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.weight.Store(softPages) // there may be a log from before
	c.nudge()
	go c.run(running)
	return c, nil
}

// wrote tells of a commit.
func (c *checkpointer) wrote(weight int) {
	if c.weight.Add(int64(weight)) >= softPages {
		c.nudge()
	}
}

// scrubLater lets a scrub be finished as soon as possible.
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

// retryAfter is how long a checkpoint that failed waits.
const retryAfter = time.Second

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.done)
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		err := c.look(ctx)
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

// look does what is due.
func (c *checkpointer) look(ctx context.Context) error {
	weight := c.weight.Load()
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
		c.weight.Add(-weight)
	}
	return err
}

// empty leaves nothing in the log. It waits for readers for up to busyTimeout, and interrupts checks. The store's lock is
// held.
func (c *checkpointer) empty(ctx context.Context) error {
	if err := c.insist(ctx, "TRUNCATE", int(busyTimeout/checkpointWait)); err != nil {
		return err
	}
	c.weight.Store(0)
	return nil
}

// insist makes a checkpoint that interrupts checks and waits for other readers, some times for checkpointWait.
func (c *checkpointer) insist(ctx context.Context, mode string, tries int) (err error) {
	for range tries {
		c.store.checks.interrupt()
		if _, err = c.checkpoint(ctx, mode); !errors.Is(explain(ctx, err), collector.ErrUnavailable) {
			return err
		}
	}
	return err
}

// checkpoint gives the number of pages that are in the log.
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
