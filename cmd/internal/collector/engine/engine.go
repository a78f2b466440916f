package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Options say how a [Engine] works.
type Options struct {
	// Secret keys the hashes that stand for installations: at least 32 bytes. With another secret every installation
	// would be new, so Open refuses a store that was made with another one.
	Secret []byte
	// Queue bounds the reports of known installations that wait to be written, and a quarter of it those of new ones;
	// further ones get ErrBusy. 0 is DefaultQueue.
	Queue int
	// Logger gets the log lines, in which no ID and no address is; nil discards them.
	Logger *slog.Logger
}

// DefaultQueue is Options.Queue when that is 0.
const DefaultQueue = 4096

// ErrSecret says that the store was made with another secret.
var ErrSecret = errors.New("the secret is not the one that the store was made with")

// A Engine counts the installations of some apps. Make it with [Open]. It is safe for concurrent use.
type Engine struct {
	store collector.Store
	keys  *keyring
	index *index
	log   *slog.Logger
	shelf shelf

	// mu guards the maps, not the fleets in them.
	mu     sync.RWMutex
	fleets map[collector.AppNum]*fleet
	byKey  map[string]*fleet

	known, fresh, tasks chan *job
	stop                sync.Once
	stopping, stopped   chan struct{}
	warmed              chan struct{} // closed when all rows are read
	turned              chan struct{} // has a value when a day has begun
	prepared            chan struct{} // closed when nothing is prepared any more

	refusedMu sync.Mutex
	refused   map[collector.AppNum]map[string]uint64
	unsaved   atomic.Bool // what was refused is not written yet

	entries atomic.Int64 // of the journal since the last checkpoint; only the writer changes it

	// What follows is the writer's.
	day          collector.Day // the day that the fleets count, the earliest of them
	journaled    int64         // the number of the last entry
	checkpointed time.Time
	failed       bool
}

// warmWait is how long Open waits for the rows to be read: those of a small fleet are.
const warmWait = 500 * time.Millisecond

