package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
)

// Why a keeper does not start.
var (
	// ErrStarted says that it was started before.
	ErrStarted = errors.New("already started")
	// ErrStopped says that it was stopped before it was started.
	ErrStopped = errors.New("already stopped")
)

// The causes of contexts that a keeper ends.
var (
	errStartTimeout = errors.New("start limit reached") // Options.StartTimeout
	errStop         = errors.New("stopped")
)

// A Keeper keeps the installation ID of one process. Its methods are safe for concurrent use.
type Keeper struct {
	store Store
	opts  Options

	id atomic.Pointer[installid.ID] // what ID reads, never nil; always the same as status.ID

	// turn holds one token while the store is used. What a store says and what is put into use because of it are one
	// step, so that a look which began before a reset cannot undo it.
	turn chan struct{}

	mu         sync.Mutex // guards what follows
	status     Status
	started    bool
	stopped    bool
	stop       context.CancelCauseFunc
	introduced bool         // whether the ID in use is known: it was logged as new, or is stored
	unreported installid.ID // was logged as new, and not yet as persisted
	warned     bool         // whether it was logged that what is stored is not an ID
	known      bool         // whether the observer knows if the ID is persisted

	telling sync.Mutex // orders the observer's calls

	settled chan struct{} // closed when status.Settled
	done    chan struct{} // closed when all that Start began is over
}

// NewKeeper checks its arguments and does nothing else.
func New(store Store, opts Options) (*Keeper, error) {
	if store == nil {
		return nil, errors.New("no store")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keeper{
		store:   store,
		opts:    opts,
		turn:    make(chan struct{}, 1),
		settled: make(chan struct{}),
		done:    make(chan struct{}),
	}
	k.id.Store(new(installid.ID))
	return k, nil
}

// ID is the ID in use. It is the zero ID before Start and while Options.MayCreate says no. It takes no lock and does
// not allocate.
func (k *Keeper) ID() installid.ID {
	return *k.id.Load()
}

// Settled is closed when the first decision about the ID has been taken: it was found, made and saved, or serves from
// memory. That takes at most Options.StartTimeout, and no longer than until Stop.
func (k *Keeper) Settled() <-chan struct{} { return k.settled }

// Status tells what the keeper knows. It does not wait for the storage.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	st := k.status
	k.mu.Unlock()
	if r, ok := k.store.(interface{ Running() (string, time.Time) }); ok {
		st.Stuck, st.StuckSince = r.Running()
	}
	return st
}

// Start finds or makes the ID, and goes on looking after it in the background until Stop. It waits for the storage no
// longer than ctx and Options.StartTimeout, and not at all with Options.Lazy. That the ID could not be saved is not an
// error: it serves from memory, and the status says why. The only errors are ErrStarted and ErrStopped.
func (k *Keeper) Start(ctx context.Context) error {
	background, stop := context.WithCancelCause(context.Background())
	if err := k.setStarted(stop); err != nil {
		stop(nil)
		return err
	}
	if k.opts.MayCreate == nil && k.ID().IsZero() {
		// Usable at once. Should one be stored, it takes this one's place before Start returns or, if it cannot be
		// read by then, when it can.
		k.use(installid.New())
		k.update(func(st *Status) { st.Provisional = true })
	}
	if k.opts.Lazy {
		go func() {
			defer close(k.done)
			k.lookAfter(background, k.establish(background))
		}()
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(background, func() { cancel(errStop) })()
	left := k.establish(ctx)
	go func() {
		defer close(k.done)
		k.lookAfter(background, left)
	}()
	return nil
}

func (k *Keeper) setStarted(stop context.CancelCauseFunc) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.started:
		return ErrStarted
	case k.stopped:
		return ErrStopped
	}
	k.started, k.stop = true, stop
	return nil
}

// Stop ends all that Start began and waits for it, no longer than ctx. A storage operation is abandoned and stops at the
// next step it reaches; one on a storage that answers gets stopGrace to come to that, so that it leaves no temporary file
// behind when the process ends now. One that hangs is not waited for. Stop may be called more than once, and before Start,
// which then fails: a host that ends while it starts is left with nothing running.
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
		k.letGo(ctx)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop keeping the installation ID: %w", context.Cause(ctx))
	}
}

const (
	// stopGrace is how long Stop waits for an abandoned operation to come to its next step.
	stopGrace = 100 * time.Millisecond
	// hangsAfter is how long an operation may have been running that is still waited for.
	hangsAfter = time.Second
)

// letGo waits for an abandoned operation that does not hang.
func (k *Keeper) letGo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	for pause := time.Millisecond; ; pause *= 2 {
		st := k.Status()
		if st.Stuck == "" || time.Since(st.StuckSince) >= hangsAfter || !sleep(ctx, pause) {
			return
		}
	}
}

// Reset makes a new ID, stores it in place of the old one and puts it into use. When it cannot be stored, the old one
// stays in use. It waits no longer than ctx. It does not get around Options.MayCreate: where there is no ID yet, none
// is made.
func (k *Keeper) Reset(ctx context.Context) (installid.ID, error) {
	if k.opts.MayCreate != nil && k.ID().IsZero() {
		return installid.ID{}, errors.New("there is no ID yet: " + withheldReason)
	}
	if err := k.begin(ctx); err != nil {
		return installid.ID{}, err
	}
	defer k.end()
	rec, err := k.store.Replace(ctx, installid.New())
	if rec.ID.IsZero() {
		return installid.ID{}, err
	}
	k.keep(rec)
	return rec.ID, nil // a copy that is still missing is made later
}

// begin waits until nobody else uses the store, no longer than ctx.
func (k *Keeper) begin(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("use the storage: %w: %w", flight.ErrTimeout, context.Cause(ctx))
	}
}

func (k *Keeper) end() { <-k.turn }

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
