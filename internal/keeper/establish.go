package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// resultWithheld is the result of an attempt that ended before it began, since no ID may be made. No observer is told.
const resultWithheld installid.Result = ""

// A leftover is what a start leaves to the background.
type leftover struct {
	// soon says that there is something to do at once: wait for a storage that did not answer in time, or make a copy
	// that was found missing.
	soon bool
	// attempt is the one to go on with, where the ID is persisted and the copy of it failed for now; 0 when there is none.
	attempt int
}

// establish takes the first decision about the ID.
func (k *Keeper) establish(ctx context.Context) (left leftover) {
	ctx, cancel := context.WithTimeoutCause(ctx, k.opts.StartTimeout, errStartTimeout)
	defer cancel()

	absent := false
	next, err := k.attempts(ctx, 1, &absent)
	st := k.Status()
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errStop):
		// Nothing went wrong, and nothing has started.
		k.update(func(st *Status) { st.Settled = true })
		close(k.settled)
		return leftover{}
	case err == nil:
		left.soon = st.Persisted && st.Incomplete
	case st.Persisted: // in the anchor, and the background goes on with the config
		left.attempt = next
	default:
		k.fallBack(ctx, err)
	}
	k.update(func(st *Status) { st.Settled = true })
	close(k.settled)
	if k.opts.OnSettled != nil {
		k.opts.OnSettled(ctx, k.Status())
	}
	left.soon = left.soon || left.attempt == 0 && isTimeout(ctx, err)
	return left
}

// finish makes the attempts that a start did not wait for.
func (k *Keeper) finish(ctx context.Context, attempt int) {
	ctx, cancel := context.WithTimeoutCause(ctx, k.opts.StartTimeout, errStartTimeout)
	defer cancel()
	absent := true // it was saved, in one of its places
	for attempt > 0 {
		attempt, _ = k.attempts(ctx, attempt, &absent)
	}
}

// attempts tries, beginning with the attempt of that number, until it succeeds, or until trying again soon is in vain, or
// until the ID is persisted though a copy of it failed, as it does while the host keeps its config open for writing: then
// nobody has to wait for the copy, and next is the attempt to go on with, unless there are no more. What only took too long
// is waited for, within the limits.
func (k *Keeper) attempts(ctx context.Context, attempt int, absent *bool) (next int, err error) {
	for ; attempt <= k.opts.Attempts; attempt++ {
		if attempt > 1 && !sleep(ctx, k.opts.Backoff<<(attempt-2)) {
			return 0, cmp.Or(err, context.Cause(ctx))
		}
		err = k.attempt(ctx, attempt, absent)
		if err == nil || ctx.Err() != nil || isPermanent(err) {
			return 0, err
		}
		if attempt < k.opts.Attempts && k.Status().Persisted && !isTimeout(ctx, err) {
			return attempt + 1, err
		}
	}
	return 0, err
}

