package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	// answerLimit bounds the wait for the answer to a commit, also if its context
	// has no end.
	answerLimit = 10 * time.Second
	// doubtLimit bounds the time to find out what became of a commit.
	doubtLimit = 10 * time.Second
	// retryPause is the pause before a commit that conflicted, or a connection that
	// failed, is tried again: half of it to all of it.
	retryPause = 50 * time.Millisecond
)

// A Store is a [collector.Store] that leads. [DB.Take] makes one. It is safe for
// concurrent use, except that one goroutine commits. It stays valid only as long
// as nobody else leads: then Commit returns [collector.ErrLost], and reads go on.
type Store struct {
	*reader
	db    *DB
	token [16]byte
	lease time.Duration
	taken time.Time // before the fence was
	lost  atomic.Bool
	// The limits are constants, but for tests.
	answerLimit, doubtLimit time.Duration

	// mu is held while the connection is in use.
	mu         sync.Mutex
	wire       *wire // nil if it must be created
	epoch, seq int64
}

var _ collector.Store = (*Store)(nil)

// Commit implements [collector.Store]. It takes up to twenty seconds longer than
// its context if the outcome is in doubt.
func (s *Store) Commit(ctx context.Context, b *collector.Batch) (journal int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := b.Validate(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.commit(ctx, b); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	if len(b.Journal) > 0 {
		return s.seq, nil
	}
	return 0, nil
}

// commit writes a batch. The caller holds mu.
func (s *Store) commit(ctx context.Context, b *collector.Batch) error {
	deadline := time.Now().Add(s.answerLimit)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	for {
		if s.lost.Load() {
			return collector.ErrLost
		}
		err := s.attempt(ctx, b, deadline)
		if err == nil || !errors.Is(err, errAgain) {
			return err
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
		}
		pause()
	}
}

// errAgain means that nothing was written, and that another attempt may succeed
// at once.
var errAgain = errors.New("nothing was written")

func pause() { time.Sleep(retryPause/2 + rand.N(retryPause/2)) }

// attempt writes a batch, and resolves what is in doubt.
func (s *Store) attempt(ctx context.Context, b *collector.Batch, deadline time.Time) error {
	if s.wire == nil {
		w, err := s.db.dial(ctx)
		if err != nil {
			return explain(ctx, err)
		}
		s.wire = w
	}
	message, statements, err := s.message(b)
	if err != nil {
		return err
	}
	r, err := s.wire.exec(message, deadline)
	switch {
	case err != nil:
		return s.doubt(err, s.seq+1)
	case r.warning != "":
		// The server stopped waiting for a standby, and says so in no other way.
		return s.doubt(errors.New(r.warning), s.seq+1)
	case r.err != nil:
		return s.refused(r, r.err)
	case r.inTx || len(r.tags) != statements || r.tags[statements-1] != "COMMIT":
		return s.doubt(fmt.Errorf("unexpected answer %q", strings.Join(r.tags, ", ")), s.seq+1)
	}
	s.seq++
	return nil
}

// refused handles an error of the server, which has rolled back.
func (s *Store) refused(r *reply, e *pgconn.PgError) error {
	switch {
	case isUncertain(e):
		return s.doubt(e, s.seq+1)
	case e.Code == "22012": // division by zero: the fence is not ours
		s.lose()
		return fmt.Errorf("%w: another process leads", collector.ErrLost)
	}
	if r.inTx && !s.rollback() {
		s.drop()
	}
	switch {
	case e.Code == "40001", e.Code == "40P01": // serialization failure, deadlock
		return fmt.Errorf("%w: %w", errAgain, e)
	case e.Code == "25006":
		s.drop() // the address may lead to another server now
	}
	return explain(context.Background(), e)
}

// isUncertain reports whether an error does not say what became of the commit.
func isUncertain(e *pgconn.PgError) bool {
	return e.Code == "40003" || strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P")
}

// rollback ends a transaction that failed, and reports whether it has.
func (s *Store) rollback() bool {
	r, err := s.wire.exec(append(query(), "ROLLBACK"...), time.Now().Add(answerLimit))
	return err == nil && r.err == nil && !r.inTx
}

// doubt finds out what became of a commit that was not answered, and that makes
// wanted the number of the last commit. It returns nil if it was written, and
// errAgain if it was not and never will be.
func (s *Store) doubt(cause error, wanted int64) error {
	s.drop()
	s.db.log.Debug("Outcome of a commit is in doubt", "error", cause.Error())
	before := s.seq
	ctx, cancel := context.WithTimeout(context.Background(), s.doubtLimit)
	defer cancel()
	for {
		ok, err := s.bump(ctx)
		switch {
		case err == nil && ok && s.seq == wanted:
			return nil
		case err == nil && ok && s.seq == before:
			return fmt.Errorf("%w: %w", errAgain, cause)
		case err == nil:
			s.lose()
			return fmt.Errorf("%w: another process leads: %w", collector.ErrLost, cause)
		case ctx.Err() != nil:
			s.lose()
			return fmt.Errorf("%w: %w; it cannot be found out: %w", collector.ErrLost, cause, err)
		case s.lost.Load():
			return fmt.Errorf("%w: %w; the lease was released", collector.ErrLost, cause)
		}
		pause()
	}
}

// bump takes a new epoch, which voids all earlier messages, and reads the number of
// the last commit. It waits for a commit under way and for any standbys. It
// reports whether this store holds the fence. It does not extend the lease, which
// may have ended for the caller: others would wait for nothing.
func (s *Store) bump(ctx context.Context) (ok bool, err error) {
	w, err := s.db.dial(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		if s.wire != w {
			w.close()
		}
	}()
	message := append(query(), "UPDATE rollcall_fence SET epoch = epoch + 1 WHERE id = 1 AND token = "...)
	message = appendBytes(message, s.token[:])
	message = append(message, " RETURNING epoch, seq"...)
	deadline, _ := ctx.Deadline()
	r, err := w.exec(message, deadline)
	switch {
	case err != nil:
		return false, err
	case r.err != nil:
		return false, r.err
	case r.warning != "":
		return false, errors.New(r.warning)
	}
	if ok, err = s.adopt(r); ok {
		s.wire = w
	}
	return ok, err
}

// lose gives up for good.
func (s *Store) lose() {
	s.lost.Store(true)
	s.drop()
}

// drop closes the connection.
func (s *Store) drop() {
	if s.wire != nil {
		s.wire.close()
		s.wire = nil
	}
}

// releaseLimit bounds the release of the lease in Close.
const releaseLimit = 2 * time.Second

// Close implements [collector.Store]. It releases the lease. The DB stays open.
func (s *Store) Close() error {
	var err error
	if !s.lost.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), releaseLimit)
		defer cancel()
		err = s.Release(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	return err
}
