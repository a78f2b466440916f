package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

const (
	// retryEvery is the interval of attempts while nobody leads, or the store does
	// not say who does.
	retryEvery = 200 * time.Millisecond
	// askTimeout bounds a question to the store.
	askTimeout = 2 * time.Second
	// openTimeout bounds the beginning of counting, and closeTimeout its end after
	// the lease is lost. Handing over has handOverTimeout.
	openTimeout     = time.Minute
	closeTimeout    = 3 * time.Second
	handOverTimeout = 20 * time.Second
)

// elect leads or follows until the replica is closed.
func (r *Replica) elect() {
	var f follower
	defer func() { f.stop() }()
	complained := false
	retired := false
	var namesake time.Time // since when a process at this address leads
	for r.run.Err() == nil {
		if r.isRetired() && !retired {
			retired = true
			close(r.idle)
		}
		leader, err := r.leader()
		wait := retryEvery/2 + rand.N(retryEvery/2)
		switch {
		case err != nil:
			if !complained && r.run.Err() == nil {
				r.log.Warn("The database does not say which replica counts", "error", err.Error())
			}
			complained = true
		case leader.Remaining > 0 && leader.Address != r.opts.Address:
			namesake = time.Time{}
			f.follow(r, leader.Address)
			wait = min(r.opts.Lease/6, leader.Remaining+time.Millisecond)
			complained = false
		case leader.Remaining > 0: // an earlier process at this address
			f.stop()
			if namesake.IsZero() {
				namesake = time.Now()
			} else if time.Since(namesake) > 2*r.opts.Lease && !complained {
				complained = true
				r.log.Warn("Another replica has the address of this one, which cannot reach it", "address", r.opts.Address)
			}
			wait = min(r.opts.Lease/6, leader.Remaining+time.Millisecond)
		case !retired:
			namesake = time.Time{}
			f.stop()
			if !r.takeOver(&complained) {
				break
			}
			continue
		default:
			f.stop()
		}
		r.pause(wait)
	}
	if !retired {
		close(r.idle)
	}
}

func (r *Replica) leader() (Leader, error) {
	ctx, cancel := context.WithTimeout(r.run, askTimeout)
	defer cancel()
	return r.opts.Election.Leader(ctx)
}

// pause waits, unless the leader may have changed or this replica retires.
func (r *Replica) pause(wait time.Duration) {
	select {
	case <-r.run.Done():
	case <-r.poke:
	case <-time.After(wait):
	}
}

// look has the election look at the leader at once.
func (r *Replica) look() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// takeOver leads if nobody else does, until the lease is lost or handed over. It
// reports whether it has led.
func (r *Replica) takeOver(complained *bool) bool {
	ctx, cancel := context.WithTimeout(r.run, askTimeout)
	defer cancel()
	begun := time.Now()
	term, err := r.opts.Election.Take(ctx, r.opts.Address, r.opts.Lease)
	if err != nil {
		if !errors.Is(err, ErrHeld) && !*complained && r.run.Err() == nil {
			r.log.Warn("No replica counts, and this one cannot take the lead", "error", err.Error())
			*complained = true
		}
		return false
	}
	*complained = false
	r.lead(term, newLease(begun, r.opts.Lease))
	return true
}

// lead counts for a term.
func (r *Replica) lead(term Term, l *lease) {
	defer term.Close()
	defer l.end()
	r.running.Go(func() { l.renew(term, r.log) })
	ctx, cancel := context.WithTimeout(l.ctx, openTimeout)
	began := time.Now()
	lead, err := r.opts.Open(ctx, watched{term, l})
	cancel()
	if err != nil {
		if l.ctx.Err() == nil {
			r.log.Error("This replica cannot count", "error", err.Error())
		}
		r.release(term)
		r.pause(time.Second) // so that another one tries
		return
	}
	t := &local{replica: r, lead: lead, lease: l}
	r.current.set(t)
	r.log.Info("This replica counts", "address", r.opts.Address, "opened_in", time.Since(began).Round(time.Millisecond).String())
	select {
	case <-l.ctx.Done():
		r.current.clear(t)
		r.log.Warn("This replica does not count any more: it could not renew its lease, or another one leads")
		r.end(lead, closeTimeout)
	case <-r.retired:
		r.current.clear(t)
		r.end(lead, handOverTimeout) // the lease is renewed meanwhile
		r.release(term)
		r.log.Info("This replica has handed over")
	}
}

// end ends counting, and stops waiting for it after a while. What is acknowledged
// is durable in any case.
func (r *Replica) end(lead *Lead, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	lead.Close(ctx)
}

func (r *Replica) release(term Term) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	if err := term.Release(ctx); err != nil && !errors.Is(err, collector.ErrLost) {
		r.log.Warn("The lease was not released and runs out by itself", "error", err.Error())
	}
}
