package keeper

import (
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// The log lines. Operators grep for them: neither the texts nor the keys change.
const (
	msgGenerated = "Generated new anonymous installation ID"
	msgPersisted = "Installation ID persisted to config"
	msgTimedOut  = "Config save timed out, will retry"
	msgFailed    = "Failed to save installation ID to config"
	msgInMemory  = "Using in-memory installation ID (config save failed)"
	msgStartOver = "Installation ID generation timed out - using in-memory ID"
	msgAdopted   = "Stored installation ID adopted"
	msgReplaced  = "Stored installation ID is not valid, replacing it"

	keyID         = "id"
	keyAttempt    = "attempt"
	keyMaxRetries = "max_retries"
	keyError      = "error"
	keyNote       = "note"
	keyTimeout    = "timeout"

	inMemoryNote = "telemetry works with this ID until the next start; saving is tried again in the background"
)

// announce logs that the ID in use is a new one, unless it is known already.
func (k *Keeper) announce() {
	k.mu.Lock()
	id, news := k.status.ID, !k.introduced
	if news {
		k.introduced, k.unreported = true, id
	}
	k.mu.Unlock()
	if news {
		k.opts.Logger.Info(msgGenerated, keyID, id.Short())
	}
}

// reportPersisted logs that the ID was written, or that the new one turned out to be written by an attempt that had been
// given up.
func (k *Keeper) reportPersisted(rec Record, attempt int) {
	k.mu.Lock()
	news := rec.Written || !rec.Incomplete && rec.ID == k.unreported
	if news {
		k.unreported = installid.ID{}
	}
	k.mu.Unlock()
	if news {
		k.opts.Logger.Info(msgPersisted, keyAttempt, attempt)
	}
}

// warnOfInvalid logs once that what stands in the ID's place is not one, until it has been seen to be gone.
func (k *Keeper) warnOfInvalid(rec Record, err error) {
	if err != nil && !errors.Is(err, ErrNotFound) && !rec.Replaced {
		return // not known
	}
	k.mu.Lock()
	news := rec.Replaced && !k.warned
	k.warned = rec.Replaced
	k.mu.Unlock()
	if news {
		k.opts.Logger.Warn(msgReplaced)
	}
}

// record keeps and tells how an attempt ended.
func (k *Keeper) record(attempt int, result installid.Result, err error, d time.Duration) {
	k.update(func(st *Status) {
		st.Attempts = attempt
		st.LastError = ""
		if err != nil {
			st.LastError, st.LastErrorTime = err.Error(), time.Now()
			if st.Incomplete || !st.Persisted {
				st.Reason = st.LastError
			}
		}
	})
	if result != resultWithheld {
		k.observe(func(o installid.Observer) {
			o.SaveAttempted(installid.SaveAttempt{Attempt: attempt, Result: result, Duration: d})
		})
	}
}

// tellPersisted records whether the ID is persisted and tells the observer when that is news.
func (k *Keeper) tellPersisted(persisted bool) {
	k.telling.Lock()
	defer k.telling.Unlock()
	k.mu.Lock()
	news := !k.known || k.status.Persisted != persisted
	k.known = true
	k.status.Persisted = persisted
	k.mu.Unlock()
	if news {
		k.tell(func(o installid.Observer) { o.PersistedChanged(persisted) })
	}
}

func (k *Keeper) observe(tell func(installid.Observer)) {
	k.telling.Lock()
	defer k.telling.Unlock()
	k.tell(tell)
}

// tell calls the observer. A panic of it must not reach the host.
func (k *Keeper) tell(tell func(installid.Observer)) {
	defer func() { _ = recover() }()
	tell(k.opts.Observer)
}

// NoteEnabled tells the keeper what the config's consent key is now, as somebody else has read it, or that it could not
// be read.
func (k *Keeper) NoteEnabled(enabled jsonedit.Value, err error) {
	k.update(func(st *Status) {
		if st.Unread = err != nil; err == nil {
			st.Enabled = enabled
		}
	})
}
