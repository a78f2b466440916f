package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// Options configure an [Engine].
type Options struct {
	// Secret keys the hashes that identify installations: at least 32 bytes.
	// With another secret every installation would be new, so Open refuses a
	// store made with another one.
	Secret []byte
	// Queue bounds the reports of known installations that wait to be written,
	// and a quarter of it those of new ones; further ones get
	// [collector.ErrBusy]. 0 means DefaultQueue.
	Queue int
	// Clock returns the time of day; nil is time.Now. It is for tests: a clock
	// that jumps is not trusted.
	Clock func() time.Time
	// Logger receives log lines, which contain no ID and no address. Nil
	// discards them.
	Logger *slog.Logger
}

// DefaultQueue is the default of Options.Queue.
const DefaultQueue = 4096

// ErrSecret means that the store was made with another secret.
var ErrSecret = errors.New("the secret is not the one that the store was made with")

// An Engine counts the installations of some apps. [Open] makes one. It is safe
// for concurrent use.
type Engine struct {
	store  collector.Store
	keys   *secret.Secret
	index  *index
	log    *slog.Logger
	closed closedCache

	// mu guards the maps, not the fleets in them.
	mu     sync.RWMutex
	fleets map[collector.AppNum]*fleet
	byKey  map[string]*fleet
	// moved has the current number of apps that got another one since the start.
	moved map[collector.AppNum]collector.AppNum

	known, unknown chan *job
	tasks          chan *task
	wanted         atomic.Int64    // reports that the writer waits for; 0 if it does not
	enough         chan struct{}   // has an element if there may be as many
	stopping       context.Context // ends when Close is called
	stop           context.CancelFunc
	stopped        chan struct{} // closed when the writer has ended
	lost           chan struct{} // closed when the store is lost
	warmed         chan struct{} // closed when all rows are read
	preloads       chan struct{} // has an element if a preload is requested
	preloaded      chan struct{} // closed when nothing is preloaded any more

	refused refusals
	unsaved atomic.Bool  // refusals are not written yet
	entries atomic.Int64 // of the journal since the last checkpoint; only the writer changes it

	// The rest is the writer's.
	day          collector.Day // the earliest day that a fleet counts
	journaled    int64         // the number of the last entry
	checkpointed time.Time
	complained   string // see complain
	failed       bool   // the last commit
	clock        clock
	held         *holding // nil while the clock is trusted
	believed     *holding // the first hours after a downtime, else nil
	purgeDue     bool     // a day has begun
	generations  generationsRecord
	imports      chan struct{} // admits one import at a time
	waiters      chan struct{} // has an element for each report that waits for an import

	clockState atomic.Pointer[collector.Clock]
}

// warmWait is how long Open waits for all rows. Those of a small fleet take less.
const warmWait = 500 * time.Millisecond

// Open reads what the store holds and begins to count. It may return before all
// rows are read: until then reports are counted as always, but answers that need
// the rows are incomplete.
func Open(ctx context.Context, store collector.Store, opts Options) (*Engine, error) {
	keys, err := secret.New(opts.Secret)
	if err != nil {
		return nil, err
	}
	if opts.Queue < 0 {
		return nil, fmt.Errorf("queue of %d reports", opts.Queue)
	}
	queue := cmp.Or(opts.Queue, DefaultQueue)
	e := &Engine{
		store: store, keys: keys, index: newIndex(), log: opts.Logger,
		fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet), moved: make(map[collector.AppNum]collector.AppNum),
		known: make(chan *job, queue), unknown: make(chan *job, max(1, queue/4)), tasks: make(chan *task), enough: make(chan struct{}, 1),
		stopped: make(chan struct{}), lost: make(chan struct{}), warmed: make(chan struct{}),
		preloads: make(chan struct{}, 1), preloaded: make(chan struct{}), imports: make(chan struct{}, 1), waiters: make(chan struct{}, queue),
		checkpointed: time.Now(),
	}
	if e.clock.wall = opts.Clock; e.clock.wall == nil {
		e.clock.wall = time.Now
	}
	e.stopping, e.stop = context.WithCancel(context.Background())
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.checkSecret(ctx); err != nil {
		return nil, err
	}
	if err := e.read(ctx); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if err := e.rollover(ctx); err != nil {
		return nil, fmt.Errorf("close the days that are over: %w", err)
	}
	go e.write()
	go e.warmUp()
	go e.keepPreloaded()
	timer := time.NewTimer(warmWait)
	defer timer.Stop()
	select {
	case <-e.warmed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return e, nil
}

