package sender

import "time"

const (
	// minRetryAfter and maxRetryAfter are the bounds within which a collector's Retry-After is honoured.
	minRetryAfter = time.Minute
	maxRetryAfter = 7 * day
)

// Error says how an attempt failed.
type Error struct {
	// Text says it in plain words.
	Text string
	// Status is the collector's answer, 0 when there was none.
	Status int
	// RetryAfter is what the collector asked for, within bounds; 0 when it did not.
	RetryAfter time.Duration
	// Refused says that the same report would be refused again (4xx).
	Refused bool
	// Gone says that the endpoint wants no report ever again (410).
	Gone bool
	// Err is the cause; nil when the collector answered.
	Err error
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
