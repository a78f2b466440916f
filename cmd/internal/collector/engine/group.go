package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A Group holds the reports that one caller queues and then waits for.
// [Engine.Group] makes one. It is not safe for concurrent use.
type Group struct {
	e    *Engine
	jobs []job
	// left counts the jobs that the writer has, and one more until Wait. Whoever
	// makes it 0 closes done, so that the caller wakes up once.
	left atomic.Int64
	done chan struct{}
	err  error // of jobs that are not finished when Wait returns
}

// A job is a report queued for the writer.
type job struct {
	group     *Group
	fleet     *fleet
	key       collector.Key
	heartbeat *collector.Received
	health    *collector.ReceivedHealth
	// importing ends when the past of the app is imported; the job is queued then. It
	// is nil unless it waits for that.
	importing <-chan struct{}
	queued    bool // the writer has it, or had it

	// Only the writer touches the results until finished is set.
	receipt  collector.Receipt
	err      error
	finished atomic.Bool
}

// envelope returns the fields that all reports have.
func (j *job) envelope() (app collector.AppNum, dropped report.Dropped, sentAt time.Time) {
	if j.heartbeat != nil {
		return j.heartbeat.App, j.heartbeat.Dropped, j.heartbeat.Heartbeat.SentAt
	}
	return j.health.App, j.health.Dropped, j.health.Report.SentAt
}

// names returns the app of a report, and the key and the ID of its installation.
func (j *job) names() (app collector.AppNum, key collector.Key, id string) {
	if j.heartbeat != nil {
		return j.heartbeat.App, j.heartbeat.Key, j.heartbeat.Heartbeat.InstallationID
	}
	return j.health.App, j.health.Key, j.health.Report.InstallationID
}

// finish marks the job as done.
func (j *job) finish() {
	j.finished.Store(true)
	j.group.release()
}

// Group returns a group of n reports. Each is queued once, or never.
func (e *Engine) Group(n int) *Group {
	g := &Group{e: e, jobs: make([]job, n), done: make(chan struct{})}
	g.left.Store(1)
	return g
}

func (g *Group) release() {
	if g.left.Add(-1) == 0 {
		close(g.done)
	}
}

// Heartbeat queues a heartbeat as report i of the group. The engine keeps it.
func (g *Group) Heartbeat(i int, r *collector.Received) {
	g.jobs[i].heartbeat = r
	g.queue(&g.jobs[i])
}

// Health queues a health report as report i of the group. The engine keeps it.
func (g *Group) Health(i int, r *collector.ReceivedHealth) {
	g.jobs[i].health = r
	g.queue(&g.jobs[i])
}

// queue queues a report, unless an import into its app is running. Unknown
// installations have a smaller queue, so that a flood of them leaves room for the
// others.
func (g *Group) queue(j *job) {
	app, key, id := j.names()
	f, err := g.e.accepting(app)
	for errors.Is(err, collector.ErrBusy) {
		if j.importing = g.e.importingApp(app); j.importing != nil {
			return
		}
		f, err = g.e.accepting(app) // it has just ended
	}
	if err != nil {
		j.err = err
		return
	}
	if key == (collector.Key{}) {
		key = g.e.keys.Key(f.key, id)
	}
	j.group, j.fleet, j.key = g, f, f.ownKey(key)
	queue := g.e.unknown
	if _, known, complete := g.e.index.get(j.key); known || !complete {
		queue = g.e.known
	}
	if g.e.stopping.Err() != nil {
		j.err = collector.ErrClosed
		return
	}
	g.left.Add(1)
	select {
	case queue <- j:
		j.queued = true
		if n := g.e.wanted.Load(); n > 0 && len(g.e.known)+len(g.e.unknown) >= int(n) {
			select {
			case g.e.enough <- struct{}{}:
			default:
			}
		}
	default:
		g.left.Add(-1)
		j.err = collector.ErrBusy
	}
}

// Wait returns when all reports are durable or refused, or ctx ends.
func (g *Group) Wait(ctx context.Context) {
	for i := range g.jobs {
		for j := &g.jobs[i]; j.importing != nil && j.err == nil; {
			if j.err = g.e.waitForImport(ctx, j.importing); j.err == nil {
				j.importing = nil
				g.queue(j)
			}
		}
	}
	g.release()
	select {
	case <-g.done:
	case <-ctx.Done():
		g.err = ctx.Err()
	case <-g.e.stopped:
		g.err = collector.ErrClosed
	}
}

// Result returns the outcome of report i; call it after Wait. [Engine.Heartbeat]
// lists its errors.
func (g *Group) Result(i int) (collector.Receipt, error) {
	j := &g.jobs[i]
	if j.queued && !j.finished.Load() {
		return collector.Receipt{}, g.err
	}
	return j.receipt, j.err
}

// waitForImport waits for an import to end. The queue's size bounds how many
// reports wait for it.
func (e *Engine) waitForImport(ctx context.Context, importing <-chan struct{}) error {
	select {
	case e.waiters <- struct{}{}:
	default:
		return collector.ErrBusy
	}
	defer func() { <-e.waiters }()
	select {
	case <-importing:
		return nil
	case <-ctx.Done():
		return collector.ErrBusy
	case <-e.stopping.Done():
		return collector.ErrClosed
	}
}

// A task is other work for the writer.
type task struct {
	do   func(ctx context.Context) error
	done chan error // has room for one
}

// exec makes the writer run a task, and waits for it.
func (e *Engine) exec(ctx context.Context, do func(ctx context.Context) error) error {
	t := &task{do: do, done: make(chan error, 1)}
	select {
	case e.tasks <- t:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return collector.ErrClosed
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		select {
		case err := <-t.done:
			return err
		default:
			return collector.ErrClosed
		}
	}
}
