package installid

import "time"

// An Observer is notified of what a service does with its ID, for metrics.
// Calls are serialized. A method must return at once and must not call the
// service. A panic in it is ignored.
type Observer interface {
	// SaveAttempted is called after each attempt to find or save the ID.
	SaveAttempted(SaveAttempt)
	// FellBack is called when the start gives up, and the ID serves from
	// memory.
	FellBack(reason string)
	// PersistedChanged is called when it is first known whether the ID is on
	// disk, and when that changes.
	PersistedChanged(persisted bool)
}

// A SaveAttempt is one attempt to find or save the ID.
type SaveAttempt struct {
	// Attempt is the number of the attempt. It counts from 1 at the start and
	// goes on in the background.
	Attempt int
	// Result is how the attempt ended.
	Result Result
	// Duration is how long the service waited for the attempt.
	Duration time.Duration
}

// A Result is how a save attempt ended.
type Result string

// The results of a save attempt.
const (
	ResultFound   Result = "found"   // a stored ID was found; nothing was written
	ResultSaved   Result = "saved"   // the ID was saved in all its places
	ResultTimeout Result = "timeout" // the storage did not answer in time
	ResultFailed  Result = "failed"  // the storage returned an error
)

// Results returns all results, for callers that export a series for each.
func Results() []Result { return []Result{ResultFound, ResultSaved, ResultTimeout, ResultFailed} }
