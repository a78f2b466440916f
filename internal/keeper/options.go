package keeper

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// The defaults of [Options].
const (
	DefaultAttempts       = 3
	DefaultAttemptTimeout = 5 * time.Second
	DefaultStartTimeout   = 20 * time.Second
	DefaultBackoff        = time.Second
)

// The bounds of [Options].
const (
	MaxAttempts = 100
	MaxWait     = 24 * time.Hour
)

// Options are the limits and hooks of a [Keeper]. The zero value is ready to
// use.
type Options struct {
	// Attempts is the number of attempts to save the ID before Start gives
	// up. Zero means DefaultAttempts; the most is MaxAttempts.
	Attempts int
	// AttemptTimeout limits one attempt, including reading. Zero means
	// DefaultAttemptTimeout; the most is MaxWait.
	AttemptTimeout time.Duration
	// StartTimeout limits Start as a whole. Zero means DefaultStartTimeout;
	// the most is MaxWait.
	StartTimeout time.Duration
	// Backoff is the pause after the first attempt. It doubles after each
	// further one. Zero means DefaultBackoff; the most is MaxWait.
	Backoff time.Duration
	// Lazy makes Start return without waiting for the storage. The same work
	// runs in the background.
	Lazy bool
	// MayCreate reports whether an ID may be created, given the value of the
	// config's consent key. It must return soon after ctx ends. While it
	// returns false, only a stored ID is used, and the keeper checks again
	// once a minute. Nil means always.
	MayCreate func(ctx context.Context, enabled jsonedit.Value) bool
	// OnSettled is called once, as part of the start, when the ID is settled.
	// It must return soon after ctx ends. Nil means none.
	OnSettled func(ctx context.Context, st Status)
	// Logger receives the log lines. Nil discards them.
	Logger *slog.Logger
	// Observer is notified of attempts and changes. Nil means none.
	Observer installid.Observer
}

// An OptionError says which field of [Options] is out of range.
type OptionError struct {
	Field string
	Err   error
}

func (e *OptionError) Error() string { return e.Field + ": " + e.Err.Error() }

func (o Options) withDefaults() (Options, error) {
	o.Attempts = cmp.Or(o.Attempts, DefaultAttempts)
	if o.Attempts < 0 || o.Attempts > MaxAttempts {
		return o, &OptionError{"Attempts", fmt.Errorf("%d is not between 1 and %d", o.Attempts, MaxAttempts)}
	}
	for _, d := range []struct {
		field        string
		value        *time.Duration
		defaultValue time.Duration
	}{
		{"AttemptTimeout", &o.AttemptTimeout, DefaultAttemptTimeout},
		{"StartTimeout", &o.StartTimeout, DefaultStartTimeout},
		{"Backoff", &o.Backoff, DefaultBackoff},
	} {
		*d.value = cmp.Or(*d.value, d.defaultValue)
		if *d.value < 0 || *d.value > MaxWait {
			return o, &OptionError{d.field, fmt.Errorf("%v is not between 1ns and %v", *d.value, MaxWait)}
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
