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

// Options are the limits of a [Keeper]. Zero values are the defaults.
type Options struct {
	// Attempts is how often saving is tried before the ID in memory serves; 0 is DefaultAttempts. At most MaxAttempts.
	Attempts int
	// AttemptTimeout bounds one attempt, reading included; 0 is DefaultAttemptTimeout. At most MaxWait.
	AttemptTimeout time.Duration
	// StartTimeout bounds Start as a whole; 0 is DefaultStartTimeout. At most MaxWait.
	StartTimeout time.Duration
	// Backoff is the wait after the first attempt; it doubles with each further one. 0 is DefaultBackoff. At most
	// MaxWait.
	Backoff time.Duration
	// Lazy makes Start return without waiting for the storage; the same work goes on in the background.
	Lazy bool
	// MayCreate, when set, is asked with the value of the config's consent key before a new ID is made or stored. While
	// it says no, there is no ID unless one is stored, and the config is looked at once a minute. It returns soon after ctx
	// ends.
	MayCreate func(ctx context.Context, enabled jsonedit.Value) bool
	// OnSettled, when set, is called once, when the first decision about the ID has been taken. It is part of the start,
	// and returns soon after ctx ends.
	OnSettled func(ctx context.Context, st Status)
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
	// Observer is told what happens; nil for none.
	Observer installid.Observer
}

func (o Options) withDefaults() (Options, error) {
	o.Attempts = cmp.Or(o.Attempts, DefaultAttempts)
	if o.Attempts < 0 || o.Attempts > MaxAttempts {
		return o, fmt.Errorf("Attempts: %d is not between 1 and %d", o.Attempts, MaxAttempts)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"AttemptTimeout", &o.AttemptTimeout, DefaultAttemptTimeout},
		{"StartTimeout", &o.StartTimeout, DefaultStartTimeout},
		{"Backoff", &o.Backoff, DefaultBackoff},
	} {
		*d.value = cmp.Or(*d.value, d.zero)
		if *d.value < 0 || *d.value > MaxWait {
			return o, fmt.Errorf("%s: %v is not between 1ns and %v", d.name, *d.value, MaxWait)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	return o, nil
}

// nobody is the Observer of a keeper that has none.
type nobody struct{}

func (nobody) SaveAttempted(installid.SaveAttempt) {}
func (nobody) FellBack(string)                     {}
func (nobody) PersistedChanged(bool)               {}
