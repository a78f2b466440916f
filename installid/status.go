package installid

import "time"

// Status describes the installation ID of a running service.
type Status struct {
	// ID is the ID in use. It is zero before the start, and while no ID may
	// be created.
	ID ID `json:"installation_id"`
	// Settled reports whether the service has decided about the ID: it was
	// found, was saved, or serves from memory.
	Settled bool `json:"settled"`
	// Persisted reports whether the ID is durable on disk.
	Persisted bool `json:"persisted"`
	// Provisional reports that the storage could not be read yet, so that a
	// stored ID may still replace this one. Nothing may be counted under a
	// provisional ID.
	Provisional bool `json:"provisional"`
	// Incomplete reports that a copy of a persisted ID is missing. The service
	// will write it.
	Incomplete bool `json:"incomplete"`
	// Place says where the ID is or will be stored.
	Place string `json:"place"`
	// Reason says why the ID is not persisted or a copy is missing. It is
	// empty when all is well.
	Reason string `json:"reason,omitempty"`
	// Attempts is the number of attempts to find or save the ID so far.
	Attempts int `json:"attempts"`
	// LastError is the error of the last attempt, or empty if it succeeded.
	// LastErrorTime is the time of the last error.
	LastError     string    `json:"last_error,omitempty"`
	LastErrorTime time.Time `json:"last_error_time,omitzero"`
	// Stuck is the storage operation in flight, or empty. StuckSince is when
	// it began. An operation that runs for more than a moment hangs.
	Stuck      string    `json:"stuck_operation,omitempty"`
	StuckSince time.Time `json:"stuck_since,omitzero"`
	// NextTry is the time of the next check of the stored ID. It is zero
	// before the background work begins and after it ends.
	NextTry time.Time `json:"next_try,omitzero"`
	// Unread reports that the config could not be read at the last attempt.
	Unread bool `json:"-"`
}