// Open reads what the store holds and starts to count. It returns before all rows are read: until then answers that need
// them are not complete, and reports are taken as always.
func Open(ctx context.Context, store collector.Store, opts Options) (*Engine, error) {
	if len(opts.Secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes, and not at least %d", len(opts.Secret), minSecret)
	}
	if opts.Queue < 0 {
		return nil, fmt.Errorf("the queue has room for %d reports", opts.Queue)
	}
	queue := opts.Queue
	if queue == 0 {
		queue = DefaultQueue
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Engine{
		store: store, keys: newKeyring(opts.Secret), index: newIndex(), log: log,
		fleets: make(map[collector.AppNum]*fleet), byKey: make(map[string]*fleet),
		known: make(chan *job, queue), fresh: make(chan *job, max(1, queue/4)), tasks: make(chan *job),
		stopping: make(chan struct{}), stopped: make(chan struct{}), warmed: make(chan struct{}), turned: make(chan struct{}, 1), prepared: make(chan struct{}),
		refused: make(map[collector.AppNum]map[string]uint64), checkpointed: time.Now(),
	}
	if err := c.checkSecret(ctx); err != nil {
		return nil, err
	}
	if err := c.read(ctx); err != nil {
		return nil, fmt.Errorf("read the store: %w", err)
	}
	if err := c.turn(ctx, time.Now()); err != nil {
		return nil, fmt.Errorf("close the days that are over: %w", err)
	}
	go c.write()
	go c.warm()
	go c.keepReady()
	timer := time.NewTimer(warmWait)
	defer timer.Stop()
	select {
	case <-c.warmed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return c, nil
}

const settingSecret = "secret"

// checkSecret refuses a store of another secret, and notes the secret of a new one.
func (c *Engine) checkSecret(ctx context.Context) error {
	key := collector.RecordKey{Kind: kindSetting, Name: "." + settingSecret}
	fingerprint, ok, err := c.store.Record(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("read the store: %w", err)
	case ok && !c.keys.fits(string(fingerprint)):
		return ErrSecret
	case ok:
		return nil
	}
	_, err = c.store.Commit(ctx, &collector.Batch{Records: []collector.Record{{RecordKey: key, Data: []byte(c.keys.fingerprint())}}})
	return err
}

// Close refuses further reports, finishes those that wait, and writes all that is only in memory. It does not close the
// store. It returns the context's error when that ends first: nothing acknowledged is lost then either.
func (c *Engine) Close(ctx context.Context) error {
	c.stop.Do(func() { close(c.stopping) })
	select {
	case <-c.stopped:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-c.prepared: // it reads from the store, after that which warmed it
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Heartbeat counts a heartbeat, and returns when that is durable. The errors are ErrBusy, ErrNewLimit, ErrUnknownApp,
// ErrGone, ErrClosed, ErrUnavailable or the context's; the heartbeat may be counted nevertheless when the context ends.
func (c *Engine) Heartbeat(ctx context.Context, r collector.Received) (collector.Receipt, error) {
	f, err := c.taking(r.App)
	if err != nil {
		return collector.Receipt{}, err
	}
	key := c.keys.key(f.key, r.Heartbeat.InstallationID)
	return c.submit(ctx, &job{key: key, heartbeat: &r, done: make(chan error, 1)})
}

// Health counts a health report, as Heartbeat does a heartbeat. It counts as a sign of the installation as well: one that
// sent no heartbeat yet is new with it.
func (c *Engine) Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error) {
	f, err := c.taking(r.App)
	if err != nil {
		return collector.Receipt{}, err
	}
	key := c.keys.key(f.key, r.Report.InstallationID)
	return c.submit(ctx, &job{key: key, health: &r, done: make(chan error, 1)})
}

// fleet finds the fleet of an app.
func (c *Engine) fleet(app collector.AppNum) (*fleet, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.fleets[app]; f != nil {
		return f, nil
	}
	return nil, collector.ErrUnknownApp
}

// taking finds the fleet of an app that takes reports.
func (c *Engine) taking(app collector.AppNum) (*fleet, error) {
	f, err := c.fleet(app)
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

// Known tells whether an installation ID, in canonical form, is one that the app knows.
func (c *Engine) Known(ctx context.Context, app collector.AppNum, id string) (bool, error) {
	f, err := c.fleet(app)
	if err != nil {
		return false, err
	}
	_, found, err := c.lookup(ctx, c.keys.key(f.key, id))
	return found, err
}

// lookup finds a key in memory or, as long as that is not whole, in the store.
func (c *Engine) lookup(ctx context.Context, key collector.Key) (ref, bool, error) {
	r, found, whole := c.index.get(key)
	if found || whole {
		return r, found, nil
	}
	ids, err := c.store.Lookup(ctx, []collector.Key{key})
	if err != nil || len(ids) == 0 {
		return ref{}, false, err
	}
	return ref{ids[0].App, ids[0].Num}, true, nil
}

// maxReasons bounds the different reasons that Refuse counts for an app; the rest is Other.
const maxReasons = 50

// Refuse counts a report that was refused before it came here; app is 0 when that is not known.
func (c *Engine) Refuse(app collector.AppNum, reason string) {
	c.refusedMu.Lock()
	defer c.refusedMu.Unlock()
	reasons := c.refused[app]
	if reasons == nil {
		reasons = make(map[string]uint64)
		c.refused[app] = reasons
	}
	if _, ok := reasons[reason]; !ok && len(reasons) >= maxReasons {
		reason = collector.Other
	}
	reasons[reason]++
}

// refusedNow gives what was refused and is not part of the day yet.
func (c *Engine) refusedNow(app collector.AppNum) map[string]uint64 {
	c.refusedMu.Lock()
	defer c.refusedMu.Unlock()
	return maps.Clone(c.refused[app])
}

// mergeRefused makes what was refused part of the day. It is not in the journal: a crash may lose the last minute of it.
func (c *Engine) mergeRefused() {
	c.refusedMu.Lock()
	refused := c.refused
	c.refused = make(map[collector.AppNum]map[string]uint64)
	c.refusedMu.Unlock()
	for app, reasons := range refused {
		f, err := c.fleet(app)
		if err != nil {
			continue // it belongs to no app; the server's metrics have it
		}
		f.mu.Lock()
		f.open.add(&dayCounters{Refused: reasons})
		f.revision++
		f.mu.Unlock()
		c.unsaved.Store(true)
	}
}

// Ready returns nil when a write commits.
func (c *Engine) Ready(ctx context.Context) error {
	return c.exec(ctx, func(ctx context.Context) error {
		now, err := json.Marshal(time.Now().UTC())
		if err != nil {
			return err
		}
		return c.commit(ctx, &collector.Batch{Records: []collector.Record{{RecordKey: collector.RecordKey{Kind: kindSetting, Name: ".ready"}, Data: now}}})
	})
}

// Warm is closed when all rows are read: from then on every answer can be complete.
func (c *Engine) Warm() <-chan struct{} { return c.warmed }

// Revision grows whenever an answer about the app can change; an unknown app has 0.
func (c *Engine) Revision(app collector.AppNum) uint64 {
	f, err := c.fleet(app)
	if err != nil {
		return 0
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.revision
}

// Store gives the store, for backups and checks. Nothing may be committed to it.
func (c *Engine) Store() collector.Store { return c.store }

// Tag stands for what the answers to v are now: it changes when they can have changed. For the public it changes with each
// minute instead, so that an answer may be that of a minute ago: a tag that changed with each report would count them.
func (c *Engine) Tag(app collector.AppNum, v figures.View) uint64 {
	if v.Public {
		return uint64(time.Now().Unix() / 60)
	}
	return c.Revision(app)
}
