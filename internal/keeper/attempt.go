package keeper

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// resultNone is the result of an attempt that ended before it began because
// no ID may be created. The observer does not see it.
const resultNone installid.Result = ""

// reasonNoConsent is the status while Options.MayCreate forbids an ID.
const reasonNoConsent = "an ID is made only after consent"

// findOrSave finds the ID, or creates and saves one. Once absent is true it
// does not load again: an ID stored meanwhile stands, and Save returns it. The
// caller holds the store lock.
func (k *Keeper) findOrSave(ctx context.Context, attempt int, absent *bool) (installid.Result, error) {
	id := k.ID()
	if !*absent {
		rec, err := k.store.Load(ctx)
		k.recordLoad(ctx, rec, err)
		switch {
		case err == nil && rec.Unsynced:
			id = rec.ID // saving it again makes it durable
		case err == nil:
			k.adopt(rec)
			k.logPersisted(rec, attempt)
			return installid.ResultFound, nil
		case errors.Is(err, ErrNotFound):
			err = nil
		case errors.Is(err, jsonedit.ErrEmpty) && attempt >= k.opts.Attempts:
			// Empty over all attempts: not a moment in someone else's write.
		default:
			return failure(ctx, err), fmt.Errorf("read installation ID: %w", err)
		}
		if !rec.Unsynced {
			if !k.create(ctx, rec.Enabled) {
				return resultNone, err
			}
			id, *absent = k.ID(), true
		}
	}
	rec, err := k.store.Save(ctx, id)
	if errors.Is(err, ErrRetired) {
		rec, err = k.store.Save(ctx, k.renew(installid.New()))
	}
	if rec.Enabled.Kind != jsonedit.Absent {
		k.update(func(st *Status) { st.Enabled = rec.Enabled })
	}
	if !rec.ID.IsZero() {
		k.adopt(rec)
	}
	if err != nil {
		return failure(ctx, err), fmt.Errorf("save installation ID: %w", err)
	}
	k.logPersisted(rec, attempt)
	return installid.ResultSaved, nil
}

// recordLoad records what a Load returned besides the ID.
func (k *Keeper) recordLoad(ctx context.Context, rec Record, err error) {
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
			st.Incomplete, st.Stored = false, false
		}
	})
	if err == nil || absent || rec.Invalid {
		k.logInvalid(rec.Invalid)
		k.logRetired(rec.Retired)
	}
	if absent && k.Status().Persisted {
		k.setPersisted(false) // someone has removed it
	}
}

// create puts a new ID into use, unless there is one. It reports whether an ID
// may be created.
func (k *Keeper) create(ctx context.Context, enabled jsonedit.Value) bool {
	if k.opts.MayCreate != nil && !k.opts.MayCreate(ctx, enabled) {
		k.update(func(st *Status) { st.Reason = reasonNoConsent })
		return false
	}
	if k.ID().IsZero() {
		k.use(installid.New())
	}
	k.update(func(st *Status) { st.Provisional, st.Reason = false, "" })
	k.logGenerated()
	return true
}

// renew puts a new ID into use, in place of one that was retired.
func (k *Keeper) renew(id installid.ID) installid.ID {
	k.mu.Lock()
	k.announced = false
	k.mu.Unlock()
	k.use(id)
	k.logGenerated()
	return id
}

// adopt puts a durable ID into use.
func (k *Keeper) adopt(rec Record) {
	k.mu.Lock()
	// Nobody has heard of a provisional ID, so replacing it is not logged.
	replaced := k.announced && rec.ID != k.status.ID
	k.announced = true
	if replaced {
		k.unsaved = installid.ID{}
	}
	k.mu.Unlock()
	if replaced {
		k.opts.Logger.Info(msgAdopted, keyID, rec.ID.Short())
	}
	k.use(rec.ID)
	k.update(func(st *Status) {
		st.Stored, st.Provisional, st.Incomplete, st.Place, st.Reason = true, false, rec.Incomplete, rec.Place, rec.Doubt
		if rec.Incomplete && rec.Doubt == "" {
			st.Reason = cmp.Or(rec.Reason, "one of its copies is missing")
		}
	})
	k.logDoubt(rec)
	k.setPersisted(rec.Doubt == "")
}

func failure(ctx context.Context, err error) installid.Result {
	if isTimeout(ctx, err) {
		return installid.ResultTimeout
	}
	return installid.ResultFailed
}

// isTimeout reports whether the storage did not answer before ctx ended.
func isTimeout(ctx context.Context, err error) bool {
	return errors.Is(err, flight.ErrTimeout) || ctx.Err() != nil && errors.Is(err, ctx.Err())
}

// isPermanent reports whether there is no point in trying again soon.
func isPermanent(err error) bool {
	return !errors.Is(err, flight.ErrTimeout) && configfile.Permanent(err)
}
