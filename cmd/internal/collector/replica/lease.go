package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A lease says how long this replica may answer. It counts from the beginning of
// the last renewal that succeeded, by the process's own monotonic clock, and so
// ends before the store lets anyone else lead: the store counts from when it
// received the renewal. A tenth less allows for clocks that run at different
// speeds.
type lease struct {
	length time.Duration
	ctx    context.Context // ends with the lease
	cancel context.CancelFunc

	mu    sync.Mutex
	begun time.Time
	timer *time.Timer
}

// newLease returns a lease that was requested at a time.
func newLease(begun time.Time, length time.Duration) *lease {
	l := &lease{length: length - length/10}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.begun = begun
	l.timer = time.AfterFunc(time.Until(begun.Add(l.length)), l.expire)
	return l
}

// valid reports whether this replica may answer.
func (l *lease) valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ctx.Err() == nil && time.Since(l.begun) < l.length
}

// remaining returns the rest of the lease.
func (l *lease) remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.length - time.Since(l.begun)
}

// extend notes a renewal that was begun at a time. It revives no lease that has
// ended.
func (l *lease) extend(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() == nil && time.Since(l.begun) < l.length {
		l.begun = begun
		l.timer.Reset(time.Until(begun.Add(l.length)))
	}
}

func (l *lease) expire() {
	if l.remaining() <= 0 {
		l.cancel()
	}
}

// end ends the lease at once.
func (l *lease) end() {
	l.timer.Stop()
	l.cancel()
}

// renew keeps the lease of a term until it is lost.
func (l *lease) renew(term Term, log *slog.Logger) {
	failed := false
	for {
		wait := l.length / 3
		if failed {
			wait = l.length / 10
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(wait):
		}
		begun := time.Now()
		ctx, cancel := context.WithTimeout(l.ctx, max(l.remaining(), time.Millisecond))
		err := term.Renew(ctx)
		cancel()
		switch {
		case err == nil:
			l.extend(begun)
		case errors.Is(err, collector.ErrLost):
			l.end()
			return
		case !failed && l.ctx.Err() == nil:
			log.Warn("The lease cannot be renewed", "error", err.Error())
		}
		failed = err != nil
	}
}

// A watched store ends the lease when a commit says that the term is lost.
type watched struct {
	Term
	lease *lease
}

// Commit implements [collector.Store].
func (w watched) Commit(ctx context.Context, b *collector.Batch) (int64, error) {
	journal, err := w.Term.Commit(ctx, b)
	if errors.Is(err, collector.ErrLost) {
		w.lease.end()
	}
	return journal, err
}

// Close leaves the term open: the replica closes it.
func (w watched) Close() error { return nil }
