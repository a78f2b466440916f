// Package counter decides about reports that a server has received and parsed, and
// counts them. However many replicas receive, one process at a time has a counter:
// so the limits in it hold for all of them together.
package counter

import (
	"context"
	"errors"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// Options configure a [Counter]. Collector is required.
type Options struct {
	Collector *engine.Engine
	// Limits bound what one sender may send.
	Limits Limits
	// Audit receives deletions and floods; nil discards them.
	Audit *audit.Log
}

// A Counter counts the reports that are within the limits. Create it with [New].
// It is safe for concurrent use.
type Counter struct {
	engine *engine.Engine
	audit  *audit.Log
	limits limiter
}

// New returns a counter. It starts nothing.
func New(opts Options) (*Counter, error) {
	if opts.Collector == nil {
		return nil, errors.New("counter: Collector is required")
	}
	limits, err := newLimiter(opts.Limits)
	if err != nil {
		return nil, err
	}
	return &Counter{engine: opts.Collector, audit: opts.Audit, limits: limits}, nil
}

// A Report is a heartbeat or a health report: one field is set. Whoever counts it
// keeps it.
type Report struct {
	Heartbeat *collector.Received
	Health    *collector.ReceivedHealth
}

// An Outcome is what became of a report. Err is a [collector.LimitError], or one
// of those of [engine.Engine.Heartbeat].
type Outcome struct {
	Receipt collector.Receipt
	Err     error
}

// Heartbeat counts the heartbeat of an installation, and returns when it is
// durable. It looks up the app.
func (c *Counter) Heartbeat(ctx context.Context, r collector.Received) (collector.Receipt, error) {
	o := c.Count(ctx, []Report{{Heartbeat: &r}})[0]
	return o.Receipt, o.Err
}

// Health is Heartbeat for a health report.
func (c *Counter) Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error) {
	o := c.Count(ctx, []Report{{Health: &r}})[0]
	return o.Receipt, o.Err
}

// Count counts reports, which share commits, and returns their outcomes in the same
// order when all are durable or refused.
func (c *Counter) Count(ctx context.Context, reports []Report) []Outcome {
	group := c.engine.Group(len(reports))
	outcomes := make([]Outcome, len(reports))
	for i, r := range reports {
		outcomes[i].Err = c.queue(ctx, group, i, r)
	}
	group.Wait(ctx)
	for i := range outcomes {
		if o := &outcomes[i]; o.Err == nil {
			o.Receipt, o.Err = group.Result(i)
		}
	}
	return outcomes
}

// queue queues a report that is within the limits.
func (c *Counter) queue(ctx context.Context, group *engine.Group, i int, r Report) (err error) {
	switch {
	case r.Heartbeat != nil:
		h := r.Heartbeat
		if h.App, err = c.admit(ctx, h.Heartbeat.App, &h.Key, sender{id: h.Heartbeat.InstallationID, prefix: h.Prefix, legacy: h.Legacy}); err == nil {
			group.Heartbeat(i, h)
		}
	case r.Health != nil:
		h := r.Health
		if h.App, err = c.admit(ctx, h.Report.App, &h.Key, sender{
			id: h.Report.InstallationID, prefix: h.Prefix, legacy: h.Legacy, health: true,
		}); err == nil {
			group.Health(i, h)
		}
	default:
		err = errors.New("a report of no kind")
	}
	return err
}

// A sender is what the limits distinguish.
type sender struct {
	id     string // or empty, if the key is known
	prefix uint64
	legacy bool
	health bool
}

// admit returns the app of a report, completes its key, and enforces the limits.
// Known installations have a share of their own, which no number of unknown ones
// can take away.
func (c *Counter) admit(ctx context.Context, name string, key *collector.Key, from sender) (collector.AppNum, error) {
	app, ok := c.engine.App(name)
	switch {
	case !ok:
		return 0, collector.ErrUnknownApp
	case app.Gone:
		return 0, collector.ErrGone
	}
	if *key == (collector.Key{}) {
		*key = c.engine.Key(name, from.id)
	}
	if from.legacy {
		return app.Num, c.limits.takeLegacy(limit.Key(from.prefix), *key, from.health)
	}
	known, err := c.engine.KnownKey(ctx, app.Num, *key)
	if err != nil {
		return 0, err
	}
	if err := c.limits.take(limit.Key(from.prefix), *key, known); err != nil {
		c.audit.Add(audit.Entry{Action: audit.Flooded, Actor: audit.Nobody, App: app.Key, Detail: "reports: " + err.Reason})
		return 0, err
	}
	return app.Num, nil
}

// Refuse counts a report that was refused. App is its app, or empty if unknown.
func (c *Counter) Refuse(app, reason string) { c.RefuseMany(app, reason, 1) }

// RefuseMany is Refuse of n reports.
func (c *Counter) RefuseMany(app, reason string, n int) {
	known, _ := c.engine.App(app)
	c.engine.RefuseMany(known.Num, reason, n)
}

// Apps returns the apps in the order of their keys.
func (c *Counter) Apps(context.Context) ([]collector.App, error) { return c.engine.Apps(), nil }

// Ready returns an error if the store does not commit, and reports whether reports
// count provisionally because the clock is not plausible.
func (c *Counter) Ready(ctx context.Context) (provisional bool, err error) {
	return !c.engine.Clock().Trusted, c.engine.Ready(ctx)
}

// A Lookup names an installation, by its ID in canonical form or by its keys.
type Lookup struct {
	ID string
	// KeyOf, if not nil, returns the key within an app.
	KeyOf func(app string) collector.Key
	// Prefix stands for the network that the request comes from.
	Prefix uint64
}

func (c *Counter) keys(l Lookup) func(app string) collector.Key {
	if l.KeyOf != nil {
		return l.KeyOf
	}
	return func(app string) collector.Key { return c.engine.Key(app, l.ID) }
}

// Describe is [engine.Engine.Describe] within the limits.
func (c *Counter) Describe(ctx context.Context, l Lookup) ([]collector.Held, error) {
	if err := c.lookup(l); err != nil {
		return nil, err
	}
	return c.engine.DescribeKeys(ctx, c.keys(l))
}

// Forget is [engine.Engine.Forget] within the limits.
func (c *Counter) Forget(ctx context.Context, l Lookup) (collector.Deletion, error) {
	if err := c.lookup(l); err != nil {
		return collector.Deletion{}, err
	}
	deletion, err := c.engine.ForgetKeys(ctx, c.keys(l))
	if err == nil && deletion.Deleted > 0 {
		c.audit.Add(audit.Entry{Action: audit.Deleted, Actor: audit.Installation})
	}
	return deletion, err
}

func (c *Counter) lookup(l Lookup) error {
	wait, ok := c.limits.lookups.Take(limit.Key(l.Prefix))
	if ok {
		return nil
	}
	c.audit.Add(audit.Entry{Action: audit.Flooded, Actor: audit.Nobody, Detail: "questions about installations"})
	return &collector.LimitError{Reason: collector.RefusedRate, Wait: wait}
}
