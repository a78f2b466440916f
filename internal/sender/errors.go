package sender

import (
	"errors"
	"fmt"
	"time"
)

// Why nothing is sent.
var (
	ErrWithheld = errors.New("telemetry is not granted")
	ErrNoID     = errors.New("the installation ID is not known yet")
	ErrNotDue   = errors.New("not due")
	ErrNotKept  = errors.New("what is sent cannot be kept on disk, so that each start would send")
	ErrStopped  = errors.New("stopped")

	errWithdrawn = fmt.Errorf("%w any more", ErrWithheld)
)

const (
	// minRetryAfter and maxRetryAfter are the bounds within which a collector's Retry-After is honoured.
	minRetryAfter = time.Minute
	maxRetryAfter = 7 * day
)

// Error says how an attempt failed.
type Error struct {
	// Text says it in plain words: one short line, without secrets.
	Text string
	// Status is the collector's answer, 0 when there was none.
	Status int
	// RetryAfter is what the collector asked for, within bounds; 0 when it did not.
	RetryAfter time.Duration
	// Refused says that the same report would be refused again (4xx).
	Refused bool
	// Gone says that the endpoint wants no report ever again (410).
	Gone bool
	// Err is the cause; nil when the collector answered. Its text may quote what a server or a proxy said.
	Err error
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
