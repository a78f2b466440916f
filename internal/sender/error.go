package sender

import (
	"errors"
	"fmt"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// Why nothing is sent.
var (
	ErrWithheld = errors.New("telemetry is not granted")
	ErrNoID     = errors.New("the installation ID is not known yet")
	ErrNotDue   = errors.New("not due")
	ErrNotKept  = errors.New("what was sent cannot be saved, so every start would send again")
	ErrStopped  = errors.New("stopped")

	errWithdrawn = fmt.Errorf("consent was withdrawn: %w", ErrWithheld)
)

// An Error says how an attempt failed.
type Error = schedule.Error
