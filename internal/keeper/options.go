package keeper

import (
	"context"
	"log/slog"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Options are the limits and hooks of a [Keeper].
type Options struct {
	// Attempts is the number of attempts to save the ID before Start gives
	// up. It must be at least 1.
	Attempts int
	// AttemptTimeout limits one attempt, including reading.
	AttemptTimeout time.Duration
	// StartTimeout limits Start as a whole.
	StartTimeout time.Duration
	// Backoff is the pause after the first attempt. It doubles after each
	// further one.
	Backoff time.Duration
	// Lazy makes Start return without waiting for the storage. The same work
	// runs in the background.
	Lazy bool
	// MayCreate reports whether an ID may be created, given the value of the
	// config's consent key. It must return soon after ctx ends. While it
	// returns false, only a stored ID is used, and the keeper checks again
	// once a minute. Nil means always.
	MayCreate func(ctx context.Context, enabled jsonedit.Value) bool
	// Look makes the keeper look at a persisted ID once a minute, and adopt
	// the one that it finds, besides the check once an hour.
	Look bool
	// InStateFile makes the log name a state file as the place of the ID,
	// instead of the config.
	InStateFile bool
	// OnSettled is called once, as part of the start, when the ID is settled.
	// It must return soon after ctx ends. Nil means none.
	OnSettled func(ctx context.Context, st Status)
	// Logger receives the log lines. Nil discards them.
	Logger *slog.Logger
	// Observer is notified of attempts and changes. Nil means none.
	Observer installid.Observer
}
