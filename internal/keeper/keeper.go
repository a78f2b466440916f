// Package keeper keeps the installation ID of one process.
//
// A stored ID is used as it is. Otherwise the [Keeper] creates one, which is
// usable at once, and saves it within limits. If that fails, the ID serves
// from memory, and the keeper goes on trying in the background, rarely and
// cheaply, until the ID is persisted. A [Store] says where an ID is kept.
//
// No method waits longer than its context or its documented limit, even if
// every storage operation hangs. A full ID is never logged.
package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// The errors of [Keeper.Start].
var (
	ErrStarted = errors.New("the service was started before")
	ErrStopped = errors.New("the service was stopped for good; create another one with New")
)

// The causes of contexts that a keeper cancels.
var (
	errStartTimeout = errors.New("start limit reached") // Options.StartTimeout
	errStop         = errors.New("stopped")
)

// A Keeper keeps the installation ID of one process. Its methods are safe for
// concurrent use.
type Keeper struct {
	store Store
	opts  Options
	msg   messages

	id atomic.Pointer[installid.ID] // never nil, the same as status.ID

	// storeLock is a semaphore: it holds one token while the store is in use.
	// Using the store and adopting what it returned are one step, so that a
	// check that began before a reset cannot undo it.
	storeLock chan struct{}

	mu             sync.Mutex // guards what follows
	status         Status
	started        bool
	stopped        bool
	stop           context.CancelCauseFunc
	announced      bool         // whether the ID in use was logged as new, or is stored
	unsaved        installid.ID // logged as new and not yet as persisted
	succeeded      int          // the last attempt that found or saved the ID
	invalidLogged  bool         // whether an invalid stored value was logged
	retiredLogged  bool         // whether a retired stored ID was logged
	doubtLogged    bool         // whether it was logged that the ID may not last
	persistedKnown bool         // whether the observer knows if the ID is persisted

	observerMu sync.Mutex // serializes the calls of the observer

	lookSoon chan struct{} // holds a token while a look is asked for

	settled chan struct{} // closed when status.Settled
	done    chan struct{} // closed when the background work is over
}

// Status is the public status of the ID, and what the keeper knows of the
// config besides.
type Status struct {
	installid.Status
	// Stored reports whether the ID is durable, even if only in one place, or
	// in one that may not be there at the next start.
	Stored bool
	// Enabled is the value of the config's consent key when it was last read.
	// It means nothing while the status is Unread.
	Enabled jsonedit.Value
}

// New returns a keeper of the ID in store. It does nothing else.
func New(store Store, opts Options) *Keeper {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{
		store:     store,
		opts:      opts,
		msg:       opts.messages(),
		storeLock: make(chan struct{}, 1),
		lookSoon:  make(chan struct{}, 1),
		settled:   make(chan struct{}),
		done:      make(chan struct{}),
	}
	k.id.Store(new(installid.ID))
	return k
}

// ID returns the ID in use. It is zero before Start and while
// Options.MayCreate forbids one. ID takes no lock and does not allocate.
func (k *Keeper) ID() installid.ID { return *k.id.Load() }

// Settled returns a channel that is closed once the ID is settled: it was
// found, was created and saved, or serves from memory. That takes at most
// Options.StartTimeout. Stop settles it too.
func (k *Keeper) Settled() <-chan struct{} { return k.settled }

// Status returns what the keeper knows. It does not wait for the storage.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	st := k.status
	k.mu.Unlock()
	st.Stuck, st.StuckSince = k.store.Running()
	return st
}

// NoteEnabled records the value of the config's consent key, or that it could
// not be read, after someone else has read it.
func (k *Keeper) NoteEnabled(enabled jsonedit.Value, err error) {
	k.update(func(st *Status) {
		if st.Unread = err != nil; err == nil {
			st.Enabled = enabled
		}
	})
}

