package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// One goroutine, the writer, changes everything. While it commits a tx, the
// next reports queue up, so that many share a commit.

const (
	// maxBatch bounds the reports of one commit.
	maxBatch = 1024
	// A commit of few reports costs nearly as much as one of many. If at least
	// gatherFrom shared the last one, the writer waits for gatherWait before
	// the next, so that more arrive.
	gatherFrom = 8
	gatherWait = 300 * time.Microsecond
	// commitTimeout bounds one commit, and taskTimeout anything else that the
	// writer does.
	commitTimeout = 15 * time.Second
	taskTimeout   = time.Minute
	// A checkpoint follows after checkpointEvery or checkpointEntries, whichever
	// comes first.
	checkpointEvery   = time.Minute
	checkpointEntries = 20_000
)

// A job is a report or a task that waits for the writer.
type job struct {
	key       collector.Key
	heartbeat *collector.Received
	health    *collector.ReceivedHealth
	task      func(ctx context.Context) error
	receipt   collector.Receipt
	done      chan error // has room for one
}

// envelope returns what all reports have.
func (j *job) envelope() (app collector.AppNum, dropped report.Dropped, sentAt time.Time) {
	if j.heartbeat != nil {
		return j.heartbeat.App, j.heartbeat.Dropped, j.heartbeat.Heartbeat.SentAt
	}
	return j.health.App, j.health.Dropped, j.health.Report.SentAt
}

// submit queues a report and waits until it is durable. Unknown installations
// have a smaller queue, so that a flood of them leaves room for the others.
func (e *Engine) submit(ctx context.Context, app collector.AppNum, id string, j *job) (collector.Receipt, error) {
	f, err := e.accepting(app)
	if err != nil {
		return collector.Receipt{}, err
	}
	j.key, j.done = e.keys.key(f.key, id), make(chan error, 1)
	queue := e.unknown
	if _, known, complete := e.index.get(j.key); known || !complete {
		queue = e.known
	}
	if e.stopping.Err() != nil {
		return collector.Receipt{}, collector.ErrClosed
	}
	select {
	case queue <- j:
	default:
		return collector.Receipt{}, collector.ErrBusy
	}
	if err := e.wait(ctx, j); err != nil {
		return collector.Receipt{}, err
	}
	return j.receipt, nil
}

// exec has the writer run a task, and waits for it.
func (e *Engine) exec(ctx context.Context, task func(ctx context.Context) error) error {
	j := &job{task: task, done: make(chan error, 1)}
	select {
	case e.tasks <- j:
		return e.wait(ctx, j)
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		return collector.ErrClosed
	}
}

// wait waits until the writer has finished a job.
func (e *Engine) wait(ctx context.Context, j *job) error {
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stopped:
		select {
		case err := <-j.done:
			return err
		default:
			return collector.ErrClosed
		}
	}
}

// write is the writer. It returns when the engine stops and the queues are
// empty.
func (e *Engine) write() {
	defer close(e.stopped)
	timer := time.NewTimer(checkpointEvery)
	defer timer.Stop()
	batch := make([]*job, 0, maxBatch)
	for {
		busy := len(batch) >= gatherFrom
		batch = batch[:0]
		timer.Reset(e.nextHousekeeping(time.Now()))
		select {
		case j := <-e.known:
			batch = append(batch, j)
		case j := <-e.unknown:
			batch = append(batch, j)
		case j := <-e.tasks:
			e.run(j)
			continue
		case <-timer.C:
			e.housekeep(time.Now())
			continue
		case <-e.stopping.Done():
			e.drain()
			return
		}
		if busy {
			time.Sleep(gatherWait)
		}
		batch = e.gather(batch)
		e.process(batch)
	}
}

// gather adds the reports that wait, known installations first.
func (e *Engine) gather(batch []*job) []*job {
	for _, queue := range []chan *job{e.known, e.unknown} {
		for len(batch) < maxBatch {
			select {
			case j := <-queue:
				batch = append(batch, j)
				continue
			default:
			}
			break
		}
	}
	return batch
}

func (e *Engine) run(j *job) {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	j.done <- j.task(ctx)
}

