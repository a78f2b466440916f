package installid

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
)

// The log lines. Operators grep for them: neither the texts nor the keys change.
const (
	msgGenerated = "Generated new anonymous installation ID"
	msgPersisted = "Installation ID persisted to config"
	msgTimedOut  = "Config save timed out, will retry"
	msgFailed    = "Failed to save installation ID to config"
	msgInMemory  = "Using in-memory installation ID (config save failed)"
	msgStartOver = "Installation ID generation timed out - using in-memory ID"
	msgAdopted   = "Stored installation ID adopted"
	msgReplaced  = "Stored installation ID is not valid, replacing it"

	keyID         = "id"
	keyAttempt    = "attempt"
	keyMaxRetries = "max_retries"
	keyError      = "error"
	keyNote       = "note"
	keyTimeout    = "timeout"

	inMemoryNote = "telemetry works with this ID until the next start; saving is tried again in the background"
)

// ErrStarted says that a keeper was started twice.
var ErrStarted = errors.New("already started")

// errStartTimeout is the cause of a context that ends with Options.StartTimeout.
var errStartTimeout = errors.New("start limit reached")

// A Keeper keeps the installation ID of one process. Its methods are safe for concurrent use.
type Keeper struct {
	store Store
	opts  Options

	id atomic.Pointer[ID] // never nil after Start; what ID reads

	mu        sync.Mutex // guards what follows, and orders the observer's calls
	status    Status
	started   bool
	stop      context.CancelFunc
	announced bool // whether it was logged that the ID in use is a new one
	known     bool // whether the observer knows if the ID is persisted

	settled chan struct{} // closed when status.Settled
	done    chan struct{} // closed when all that Start began is over
}

