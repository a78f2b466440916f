package keeper

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
)

// How often a keeper checks the stored ID once it has started.
const (
	// checkEvery is the time between two checks while all is well. A check
	// reads the config, and writes the copy again if a save of the host
	// removed it. More often would be a fight with the host.
	checkEvery = time.Hour
	// lookEvery is the time between two looks at the stored ID between the
	// checks, with Options.Look. A look never writes over what the host saves.
	lookEvery = time.Minute
	// firstRetry is the time to the first check after a failure. It doubles
	// up to checkEvery.
	firstRetry = time.Minute
	// consentEvery is the time between two checks while Options.MayCreate
	// forbids an ID.
	consentEvery = time.Minute
	// jitter is the greatest part by which the first two are lengthened, so
	// that replicas do not check in step.
	jitter = 0.1
)

// runInBackground does what Start left, then saves what is not persisted,
// checks the stored ID once an hour, and looks at it once a minute.
//
// It is patient: a storage operation may take as long as it likes, and while
// one hangs no other begins. A check waits behind it, so that a stored ID is
// adopted as soon as it can be read.
func (k *Keeper) runInBackground(ctx context.Context, rest remainder) {
	defer k.update(func(st *Status) { st.NextTry = time.Time{} })
	k.finish(ctx, rest.attempt)
	if rest.checkNow {
		k.check(ctx)
	}
	durable := k.repair(ctx)
	for retry := firstRetry; ; {
		var wait time.Duration
		switch st := k.Status(); {
		case st.ID.IsZero():
			wait = consentEvery
		case !st.Persisted || st.Incomplete || st.LastError != "":
			wait = jittered(retry)
			retry = min(2*retry, checkEvery)
		default:
			wait = jittered(checkEvery)
			retry = firstRetry
		}
		next := time.Now().Add(wait)
		k.update(func(st *Status) { st.NextTry = next })
		k.idle(ctx, next, durable)
		if ctx.Err() != nil {
			return
		}
		if !durable { // and a check would call it persisted
			if durable = k.repair(ctx); !durable {
				continue
			}
		}
		k.check(ctx)
	}
}

// idle waits until next and looks at the stored ID meanwhile: once a minute if
// all is well, and when that is asked for. It returns early if a reset left
// something to save.
func (k *Keeper) idle(ctx context.Context, next time.Time, durable bool) {
	persisted := k.Status().Persisted
	for k.Status().Persisted == persisted && ctx.Err() == nil {
		left := time.Until(next)
		if durable && k.opts.Look && persisted && left > lookEvery {
			left = lookEvery
		}
		if asked := k.sleep(ctx, left); !asked && time.Until(next) <= 0 {
			return
		}
		k.look(ctx)
	}
}

// repair repairs what killed processes left behind. It reports whether a
// stored ID is known to be durable: Start calls a stored ID persisted without
// waiting or writing, but whoever stored it may have been killed a moment
// before it was durable.
func (k *Keeper) repair(ctx context.Context) (durable bool) {
	if k.lockStore(ctx) != nil {
		return true
	}
	defer k.unlockStore()
	err := k.store.Recover(ctx)
	if err == nil || ctx.Err() != nil || configfile.Permanent(err) { // no point in waiting where nothing can be synced
		return true
	}
	k.opts.Logger.Debug(k.msg.failed, keyError, err.Error())
	k.update(func(st *Status) { st.Reason, st.LastError, st.LastErrorTime = err.Error(), err.Error(), time.Now() })
	k.setPersisted(false)
	return false
}

// check reads the stored ID, adopts it if it differs from the one in use, and
// saves the ID where it is missing.
func (k *Keeper) check(ctx context.Context) {
	if k.lockStore(ctx) != nil {
		return
	}
	defer k.unlockStore()
	begin := time.Now()
	attempt := k.Status().Attempts + 1
	absent := false
	result, err := k.findOrSave(ctx, attempt, &absent)
	if result == installid.ResultFound {
		var rec Record
		rec, err = k.store.Maintain(ctx, k.ID())
		if !rec.ID.IsZero() {
			k.adopt(rec)
		}
		switch {
		case err != nil:
			result = failure(ctx, err)
		case rec.Written:
			result = installid.ResultSaved
			k.logPersisted(rec, attempt)
		}
	}
	if ctx.Err() != nil {
		return // stopped: not the storage's fault
	}
	if err != nil {
		k.opts.Logger.Debug(k.msg.failed, keyError, err.Error(), keyAttempt, k.saveAttempt(attempt))
	}
	k.recordAttempt(attempt, result, err, time.Since(begin))
}

// look adopts the stored ID if the operator or another process has changed it,
// and lets the anchor follow: while that has another ID, a save of the host
// that removes this one would bring the other back. If all that is stored was
// retired, as in a restored backup, it checks at once: else the next start would
// make another ID. It leaves everything else to the next check.
func (k *Keeper) look(ctx context.Context) {
	if k.lookStored(ctx) {
		k.check(ctx)
	}
}

// lookStored is look, except that it reports whether to check.
func (k *Keeper) lookStored(ctx context.Context) (stale bool) {
	if k.lockStore(ctx) != nil {
		return false
	}
	defer k.unlockStore()
	rec, err := k.store.Load(ctx)
	if err == nil && !rec.Unsynced && rec.ID != k.ID() {
		k.adopt(rec)
		if !rec.Incomplete {
			k.store.Maintain(ctx, rec.ID) // if it fails, the check does it
		}
	}
	return errors.Is(err, ErrNotFound) && rec.Retired
}

func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*jitter*float64(d))
}

// sleep waits for d, until ctx ends, or until a look is asked for, which it
// reports.
func (k *Keeper) sleep(ctx context.Context, d time.Duration) (asked bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.lookSoon:
		return true
	case <-ctx.Done():
	}
	return false
}

// sleep waits for d. It returns false as soon as ctx ends.
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