// process counts a batch of reports, and answers each.
func (e *Engine) process(batch []*job) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	errs := make([]error, len(batch))
	err := e.count(ctx, batch, errs)
	if err != nil && !errors.Is(err, collector.ErrUnavailable) && !errors.Is(err, collector.ErrClosed) {
		err = fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	}
	for i, j := range batch {
		if err != nil {
			errs[i] = err
		}
		j.done <- errs[i]
	}
}

// count counts a batch of reports in one tx. An error is that of all reports;
// errs are those of single ones.
func (e *Engine) count(ctx context.Context, batch []*job, errs []error) error {
	now := time.Now()
	if err := e.rollover(ctx, now); err != nil {
		return err
	}
	t := e.begin(now)
	if err := t.prefetch(ctx, batch); err != nil {
		return err
	}
	for i, j := range batch {
		j.receipt, errs[i] = t.add(ctx, j)
	}
	if err := e.commitTx(ctx, t); err != nil {
		t.discard()
		return err
	}
	t.apply()
	return nil
}

// prefetch looks up the keys of a batch that are not in memory yet, all at once.
func (t *tx) prefetch(ctx context.Context, batch []*job) error {
	var missing []collector.Key
	for _, j := range batch {
		if _, found, complete := t.e.index.get(j.key); !found && !complete {
			missing = append(missing, j.key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ids, err := t.e.store.Lookup(ctx, missing)
	for _, id := range ids {
		t.refs[id.Key] = ref{id.App, id.Num}
	}
	return err
}

// commitTx makes a tx durable.
func (e *Engine) commitTx(ctx context.Context, t *tx) error {
	if e.entries.Load() >= checkpointEntries {
		if err := e.checkpoint(ctx); err != nil {
			return err
		}
	}
	b := t.batch()
	if len(b.Journal) == 0 {
		return nil
	}
	return e.commit(ctx, b)
}

// commit writes a batch. It logs when the store begins to fail and when it has
// recovered.
func (e *Engine) commit(ctx context.Context, b *collector.Batch) error {
	number, err := e.store.Commit(ctx, b)
	switch {
	case err != nil && !e.failed:
		e.log.Error("Store does not write; reports are refused until it does", "error", err.Error())
	case err == nil && e.failed:
		e.log.Info("Store writes again")
	}
	e.failed = err != nil
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
		}
		return err
	}
	if number > 0 {
		e.journaled = number
		e.entries.Add(1)
	}
	return nil
}

// putRecords writes records.
func (e *Engine) putRecords(ctx context.Context, records ...collector.Record) error {
	return e.commit(ctx, &collector.Batch{Records: records})
}

// nextHousekeeping returns how long there is nothing to do without a report:
// until the next checkpoint or midnight.
func (e *Engine) nextHousekeeping(now time.Time) time.Duration {
	wait := max(checkpointEvery-now.Sub(e.checkpointed), time.Second)
	if midnight := (e.day + 1).Time().Sub(now); midnight > 0 {
		wait = min(wait, midnight)
	}
	return wait
}

// housekeep closes a day that is over, and writes a checkpoint if one is due.
func (e *Engine) housekeep(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	e.mergeRefused()
	if err := e.rollover(ctx, now); err != nil {
		e.log.Warn("Day cannot be closed yet", "error", err.Error())
		return
	}
	if now.Sub(e.checkpointed) < checkpointEvery && e.entries.Load() < checkpointEntries {
		return
	}
	if e.entries.Load() == 0 && !e.unsaved.Load() {
		e.checkpointed = now
	} else if err := e.checkpoint(ctx); err != nil {
		e.log.Warn("Checkpoint failed", "error", err.Error())
	}
}

// drain finishes what waits, and writes everything that is only in memory.
func (e *Engine) drain() {
	for {
		select {
		case j := <-e.tasks:
			e.run(j)
			continue
		default:
		}
		batch := e.gather(nil)
		if len(batch) == 0 {
			break
		}
		e.process(batch)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	e.mergeRefused()
	if err := e.checkpoint(ctx); err != nil {
		e.log.Warn("Checkpoint failed; the journal has everything", "error", err.Error())
	}
}
