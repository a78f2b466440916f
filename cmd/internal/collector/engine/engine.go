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
	keys   *keyring
	index  *index
	log    *slog.Logger
	closed closedCache

	// mu guards the maps, not the fleets in them.
	mu     sync.RWMutex
	fleets map[collector.AppNum]*fleet
	byKey  map[string]*fleet

	known, unknown, tasks chan *job
	stopping              context.Context // ends when Close is called
	stop                  context.CancelFunc
	stopped               chan struct{} // closed when the writer has ended
	warmed                chan struct{} // closed when all rows are read
	preloads              chan struct{} // has an element if a preload is requested
	preloaded             chan struct{} // closed when nothing is preloaded any more

	refused refusals
	unsaved atomic.Bool  // refusals are not written yet
	entries atomic.Int64 // of the journal since the last checkpoint; only the writer changes it

	// The rest is the writer's.
	day          collector.Day // the earliest day that a fleet counts
	journaled    int64         // the number of the last entry
	checkpointed time.Time
	failed       bool // the last commit
}

// warmWait is how long Open waits for all rows. Those of a small fleet take less.
const warmWait = 500 * time.Millisecond

// Open reads what the store holds and begins to count. It may return before all
// rows are read: until then reports are counted as always, but answers that need
// the rows are incomplete.
func Open(ctx context.Context, store collector.Store, opts Options) (*Engine, error) {
	if len(opts.Secret) < minSecret {
		return nil, fmt.Errorf("secret has %d bytes, at least %d are needed", len(opts.Secret), minSecret)
	}
	if opts.Queue < 0 {
		return nil, fmt.Errorf("queue of %d reports", opts.Queue)
	}
	queue := cmp.Or(opts.Queue, DefaultQueue)
	e := &Engine{
		store: store, keys: newKeyring(opts.Secret), index: newIndex(), log: opts.Logger,
		fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet),
		known: make(chan *job, queue), unknown: make(chan *job, max(1, queue/4)), tasks: make(chan *job),
		stopped: make(chan struct{}), warmed: make(chan struct{}),
		preloads: make(chan struct{}, 1), preloaded: make(chan struct{}),
		checkpointed: time.Now(),
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
	if err := e.rollover(ctx, time.Now()); err != nil {
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
	key := settingKey(0, ".secret")
	fingerprint, ok, err := e.store.Record(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("read the store: %w", err)
	case ok && !e.keys.matches(string(fingerprint)):
		return ErrSecret
	case ok:
		return nil
	}
	_, err = e.store.Commit(ctx, &collector.Batch{Records: []collector.Record{{RecordKey: key, Data: []byte(e.keys.fingerprint())}}})
	return err
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
	return e.submit(ctx, r.App, r.Heartbeat.InstallationID, &job{heartbeat: &r})
}

// Health counts a health report, with the same results as Heartbeat. A health
// report also shows that its installation is active, and may be its first
// report.
func (e *Engine) Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error) {
	return e.submit(ctx, r.App, r.Report.InstallationID, &job{health: &r})
}

// fleet returns the fleet of an app, or ErrUnknownApp.
func (e *Engine) fleet(app collector.AppNum) (*fleet, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if f := e.fleets[app]; f != nil {
		return f, nil
	}
	return nil, collector.ErrUnknownApp
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
	if f.app.Gone {
		return nil, collector.ErrGone
	}
	return f, nil
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
	_, found, err := e.lookup(ctx, e.keys.key(f.key, id))
	return found, err
}

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