// Start finds or creates the ID, and maintains it in the background until
// Stop. It waits for the storage no longer than ctx and Options.StartTimeout,
// and not at all with Options.Lazy. An ID that cannot be saved is not an
// error: it serves from memory, and the status says why. The only errors are
// ErrStarted and ErrStopped.
func (k *Keeper) Start(ctx context.Context) error {
	background, stop := context.WithCancelCause(context.Background())
	if err := k.setStarted(stop); err != nil {
		stop(nil)
		return err
	}
	if k.opts.MayCreate == nil && k.ID().IsZero() {
		// Usable at once. A stored ID replaces it before Start returns or, if
		// it cannot be read by then, as soon as it can.
		k.use(installid.New())
		k.update(func(st *Status) { st.Provisional = true })
	}
	if k.opts.Lazy {
		go func() {
			defer close(k.done)
			k.runInBackground(background, k.establish(background))
		}()
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(background, func() { cancel(errStop) })()
	rest := k.establish(ctx)
	go func() {
		defer close(k.done)
		k.runInBackground(background, rest)
	}()
	return nil
}

func (k *Keeper) setStarted(stop context.CancelCauseFunc) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.stopped:
		return ErrStopped
	case k.started:
		return ErrStarted
	}
	k.started, k.stop = true, stop
	return nil
}

// Stop ends everything that Start began and waits for it, no longer than ctx.
//
// An operation in flight is abandoned and stops at its next step. Stop waits
// up to stopGrace for that, so that no temporary file is left behind if the
// process ends now. It does not wait for an operation that hangs.
//
// Stop may be called more than once. A Start that comes after it fails.
func (k *Keeper) Stop(ctx context.Context) error {
	k.mu.Lock()
	k.stopped = true
	stop := k.stop
	k.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop(errStop)
	select {
	case <-k.done:
		k.waitIdle(ctx)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop keeping the installation ID: %w", context.Cause(ctx))
	}
}

const (
	stopGrace  = 100 * time.Millisecond
	hangsAfter = time.Second // an operation that runs for longer hangs
)

// waitIdle waits until no operation is in flight, unless it hangs.
func (k *Keeper) waitIdle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		op, since := k.store.Running()
		if op == "" || time.Since(since) >= hangsAfter || !sleep(ctx, pause) {
			return
		}
	}
}

// Reset retires the old ID for good, stores a new one in its place and adopts
// that. If the old one cannot be retired, it stays in use. If it was retired
// and the new one cannot be stored, the new one serves from memory until it
// can, and Reset returns why. It waits no longer than ctx. It fails if there is
// no ID yet and Options.MayCreate is set.
func (k *Keeper) Reset(ctx context.Context) (installid.ID, error) {
	if k.opts.MayCreate != nil && k.ID().IsZero() {
		return installid.ID{}, errors.New("there is no ID yet: " + reasonNoConsent)
	}
	if err := k.lockStore(ctx); err != nil {
		return installid.ID{}, err
	}
	defer k.unlockStore()
	var old installid.ID
	if st := k.Status(); !st.Provisional {
		old = st.ID
	}
	id := installid.New()
	rec, err := k.store.Replace(ctx, old, id)
	switch {
	case rec.ID.IsZero() && rec.Retired:
		k.renew(id)
		k.update(func(st *Status) { st.Provisional, st.Reason = false, err.Error() })
		k.setPersisted(false)
		k.LookSoon()
		return id, fmt.Errorf("the old one is retired, and the new one serves from memory: %w", err)
	case rec.ID.IsZero():
		return installid.ID{}, err
	}
	k.adopt(rec)
	return rec.ID, nil // the background writes a copy that is missing
}

// LookSoon makes the background look at the stored ID at once, as after a reset
// in another process. It does not wait.
func (k *Keeper) LookSoon() {
	select {
	case k.lookSoon <- struct{}{}:
	default:
	}
}

// lockStore waits until nobody else uses the store, no longer than ctx.
func (k *Keeper) lockStore(ctx context.Context) error {
	select {
	case k.storeLock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("use the storage: %w: %w", flight.ErrTimeout, context.Cause(ctx))
	}
}

func (k *Keeper) unlockStore() { <-k.storeLock }

// use makes id the one that ID returns.
func (k *Keeper) use(id installid.ID) {
	k.update(func(st *Status) {
		if st.ID != id {
			st.ID = id
			k.id.Store(&id)
		}
	})
}

func (k *Keeper) update(change func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
}
