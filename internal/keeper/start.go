package keeper

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
)

// A remainder is the work that Start leaves to the background.
type remainder struct {
	// checkNow asks for a check at once: the storage did not answer in time,
	// or a copy is missing.
	checkNow bool
	// attempt is the number of the attempt to resume with if the ID is
	// persisted but its copy failed for now, or 0.
	attempt int
}

// establish settles the ID within Options.StartTimeout.
func (k *Keeper) establish(ctx context.Context) (rest remainder) {
	ctx, cancel := context.WithTimeoutCause(ctx, k.opts.StartTimeout, errStartTimeout)
	defer cancel()

	absent := false
	next, err := k.attempts(ctx, 1, &absent)
	st := k.Status()
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errStop):
		// Nothing went wrong, and nothing has started.
		k.settle()
		return remainder{}
	case err == nil:
		rest.checkNow = st.Stored && st.Incomplete
	case st.Stored: // in the anchor; the background writes the config
		rest.attempt = next
	default:
		k.fallBack(ctx, err)
	}
	k.settle()
	if k.opts.OnSettled != nil {
		k.opts.OnSettled(ctx, k.Status())
	}
	rest.checkNow = rest.checkNow || rest.attempt == 0 && isTimeout(ctx, err)
	return rest
}

func (k *Keeper) settle() {
	k.update(func(st *Status) { st.Settled = true })
	close(k.settled)
}

// finish makes the attempts that Start did not wait for.
func (k *Keeper) finish(ctx context.Context, attempt int) {
	ctx, cancel := context.WithTimeoutCause(ctx, k.opts.StartTimeout, errStartTimeout)
	defer cancel()
	absent := true // the config has no ID
	for attempt > 0 {
		attempt, _ = k.attempts(ctx, attempt, &absent)
	}
}

// attempts retries until success, a permanent error, or only the copy in the
// config fails, as it does while the host has its config open for writing.
// Nobody has to wait for the copy: next is the attempt to resume with, or 0. It
// sets absent once a read has found no ID.
func (k *Keeper) attempts(ctx context.Context, attempt int, absent *bool) (next int, err error) {
	for ; attempt <= k.opts.Attempts; attempt++ {
		if attempt > 1 && !sleep(ctx, k.opts.Backoff<<(attempt-2)) {
			return 0, cmp.Or(err, context.Cause(ctx))
		}
		err = k.attempt(ctx, attempt, absent)
		if err == nil || ctx.Err() != nil || isPermanent(err) {
			return 0, err
		}
		if k.Status().Stored && !isTimeout(ctx, err) {
			return attempt + 1, err
		}
	}
	return 0, err
}

// attempt makes one attempt within its limit, and records and logs its result.
func (k *Keeper) attempt(start context.Context, attempt int, absent *bool) error {
	ctx, cancel := context.WithTimeout(start, k.opts.AttemptTimeout)
	defer cancel()
	begin := time.Now()
	result, err := installid.ResultTimeout, k.lockStore(ctx)
	if err == nil {
		result, err = k.findOrSave(ctx, attempt, absent)
		k.unlockStore()
	}
	if err != nil && errors.Is(context.Cause(start), errStop) {
		return err // not the storage's fault
	}
	k.recordAttempt(attempt, result, err, time.Since(begin))
	switch {
	case result == installid.ResultFailed:
		k.opts.Logger.Warn(k.msg.failed, keyError, err.Error(), keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	case result == installid.ResultTimeout && start.Err() == nil: // else fallBack logs the end of the start
		k.opts.Logger.Warn(k.msg.timedOut, keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	}
	return err
}

// fallBack lets the ID in memory serve.
func (k *Keeper) fallBack(ctx context.Context, err error) {
	k.update(func(st *Status) { st.Reason = err.Error() })
	if k.ID().IsZero() {
		return // none may be created
	}
	k.notify(func(o installid.Observer) { o.FellBack(err.Error()) })
	k.setPersisted(false)
	k.logGenerated() // not logged yet if the storage could not be read
	if errors.Is(context.Cause(ctx), errStartTimeout) {
		k.opts.Logger.Error(msgStartTimeout, keyTimeout, k.opts.StartTimeout)
		return
	}
	k.opts.Logger.Warn(k.msg.inMemory, keyID, k.ID().Short(), keyError, err.Error(), keyNote, inMemoryNote)
}
