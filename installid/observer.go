package installid

import "time"

// An Observer is told what a keeper does, for metrics. Its methods are called one at a time, must return at once, and
// must not call the keeper. A panic in one of them is caught and ignored.
type Observer interface {
	// SaveAttempted is called after each attempt to find or save the ID.
	SaveAttempted(SaveAttempt)
	// FellBack is called when Start gives up and the ID in memory serves.
	FellBack(reason string)
	// PersistedChanged is called when it becomes known whether the ID is on disk, and when that changes.
	PersistedChanged(persisted bool)
}

// A SaveAttempt is one attempt to find or save the ID.
type SaveAttempt struct {
	// Attempt counts from 1 at Start and goes on in the background.
	Attempt int
	// Result tells how it ended.
	Result Result
	// Duration is how long the keeper waited for it.
	Duration time.Duration
}

// A Result is how a save attempt ended.
type Result string

// The results of a save attempt.
const (
	ResultFound   Result = "found"   // a stored ID was there; nothing was written
	ResultSaved   Result = "saved"   // the ID is stored, in all of the store's places
	ResultTimeout Result = "timeout" // the storage did not answer in time
	ResultFailed  Result = "failed"  // the storage answered with an error
)

// Results lists all results, for those who make a series of each.
func Results() []Result { return []Result{ResultFound, ResultSaved, ResultTimeout, ResultFailed} }
