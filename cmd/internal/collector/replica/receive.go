package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
)

// Heartbeat has the counter count a heartbeat, whichever replica that is. The
// installation ID goes no further than here.
func (r *Replica) Heartbeat(ctx context.Context, h collector.Received) (collector.Receipt, error) {
	if h.Key == (collector.Key{}) {
		h.Key = r.opts.Secret.Key(h.Heartbeat.App, h.Heartbeat.InstallationID)
	}
	h.Heartbeat.InstallationID = ""
	return r.count(ctx, counter.Report{Heartbeat: &h})
}

// Health is Heartbeat for a health report.
func (r *Replica) Health(ctx context.Context, h collector.ReceivedHealth) (collector.Receipt, error) {
	if h.Key == (collector.Key{}) {
		h.Key = r.opts.Secret.Key(h.Report.App, h.Report.InstallationID)
	}
	h.Report.InstallationID = ""
	return r.count(ctx, counter.Report{Health: &h})
}

func (r *Replica) count(ctx context.Context, report counter.Report) (receipt collector.Receipt, err error) {
	err = r.current.try(ctx, func(t target) error {
		o, err := t.count(ctx, report)
		receipt = o.Receipt
		return err
	})
	return receipt, timely(err)
}

// ask has the counter answer a question.
func (r *Replica) ask(ctx context.Context, q question) (a answer, err error) {
	err = r.current.try(ctx, func(t target) error {
		a, err = t.ask(ctx, q)
		return err
	})
	return a, timely(err)
}

// timely returns errNone in place of the end of a context: no counter has answered
// in time.
func timely(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errNone
	}
	return err
}

// Refuse counts a report that this replica refused. The counter learns it with the
// next batch.
func (r *Replica) Refuse(app, reason string) {
	if t, ok := r.current.now().(*local); ok {
		t.lead.Counter.Refuse(app, reason)
		return
	}
	r.refused.add(app, reason)
}

// Ready returns an error unless there is a counter whose store commits.
func (r *Replica) Ready(ctx context.Context) (provisional bool, err error) {
	if r.isRetired() {
		return false, collector.ErrClosed
	}
	a, err := r.ask(ctx, question{Kind: askReady})
	return a.Yes, err
}

// Describe returns what is held about an installation.
func (r *Replica) Describe(ctx context.Context, l counter.Lookup) ([]collector.Held, error) {
	a, err := r.askAbout(ctx, askDescribe, l)
	return a.Held, err
}

// Forget deletes what is held about an installation.
func (r *Replica) Forget(ctx context.Context, l counter.Lookup) (collector.Deletion, error) {
	a, err := r.askAbout(ctx, askForget, l)
	return a.Deletion, err
}

// askAbout asks about an installation, by its key in each app. If an app is new, the
// counter says so, and is asked again.
func (r *Replica) askAbout(ctx context.Context, k kind, l counter.Lookup) (a answer, err error) {
	apps := r.apps.last()
	for range 3 {
		q := question{Kind: k, Prefix: l.Prefix, Keys: make(map[string]collector.Key, len(apps))}
		for _, app := range apps {
			q.Keys[app.Key] = r.opts.Secret.Key(app.Key, l.ID)
		}
		if a, err = r.ask(ctx, q); err != nil || !a.Incomplete {
			return a, err
		}
		apps = a.Apps
		r.apps.put(apps)
	}
	return a, errNone // apps are being added faster than anyone can
}

// appsFor is how long a receiver caches the apps.
const appsFor = 2 * time.Second

// Apps returns the apps, as they were at most two seconds ago.
func (r *Replica) Apps(ctx context.Context) ([]collector.App, error) {
	if apps, ok := r.apps.fresh(); ok {
		return apps, nil
	}
	a, err := r.ask(ctx, question{Kind: askApps})
	if err == nil {
		r.apps.put(a.Apps)
	}
	return a.Apps, err
}

// An appCache holds the apps of a moment. It is safe for concurrent use.
type appCache struct {
	mu   sync.Mutex
	apps []collector.App
	at   time.Time
}

func (c *appCache) put(apps []collector.App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apps, c.at = apps, time.Now()
}

func (c *appCache) last() []collector.App {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps
}

func (c *appCache) fresh() ([]collector.App, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps, !c.at.IsZero() && time.Since(c.at) < appsFor
}
