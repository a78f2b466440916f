package keeper

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
)

// How often a keeper looks after the ID once it has started.
const (
	// lookEvery is the time between two looks while all is well: one read of the config, and a copy put back if a save
	// of the host removed it. More often would be a fight with the host.
	lookEvery = time.Hour
	// retryFirst is the time to the first retry after a fallback. It doubles up to lookEvery.
	retryFirst = time.Minute
	// consentEvery is the time between two looks while an ID may be made only after consent.
	consentEvery = time.Minute
	// jitter is the part by which the first two are lengthened at most, so that replicas do not look in step.
	jitter = 0.1
)

// lookAfter is the background work: it tries to persist what is not, and looks once an hour whether all is in place.
// It is patient: a storage operation may take as long as it likes here, and while one hangs no other is begun.
// What the start has left comes first. A look stands in line behind the operation that hangs, so that a stored ID is
// adopted as soon as it can be read.
func (k *Keeper) lookAfter(ctx context.Context, left leftover) {
	defer k.update(func(st *Status) { st.NextTry = time.Time{} })
	k.finish(ctx, left.attempt)
	if left.soon {
		k.look(ctx)
	}
	sound := k.recover(ctx)
	for retry := retryFirst; ; {
		var wait time.Duration
		switch st := k.Status(); {
		case st.ID.IsZero():
			wait = consentEvery
		case !st.Persisted || st.Incomplete || st.LastError != "":
			wait = jittered(retry)
			retry = min(2*retry, lookEvery)
		default:
			wait = jittered(lookEvery)
			retry = retryFirst
		}
		k.update(func(st *Status) { st.NextTry = time.Now().Add(wait) })
		if !sleep(ctx, wait) {
			return
		}
		if !sound { // and a look would call it persisted
			if sound = k.recover(ctx); !sound {
				continue
			}
		}
		k.look(ctx)
	}
}

// recover makes good what killed processes left behind, and tells whether a stored ID is known to be durable. The start
// has called it persisted, since nothing is to be waited for or written where an ID is found; whoever stored it may have
// been killed a moment before it was durable, though.
func (k *Keeper) recover(ctx context.Context) (sound bool) {
	m, ok := k.store.(Maintainer)
	if !ok || k.begin(ctx) != nil {
		return true
	}
	defer k.end()
	err := m.Recover(ctx)
	if err == nil || ctx.Err() != nil || configfile.Permanent(err) { // where nothing can be synced, nothing is to be waited for
		return true
	}
	k.opts.Logger.Debug(msgFailed, keyError, err.Error())
	k.update(func(st *Status) { st.Reason, st.LastError, st.LastErrorTime = err.Error(), err.Error(), time.Now() })
	k.tellPersisted(false)
	return false
}

// look reads what is stored, adopts it if it is another ID than the one in use, and saves the ID where it is missing.
func (k *Keeper) look(ctx context.Context) {
	if k.begin(ctx) != nil {
		return
	}
	defer k.end()
	begin := time.Now()
	attempt := k.Status().Attempts + 1
	absent := false
	result, err := k.try(ctx, attempt, &absent)
	if m, ok := k.store.(Maintainer); ok && result == installid.ResultFound {
		var rec Record
		rec, err = m.Maintain(ctx, k.ID())
		if !rec.ID.IsZero() {
			k.keep(rec)
		}
		switch {
		case err != nil:
			result = failure(ctx, err)
		case rec.Written:
			result = installid.ResultSaved
			k.reportPersisted(rec, attempt)
		}
	}
	if ctx.Err() != nil {
		return // stopped: not the storage's fault
	}
	if err != nil {
		k.opts.Logger.Debug(msgFailed, keyError, err.Error(), keyAttempt, attempt)
	}
	k.record(attempt, result, err, time.Since(begin))
}

func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*jitter*float64(d))
}

// sleep waits for d and tells whether ctx still stands.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
