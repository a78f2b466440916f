package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The fence is the one row of rollcall_fence. A store holds it by a random token
// and an epoch, which grows with each holder. Correctness rests on them, and not
// on time: the lease only says when others may try.

// A Leader is who holds the fence.
type Leader struct {
	// Address is what the leader gave to [DB.Take]; empty if nobody ever led, or
	// the last leader has released the fence.
	Address string
	Epoch   int64
	// Remaining is the rest of the lease, by the database's clock. Nobody leads if
	// it is not positive.
	Remaining time.Duration
}

// Leader returns who holds the fence.
func (db *DB) Leader(ctx context.Context) (Leader, error) {
	var l Leader
	var address []byte
	var seconds float64
	err := db.pool.QueryRow(ctx, `SELECT holder, epoch,
		CASE WHEN until = '-infinity' THEN 0 ELSE extract(epoch FROM until - clock_timestamp())::float8 END
		FROM rollcall_fence WHERE id = 1`).Scan(&address, &l.Epoch, &seconds)
	if err != nil {
		return l, fmt.Errorf("read the fence: %w", explain(ctx, err))
	}
	l.Address, l.Remaining = string(address), time.Duration(seconds*float64(time.Second))
	return l, nil
}

// A HeldError means that another process leads.
type HeldError struct{ Leader }

func (e *HeldError) Error() string {
	return fmt.Sprintf("another collector, %s, counts in this database (for %s more unless it renews its lease)",
		e.Address, max(e.Remaining, 0).Round(time.Millisecond))
}

// Take attempts once to take the fence, and returns a [*HeldError] while another
// holds it, and [ErrNewer] if a newer version of the program has changed the tables. Address tells others where the leader is. Commits and [Store.Renew]
// extend the lease. The caller closes the store.
func (db *DB) Take(ctx context.Context, address string, lease time.Duration) (_ *Store, err error) {
	if lease < time.Millisecond {
		return nil, fmt.Errorf("lease of %s", lease)
	}
	s := &Store{reader: &db.reader, db: db, lease: lease, answerLimit: answerLimit, doubtLimit: doubtLimit}
	rand.Read(s.token[:])
	defer func() {
		if err != nil {
			s.drop()
			err = fmt.Errorf("take the lead in database %s: %w", db.Name(), explain(ctx, err))
		}
	}()
	if s.wire, err = db.dial(ctx); err != nil {
		return nil, err
	}
	s.taken = time.Now()
	message := append(query(), "UPDATE rollcall_fence SET epoch = epoch + 1, token = "...)
	message = appendBytes(message, s.token[:])
	message = append(message, ", holder = "...)
	message = appendBytes(message, []byte(address))
	message = append(message, ", until = now() + "+s.interval()+" WHERE id = 1 AND until <= now()"+
		" AND NOT EXISTS (SELECT FROM rollcall_schema WHERE version > "+strconv.Itoa(schemaVersion)+") RETURNING epoch, seq"...)
	deadline, ok := ctx.Deadline()
	if limit := time.Now().Add(answerLimit); !ok || deadline.After(limit) {
		deadline = limit
	}
	stop := context.AfterFunc(ctx, s.wire.close)
	r, err := s.wire.exec(message, deadline)
	stop()
	switch {
	case err != nil:
		return nil, err
	case r.err != nil:
		return nil, r.err
	case r.warning != "":
		return nil, fmt.Errorf("%w: %s", collector.ErrUnavailable, r.warning)
	}
	if ok, err := s.adopt(r); err != nil || ok {
		return s, err
	}
	// During an update, a newer process may have changed the tables meanwhile.
	if err := db.checkVersion(ctx); err != nil {
		return nil, err
	}
	leader, err := db.Leader(ctx)
	if err != nil {
		return nil, err
	}
	return nil, &HeldError{leader}
}

// adopt reads epoch and seq from the answer to an update of the fence, and
// reports whether it updated anything.
func (s *Store) adopt(r *reply) (ok bool, err error) {
	if len(r.rows) != 1 || len(r.rows[0]) != 2 {
		return false, nil
	}
	epoch, err := strconv.ParseInt(string(r.rows[0][0]), 10, 64)
	if err != nil {
		return false, err
	}
	seq, err := strconv.ParseInt(string(r.rows[0][1]), 10, 64)
	if err != nil {
		return false, err
	}
	s.epoch, s.seq = epoch, seq
	return true, nil
}

// interval is the lease in SQL.
func (s *Store) interval() string {
	return fmt.Sprintf("interval '%d milliseconds'", s.lease.Milliseconds())
}

// Renew extends the lease. It returns [collector.ErrLost] if another process took
// over, and another error if that is not known. It is safe for concurrent use,
// also during a commit, which it waits for.
func (s *Store) Renew(ctx context.Context) error {
	if s.lost.Load() {
		return fmt.Errorf("renew the lease: %w", collector.ErrLost)
	}
	tag, err := s.db.pool.Exec(ctx, "UPDATE rollcall_fence SET until = greatest(until, now() + $2 * interval '1 millisecond') WHERE id = 1 AND token = $1",
		s.token[:], s.lease.Milliseconds())
	if err == nil && tag.RowsAffected() == 0 {
		err = collector.ErrLost
	}
	if err != nil {
		return fmt.Errorf("renew the lease: %w", explain(ctx, err))
	}
	return nil
}

// Keep renews the lease until ctx ends, and then returns nil. It returns
// [collector.ErrLost] if another process took over, or before one can: as soon as
// the lease has passed, by this machine's monotonic clock, since the last
// successful renewal began. From then on no commit succeeds. Call it right after
// [DB.Take].
func (s *Store) Keep(ctx context.Context) error {
	ends := s.taken.Add(s.lease)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(s.lease/4, time.Until(ends))):
		}
		began := time.Now()
		attempt, cancel := context.WithDeadline(ctx, ends)
		err := s.Renew(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			ends = began.Add(s.lease)
		case errors.Is(err, collector.ErrLost), !time.Now().Before(ends):
			s.lost.Store(true)
			if !errors.Is(err, collector.ErrLost) {
				err = fmt.Errorf("%w: the lease has ended: %w", collector.ErrLost, err)
			}
			return err
		}
	}
}

// Release ends the lease, so that another process can lead at once. No commit
// succeeds afterwards. It waits for the answer to the current one, and does not
// wait until its outcome is known if that is in doubt.
func (s *Store) Release(ctx context.Context) error {
	s.lost.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	release := func() error {
		_, err := s.db.pool.Exec(ctx, "UPDATE rollcall_fence SET epoch = epoch + 1, token = '', holder = '', until = now() WHERE id = 1 AND token = $1", s.token[:])
		return err
	}
	err := release()
	if _, answered := errors.AsType[*pgconn.PgError](err); err != nil && !answered && ctx.Err() == nil {
		s.db.pool.Reset() // idle connections may all be broken, as after the restart of a pooler
		err = release()
	}
	if err != nil {
		return fmt.Errorf("release the lease: %w", explain(ctx, err))
	}
	return nil
}

// appendBytes appends bytes to a message as SQL. It is the only way for data to
// get there, besides numbers: only hexadecimal digits are left of it.
func appendBytes(message, data []byte) []byte {
	message = append(message, `'\x`...)
	message = hex.AppendEncode(message, data)
	return append(message, `'::bytea`...)
}