// NewKeeper checks its arguments and does nothing else.
func NewKeeper(store Store, opts Options) (*Keeper, error) {
	if store == nil {
		return nil, errors.New("no store")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Keeper{store: store, opts: opts, settled: make(chan struct{}), done: make(chan struct{})}, nil
}

// ID is the ID in use. It is the zero ID before Start and while Options.MayCreate says no. It takes no lock and does
// not allocate.
func (k *Keeper) ID() ID {
	if id := k.id.Load(); id != nil {
		return *id
	}
	return ID{}
}

// Settled is closed when the first decision about the ID has been taken: it was found, made and saved, or serves from
// memory. That takes at most Options.StartTimeout.
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
// error: it serves from memory, and the status says why. The only error is ErrStarted.
func (k *Keeper) Start(ctx context.Context) error {
	k.mu.Lock()
	if k.started {
		k.mu.Unlock()
		return ErrStarted
	}
	k.started = true
	background, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.mu.Unlock()

	if k.opts.MayCreate == nil {
		// Usable at once. Should one be stored, it takes this one's place before Start returns or, if it cannot be
		// read by then, when it can.
		k.use(New())
		k.update(func(st *Status) { st.Provisional = true })
	}
	if k.opts.Lazy {
		go func() {
			defer close(k.done)
			k.establish(background)
			k.lookAfter(background)
		}()
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(background, func() { cancel(context.Canceled) })()
	k.establish(ctx)
	go func() {
		defer close(k.done)
		k.lookAfter(background)
	}()
	return nil
}

// Stop ends all that Start began and waits for it, no longer than ctx. A storage operation that hangs is not waited
// for; it is abandoned and stops at the next step it reaches. Stop may be called more than once, and before Start.
func (k *Keeper) Stop(ctx context.Context) error {
	k.mu.Lock()
	stop := k.stop
	k.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-k.done:
	case <-ctx.Done():
		return fmt.Errorf("stop keeping the installation ID: %w", context.Cause(ctx))
	}
	k.update(func(st *Status) { st.NextTry = time.Time{} })
	return nil
}

// Reset makes a new ID, stores it in place of the old one and puts it into use. When it cannot be stored, the old one
// stays in use. It waits no longer than ctx.
func (k *Keeper) Reset(ctx context.Context) (ID, error) {
	rec, err := k.store.Replace(ctx, New())
	if rec.ID.IsZero() {
		return ID{}, err
	}
	k.keep(rec)
	return rec.ID, nil // a copy that is still missing is made later
}

// establish takes the first decision about the ID.
func (k *Keeper) establish(ctx context.Context) {
	defer k.settle()
	ctx, cancel := context.WithTimeoutCause(ctx, k.opts.StartTimeout, errStartTimeout)
	defer cancel()

	var err error
	absent := false // whether it is known that no ID is stored
	for attempt := 1; attempt <= k.opts.Attempts; attempt++ {
		if attempt > 1 && !sleep(ctx, k.opts.Backoff<<(attempt-2)) {
			break
		}
		if err = k.attempt(ctx, attempt, &absent); err == nil {
			return
		}
		if ctx.Err() != nil || isPermanent(err) {
			break
		}
	}
	if !k.Status().Persisted { // else it is in the anchor, and the background goes on with the config
		k.fallBack(ctx, err)
	}
}

// attempt makes one attempt, within its limit, to find the ID or to save it, and records and logs how it ended.
func (k *Keeper) attempt(ctx context.Context, attempt int, absent *bool) error {
	ctx, cancel := context.WithTimeout(ctx, k.opts.AttemptTimeout)
	defer cancel()
	begin := time.Now()
	result, err := k.try(ctx, attempt, absent)
	k.record(attempt, result, err, time.Since(begin))
	switch result {
	case ResultTimeout:
		k.opts.Logger.Warn(msgTimedOut, keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	case ResultFailed:
		k.opts.Logger.Warn(msgFailed, keyError, err.Error(), keyAttempt, attempt, keyMaxRetries, k.opts.Attempts)
	}
	return err
}

// try finds the ID, or makes and saves one. Once it is known that none is stored it does not read again: saving does,
// and an ID that has come meanwhile stands.
func (k *Keeper) try(ctx context.Context, attempt int, absent *bool) (Result, error) {
	if !*absent {
		rec, err := k.store.Load(ctx)
		if rec.Replaced {
			k.opts.Logger.Warn(msgReplaced)
		}
		if err == nil || errors.Is(err, ErrNotFound) {
			k.update(func(st *Status) { st.Enabled = rec.Enabled })
		}
		switch {
		case err == nil:
			k.keep(rec)
			return ResultFound, nil
		case !errors.Is(err, ErrNotFound):
			return failure(err), fmt.Errorf("read installation ID: %w", err)
		}
		if !k.make(rec.Enabled) {
			return ResultFound, nil
		}
		*absent = true
	}
	rec, err := k.store.Save(ctx, k.ID())
	if !rec.ID.IsZero() {
		k.keep(rec)
	}
	if err != nil {
		return failure(err), fmt.Errorf("save installation ID: %w", err)
	}
	if rec.Written {
		k.opts.Logger.Info(msgPersisted, keyAttempt, attempt)
	}
	return ResultSaved, nil
}

// make puts a new ID into use, if one may be made.
func (k *Keeper) make(enabled configfile.Value) bool {
	if k.opts.MayCreate != nil && !k.opts.MayCreate(enabled) {
		k.update(func(st *Status) { st.Reason = "an ID is made only after consent" })
		return false
	}
	if k.ID().IsZero() {
		k.use(New())
	}
	k.update(func(st *Status) { st.Provisional, st.Reason = false, "" })
	k.announce()
	return true
}

// announce logs once that the ID in use is a new one.
func (k *Keeper) announce() {
	k.mu.Lock()
	news := !k.announced
	k.announced = true
	k.mu.Unlock()
	if news {
		k.opts.Logger.Info(msgGenerated, keyID, k.ID().Short())
	}
}

// keep puts an ID that is durable into use.
func (k *Keeper) keep(rec Record) {
	k.mu.Lock()
	// News unless it takes the place of this start's provisional ID, which nobody was told of.
	news := rec.ID != k.status.ID && (k.announced || k.status.Persisted)
	k.mu.Unlock()
	if news {
		k.opts.Logger.Info(msgAdopted, keyID, rec.ID.Short())
	}
	k.use(rec.ID)
	k.update(func(st *Status) {
		st.Provisional, st.Incomplete = false, rec.Incomplete
		st.Place = rec.Place
		if !rec.Incomplete {
			st.Reason = ""
		}
	})
	k.tellPersisted(true)
}

// fallBack lets the ID in memory serve.
func (k *Keeper) fallBack(ctx context.Context, err error) {
	if k.ID().IsZero() && !k.make(configfile.Value{}) {
		return
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	k.update(func(st *Status) { st.Reason = err.Error() })
	k.observe(func(o Observer) { o.FellBack(err.Error()) })
	k.tellPersisted(false)
	k.announce() // when what is stored could not be read, this has not been said yet
	if errors.Is(context.Cause(ctx), errStartTimeout) {
		k.opts.Logger.Error(msgStartOver, keyTimeout, k.opts.StartTimeout)
		return
	}
	k.opts.Logger.Warn(msgInMemory, keyID, k.ID().Short(), keyError, err.Error(), keyNote, inMemoryNote)
}

// settle says that the first decision has been taken.
func (k *Keeper) settle() {
	k.update(func(st *Status) { st.Settled = true })
	close(k.settled)
	if k.opts.OnSettled != nil {
		k.opts.OnSettled(k.Status())
	}
}

// lookAfter is the background work: it tries to persist what is not, and looks once an hour whether all is in place.
// It is patient: a storage operation may take as long as it likes here, and while one hangs no other is begun.
func (k *Keeper) lookAfter(ctx context.Context) {
	m, maintained := k.store.(Maintainer)
	if maintained {
		m.Sweep(ctx) // best effort: what stays is swept at the next start
	}
	retry := retryFirst
	for {
		st := k.Status()
		wait := lookEvery
		switch {
		case st.Persisted && st.Incomplete && st.LastError == "":
			wait = 0 // found by Start, which does not write when an ID is stored
		case !st.Persisted || st.Incomplete:
			wait = min(retry, lookEvery)
			retry *= 2
			if st.ID.IsZero() {
				wait = retryFirst // waiting for consent, which should not take an hour to notice
			}
		default:
			retry = retryFirst
		}
		if wait > 0 {
			wait += time.Duration(float64(wait) * jitter * (2*rand.Float64() - 1))
			k.update(func(st *Status) { st.NextTry = time.Now().Add(wait) })
		}
		if !sleep(ctx, wait) {
			return
		}
		k.look(ctx)
	}
}

// look reads what is stored, adopts it if it is another ID than the one in use, and saves the ID where it is missing.
func (k *Keeper) look(ctx context.Context) {
	begin := time.Now()
	attempt := k.Status().Attempts + 1
	absent := false
	result, err := k.try(ctx, attempt, &absent)
	if m, ok := k.store.(Maintainer); ok && err == nil && result == ResultFound && !k.ID().IsZero() {
		var rec Record
		rec, err = m.Maintain(ctx, k.ID())
		if !rec.ID.IsZero() {
			k.keep(rec)
		}
		if rec.Written {
			result = ResultSaved
			k.opts.Logger.Info(msgPersisted, keyAttempt, attempt)
		}
	}
	if ctx.Err() != nil {
		return // stopped: not the storage's fault
	}
	if err != nil {
		result = failure(err)
		k.opts.Logger.Debug(msgFailed, keyError, err.Error(), keyAttempt, attempt)
	}
	k.record(attempt, result, err, time.Since(begin))
}

// use makes id the one that ID returns.
func (k *Keeper) use(id ID) {
	if k.ID() != id {
		k.id.Store(&id)
	}
	k.update(func(st *Status) { st.ID = id })
}

// record keeps and tells how an attempt ended.
func (k *Keeper) record(attempt int, result Result, err error, d time.Duration) {
	k.update(func(st *Status) {
		st.Attempts = attempt
		st.LastError = ""
		if err != nil {
			st.LastError, st.LastErrorTime = err.Error(), time.Now()
			if st.Incomplete || !st.Persisted {
				st.Reason = st.LastError
			}
		}
	})
	k.observe(func(o Observer) { o.SaveAttempted(SaveAttempt{Attempt: attempt, Result: result, Duration: d}) })
}

// tellPersisted tells the observer whether the ID is persisted, when that is news.
func (k *Keeper) tellPersisted(persisted bool) {
	k.mu.Lock()
	news := !k.known || k.status.Persisted != persisted
	k.known = true
	k.status.Persisted = persisted
	k.mu.Unlock()
	if news {
		k.observe(func(o Observer) { o.PersistedChanged(persisted) })
	}
}

func (k *Keeper) update(change func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
}

func (k *Keeper) observe(tell func(Observer)) {
	defer func() { _ = recover() }() // an observer's panic must not reach the host
	tell(k.opts.Observer)
}

func failure(err error) Result {
	if errors.Is(err, flight.ErrTimeout) {
		return ResultTimeout
	}
	return ResultFailed
}

// isPermanent tells whether trying again soon is in vain.
func isPermanent(err error) bool {
	return !errors.Is(err, flight.ErrTimeout) && configfile.Permanent(err)
}

// sleep waits for d and tells whether ctx still stands.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