// checkSecret refuses the store of another secret, and marks a new one.
func (e *Engine) checkSecret(ctx context.Context) error {
	made, err := Made(ctx, e.store)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	if made {
		return CheckSecret(ctx, e.store, e.keys)
	}
	_, err = e.store.Commit(ctx, &collector.Batch{Records: []collector.Record{{RecordKey: settingKey(0, ".secret"), Data: []byte(e.keys.Fingerprint())}}})
	return err
}

// A Records reads single records of a store.
type Records interface {
	Record(ctx context.Context, key collector.RecordKey) (data []byte, ok bool, err error)
}

// Made reports whether an engine has ever opened a store.
func Made(ctx context.Context, store Records) (bool, error) {
	_, made, err := store.Record(ctx, settingKey(0, ".secret"))
	return made, err
}

// CheckSecret returns [ErrSecret] if a store was made with another secret.
func CheckSecret(ctx context.Context, store Records, keys *secret.Secret) error {
	fingerprint, made, err := store.Record(ctx, settingKey(0, ".secret"))
	switch {
	case err != nil:
		return fmt.Errorf("read the store: %w", err)
	case made && !keys.Matches(string(fingerprint)):
		return ErrSecret
	}
	return nil
}

// Close refuses further reports, finishes those that wait, and writes everything
// that is only in memory. It does not close the store. It returns early if ctx
// ends; even then nothing acknowledged is lost.
func (e *Engine) Close(ctx context.Context) error {
	e.stop()
	for _, ended := range []chan struct{}{e.stopped, e.preloaded} { // warmUp ends before preloading does
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Heartbeat counts a heartbeat, and returns when it is durable. It returns
// ErrBusy, ErrNewLimit, ErrUnknownApp, ErrGone, ErrClosed, ErrUnavailable, or
// the error of ctx; in the last case the heartbeat may be counted all the same.
func (e *Engine) Heartbeat(ctx context.Context, r collector.Received) (collector.Receipt, error) {
	g := e.Group(1)
	g.Heartbeat(0, &r)
	g.Wait(ctx)
	return g.Result(0)
}

// Health counts a health report, with the same results as Heartbeat. A health
// report also shows that its installation is active, and may be its first
// report.
func (e *Engine) Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error) {
	g := e.Group(1)
	g.Health(0, &r)
	g.Wait(ctx)
	return g.Result(0)
}

// fleet returns the fleet of an app, or ErrUnknownApp.
func (e *Engine) fleet(app collector.AppNum) (*fleet, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	f := e.fleets[app]
	if f == nil {
		f = e.fleets[e.moved[app]]
	}
	if f == nil {
		return nil, collector.ErrUnknownApp
	}
	return f, nil
}

// inspect calls look with the fleet of an app while it does not change.
func (e *Engine) inspect(app collector.AppNum, look func(*fleet)) error {
	f, err := e.fleet(app)
	if err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	look(f)
	return nil
}

// accepting returns the fleet of an app that accepts reports.
func (e *Engine) accepting(app collector.AppNum) (*fleet, error) {
	f, err := e.fleet(app)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	switch {
	case f.app.Gone:
		return nil, collector.ErrGone
	case f.importing != nil:
		return nil, collector.ErrBusy
	}
	return f, nil
}

// importingApp returns what ends with the import into an app; nil if none runs.
func (e *Engine) importingApp(app collector.AppNum) (importing <-chan struct{}) {
	e.inspect(app, func(f *fleet) {
		if f.importing != nil {
			importing = f.importing
		}
	})
	return importing
}

// sorted returns the fleets in the order of their apps' numbers.
func (e *Engine) sorted() []*fleet {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.SortedFunc(maps.Values(e.fleets), func(a, b *fleet) int { return cmp.Compare(a.num, b.num) })
}

// Known reports whether the app knows an installation ID in canonical form.
func (e *Engine) Known(ctx context.Context, app collector.AppNum, id string) (bool, error) {
	f, err := e.fleet(app)
	if err != nil {
		return false, err
	}
	return e.KnownKey(ctx, app, e.keys.Key(f.key, id))
}

// KnownKey reports whether an app knows an installation by its key.
func (e *Engine) KnownKey(ctx context.Context, app collector.AppNum, key collector.Key) (bool, error) {
	f, err := e.fleet(app)
	if err != nil {
		return false, err
	}
	_, found, err := e.lookup(ctx, f.ownKey(key))
	return found, err
}

// Key returns the key of an installation ID in canonical form.
func (e *Engine) Key(app, id string) collector.Key { return e.keys.Key(app, id) }

// lookup returns the installation with a key. It asks the store as long as the
// index is incomplete.
func (e *Engine) lookup(ctx context.Context, key collector.Key) (ref, bool, error) {
	r, found, complete := e.index.get(key)
	if found || complete {
		return r, found, nil
	}
	ids, err := e.store.Lookup(ctx, []collector.Key{key})
	if err != nil || len(ids) == 0 {
		return ref{}, false, err
	}
	return ref{ids[0].App, ids[0].Num}, true, nil
}

// Ready returns nil if the store can commit.
func (e *Engine) Ready(ctx context.Context) error {
	return e.exec(ctx, func(ctx context.Context) error {
		now, err := json.Marshal(time.Now().UTC())
		if err != nil {
			return err
		}
		return e.putRecords(ctx, collector.Record{RecordKey: settingKey(0, ".ready"), Data: now})
	})
}

// Lost is closed when the store is lost ([collector.ErrLost]): what is in memory
// may differ from it. Reports are refused then; close the engine, and open the
// store and another engine.
func (e *Engine) Lost() <-chan struct{} { return e.lost }

// Warm is closed when all rows are read, so that answers can be complete.
func (e *Engine) Warm() <-chan struct{} { return e.warmed }

// Store returns the store, for backups and checks. The caller must not commit.
func (e *Engine) Store() collector.Store { return e.store }

// Today returns the day being counted, and the first day of the app's figures.
func (e *Engine) Today(app collector.AppNum) (today, since collector.Day, err error) {
	err = e.inspect(app, func(f *fleet) { today, since = f.today, f.since() })
	return today, since, err
}

// Reported reports whether an app has ever counted an installation, even one
// that has been deleted. In-memory IDs, development versions and imported totals
// are no installations.
func (e *Engine) Reported(app collector.AppNum) (reported bool, err error) {
	err = e.inspect(app, func(f *fleet) { reported = len(f.first) > 0 })
	return reported, err
}

// Revision grows whenever an answer about the app may change. It is 0 for an
// unknown app.
func (e *Engine) Revision(app collector.AppNum) (revision uint64) {
	e.inspect(app, func(f *fleet) { revision = f.revision })
	return revision
}

// Tag identifies the current answers to v: it changes when they may have
// changed. For the public it changes every minute instead, and an answer may be
// a minute old, because a tag that changed with each report would count them.
func (e *Engine) Tag(app collector.AppNum, v figures.View) uint64 {
	if v.Public {
		return uint64(time.Now().Unix() / 60)
	}
	return e.Revision(app)
}
