package installid

import "time"

// Status is what a [Keeper] knows about the ID it keeps.
type Status struct {
	// ID is the ID in use; zero before Start, and while none may be made.
	ID ID `json:"installation_id"`
	// Settled says that the first decision about the ID has been taken.
	Settled bool `json:"settled"`
	// Persisted says that the ID is durable on disk.
	Persisted bool `json:"persisted"`
	// Provisional says that the storage could not be read yet, so that a stored ID may still take the place of this one.
	// Nothing may be counted under a provisional ID.
	Provisional bool `json:"provisional"`
	// Incomplete says that one of the copies of a persisted ID is missing; the keeper will make it.
	Incomplete bool `json:"incomplete"`
	// Place says where the ID is stored, or will be.
	Place string `json:"place"`
	// Reason says why the ID is not persisted or a copy is missing; empty when all is well.
	Reason string `json:"reason,omitempty"`
	// Attempts counts the attempts to find or save the ID.
	Attempts int `json:"attempts"`
	// LastError is the last attempt's error, empty after a success, and LastErrorTime when it happened.
	LastError     string    `json:"last_error,omitempty"`
	LastErrorTime time.Time `json:"last_error_time,omitzero"`
	// Stuck is the storage operation that is running now, empty when none is, and StuckSince when it began. An
	// operation that has been running for more than a moment hangs.
	Stuck      string    `json:"stuck_operation,omitempty"`
	StuckSince time.Time `json:"stuck_since,omitzero"`
	// NextTry is when the keeper will look again; zero before the background work began and after Stop.
	NextTry time.Time `json:"next_try,omitzero"`
	// Unread reports that the storage could not be read at the last attempt.
	Unread bool `json:"-"`
}
