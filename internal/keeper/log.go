package keeper

import (
	"time"

	"github.com/rollcall-dev/rollcall/installid"
)

// The log lines. Operators grep for them, so the messages and the keys never
// change.
const (
	msgGenerated    = "Generated new anonymous installation ID"
	msgPersisted    = "Installation ID persisted to config"
	msgTimedOut     = "Config save timed out, will retry"
	msgFailed       = "Failed to save installation ID to config"
	msgInMemory     = "Using in-memory installation ID (config save failed)"
	msgStartTimeout = "Installation ID generation timed out - using in-memory ID"
	msgAdopted      = "Stored installation ID adopted"
	msgDoubt        = "Installation ID counts as in-memory (its disk may not last)"
	msgInvalid      = "Stored installation ID is not valid, replacing it"
	msgRetired      = "Stored installation ID was reset or forgotten, replacing it"

	// In place of the ones that name the config, for an ID in a state file.
	msgFilePersisted = "Installation ID persisted to state file"
	msgFileTimedOut  = "State file save timed out, will retry"
	msgFileFailed    = "Failed to save installation ID to state file"
	msgFileInMemory  = "Using in-memory installation ID (state file save failed)"

	keyID         = "id"
	keyAttempt    = "attempt"
	keyMaxRetries = "max_retries"
	keyError      = "error"
	keyNote       = "note"
	keyReason     = "reason"
	keyTimeout    = "timeout"

	inMemoryNote = "telemetry works with this ID until the next start; saving is tried again in the background"
	doubtNote    = "it counts as persisted once it has been there for 30 days; where the disk lasts, set ROLLCALL_TRUST_DISK=true"
)

// messages are the log lines that name the place of the ID.
type messages struct{ persisted, timedOut, failed, inMemory string }

func (o Options) messages() messages {
	if o.InStateFile {
		return messages{msgFilePersisted, msgFileTimedOut, msgFileFailed, msgFileInMemory}
	}
	return messages{msgPersisted, msgTimedOut, msgFailed, msgInMemory}
}

// logGenerated logs the ID in use as a new one, unless it is known already.
func (k *Keeper) logGenerated() {
	k.mu.Lock()
	id, isNew := k.status.ID, !k.announced
	if isNew {
		k.announced, k.unsaved = true, id
	}
	k.mu.Unlock()
	if isNew {
		k.opts.Logger.Info(msgGenerated, keyID, id.Short())
	}
}

// logPersisted logs that the ID was written, by this attempt or by one that
// was given up before.
func (k *Keeper) logPersisted(rec Record, attempt int) {
	k.mu.Lock()
	isNew := rec.Doubt == "" && (rec.Written || !rec.Incomplete && rec.ID == k.unsaved)
	if isNew {
		k.unsaved = installid.ID{}
	}
	k.mu.Unlock()
	if isNew {
		k.opts.Logger.Info(k.msg.persisted, keyAttempt, k.saveAttempt(attempt))
	}
}

// saveAttempt returns the number of an attempt as it is logged: counted since
// the last one that found or saved the ID.
func (k *Keeper) saveAttempt(attempt int) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return attempt - k.succeeded
}

// logDoubt logs once that a stored ID may not be there at the next start.
func (k *Keeper) logDoubt(rec Record) {
	k.mu.Lock()
	isNew := rec.Doubt != "" && !k.doubtLogged
	k.doubtLogged = rec.Doubt != ""
	k.mu.Unlock()
	if isNew {
		k.opts.Logger.Warn(msgDoubt, keyID, rec.ID.Short(), keyReason, rec.Doubt, keyNote, doubtNote)
	}
}

// logInvalid logs once that the stored value is not an ID, until a read finds
// it gone.
func (k *Keeper) logInvalid(invalid bool) {
	k.mu.Lock()
	isNew := invalid && !k.invalidLogged
	k.invalidLogged = invalid
	k.mu.Unlock()
	if isNew {
		k.opts.Logger.Warn(msgInvalid)
	}
}

// logRetired logs once that a stored ID is retired, until a read finds it gone.
func (k *Keeper) logRetired(retired bool) {
	k.mu.Lock()
	isNew := retired && !k.retiredLogged
	k.retiredLogged = retired
	k.mu.Unlock()
	if isNew {
		k.opts.Logger.Info(msgRetired)
	}
}

// recordAttempt records the result of an attempt and notifies the observer.
func (k *Keeper) recordAttempt(attempt int, result installid.Result, err error, d time.Duration) {
	k.update(func(st *Status) {
		if result == installid.ResultFound || result == installid.ResultSaved {
			k.succeeded = attempt
		}
		st.Attempts = attempt
		st.LastError = ""
		if err != nil {
			st.LastError, st.LastErrorTime = err.Error(), time.Now()
			if st.Incomplete || !st.Persisted {
				st.Reason = st.LastError
			}
		}
	})
	if result != resultNone {
		k.notify(func(o installid.Observer) {
			o.SaveAttempted(installid.SaveAttempt{Attempt: attempt, Result: result, Duration: d})
		})
	}
}

// setPersisted records whether the ID is persisted. It notifies the observer
// of a change, and of the first value.
func (k *Keeper) setPersisted(persisted bool) {
	k.observerMu.Lock()
	defer k.observerMu.Unlock()
	k.mu.Lock()
	changed := !k.persistedKnown || k.status.Persisted != persisted
	k.persistedKnown = true
	k.status.Persisted = persisted
	k.mu.Unlock()
	if changed {
		k.call(func(o installid.Observer) { o.PersistedChanged(persisted) })
	}
}

func (k *Keeper) notify(call func(installid.Observer)) {
	k.observerMu.Lock()
	defer k.observerMu.Unlock()
	k.call(call)
}

// call calls the observer. A panic in it must not reach the host.
func (k *Keeper) call(call func(installid.Observer)) {
	if k.opts.Observer == nil {
		return
	}
	defer func() { _ = recover() }()
	call(k.opts.Observer)
}