// attempt makes one attempt, within its limit, to find the ID or to save it, and records and logs how it ended.
func (k *Keeper) attempt(start context.Context, attempt int, absent *bool) error {
	ctx, cancel := context.WithTimeout(start, k.opts.AttemptTimeout)
	defer cancel()
	begin := time.Now()
	result, err := installid.ResultTimeout, k.begin(ctx)
	if err == nil {
		result, err = k.try(ctx, attempt, absent)
		k.end()
	}
	if err != nil && errors.Is(context.Cause(start), errStop) {
		return err // not the storage's fault
	}
	k.record(attempt, result, err, time.Since(begin))
	switch {
	case result == installid.ResultFailed:
		k.opts.Logger.Warn(msgFailed, keyError, err.Error(), keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	case result == installid.ResultTimeout && start.Err() == nil: // else the start is over, and says so itself
		k.opts.Logger.Warn(msgTimedOut, keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	}
	return err
}

// try finds the ID, or makes and saves one. Once it is known that none is stored it does not read again: saving does,
// and an ID that has come meanwhile stands. The caller has the turn.
func (k *Keeper) try(ctx context.Context, attempt int, absent *bool) (installid.Result, error) {
	id := k.ID()
	if !*absent {
		rec, err := k.store.Load(ctx)
		k.noteLoaded(ctx, rec, err)
		switch {
		case err == nil && rec.Unsynced:
			id = rec.ID // which this process has put there: saving makes it durable
		case err == nil:
			k.keep(rec)
			k.reportPersisted(rec, attempt)
			return installid.ResultFound, nil
		case errors.Is(err, ErrNotFound):
			err = nil
		case errors.Is(err, jsonedit.ErrEmpty) && attempt >= k.opts.Attempts:
			// It was read again over the attempts and stays so: no moment in someone else's write.
		default:
			return failure(ctx, err), fmt.Errorf("read installation ID: %w", err)
		}
		if !rec.Unsynced {
			if !k.make(ctx, rec.Enabled) {
				return resultWithheld, err
			}
			id, *absent = k.ID(), true
		}
	}
	rec, err := k.store.Save(ctx, id)
	if rec.Enabled.Kind != jsonedit.Absent {
		k.update(func(st *Status) { st.Enabled = rec.Enabled })
	}
	if !rec.ID.IsZero() {
		k.keep(rec)
	}
	if err != nil {
		return failure(ctx, err), fmt.Errorf("save installation ID: %w", err)
	}
	k.reportPersisted(rec, attempt)
	return installid.ResultSaved, nil
}

// noteLoaded records what else than the ID a Load has shown.
func (k *Keeper) noteLoaded(ctx context.Context, rec Record, err error) {
	absent := errors.Is(err, ErrNotFound)
	unread := rec.Unread || err != nil && !absent
	if unread && errors.Is(context.Cause(ctx), errStop) {
		return
	}
	k.update(func(st *Status) {
		st.Enabled, st.Unread = rec.Enabled, unread
		if rec.Place != "" {
			st.Place = rec.Place
		}
		if absent {
			st.Incomplete = false
		}
	})
	k.warnOfInvalid(rec, err)
	if absent && k.Status().Persisted {
		k.tellPersisted(false) // it was, and somebody has taken it away
	}
}

const withheldReason = "an ID is made only after consent"

// make puts a new ID into use, unless there is one, if one may be made.
func (k *Keeper) make(ctx context.Context, enabled jsonedit.Value) bool {
	if k.opts.MayCreate != nil && !k.opts.MayCreate(ctx, enabled) {
		k.update(func(st *Status) { st.Reason = withheldReason })
		return false
	}
	if k.ID().IsZero() {
		k.use(installid.New())
	}
	k.update(func(st *Status) { st.Provisional, st.Reason = false, "" })
	k.announce()
	return true
}

// keep puts an ID that is durable into use.
func (k *Keeper) keep(rec Record) {
	k.mu.Lock()
	// News unless it takes the place of this start's provisional ID, which nobody was told of.
	adopted := k.introduced && rec.ID != k.status.ID
	k.introduced = true
	if adopted {
		k.unreported = installid.ID{}
	}
	k.mu.Unlock()
	if adopted {
		k.opts.Logger.Info(msgAdopted, keyID, rec.ID.Short())
	}
	k.use(rec.ID)
	k.update(func(st *Status) {
		st.Provisional, st.Incomplete, st.Place, st.Reason = false, rec.Incomplete, rec.Place, ""
		if rec.Incomplete {
			st.Reason = "one of its copies is missing"
		}
	})
	k.tellPersisted(true)
}

// fallBack lets the ID in memory serve.
func (k *Keeper) fallBack(ctx context.Context, err error) {
	k.update(func(st *Status) { st.Reason = err.Error() })
	if k.ID().IsZero() {
		return // none may be made
	}
	k.observe(func(o installid.Observer) { o.FellBack(err.Error()) })
	k.tellPersisted(false)
	k.announce() // when what is stored could not be read, this has not been said yet
	if errors.Is(context.Cause(ctx), errStartTimeout) {
		k.opts.Logger.Error(msgStartOver, keyTimeout, k.opts.StartTimeout)
		return
	}
	k.opts.Logger.Warn(msgInMemory, keyID, k.ID().Short(), keyError, err.Error(), keyNote, inMemoryNote)
}

func failure(ctx context.Context, err error) installid.Result {
	if isTimeout(ctx, err) {
		return installid.ResultTimeout
	}
	return installid.ResultFailed
}

// isTimeout tells whether err says that the storage did not answer before ctx ended, or would not have, had it not
// noticed that by itself.
func isTimeout(ctx context.Context, err error) bool {
	return errors.Is(err, flight.ErrTimeout) || ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// isPermanent tells whether trying again soon is in vain.
func isPermanent(err error) bool {
	return !errors.Is(err, flight.ErrTimeout) && configfile.Permanent(err)
}
