package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// One goroutine, the writer, changes everything: it takes what waits, stages it, commits it, makes it part of the fleets
// and only then answers. While a commit is written the next reports gather, so that many share one.

const (
	// maxBatch bounds the reports of one commit.
	maxBatch = 1024
	// A commit costs nearly as much for a few reports as for many. So when gatherFrom of them or more shared the last one,
	// the writer lets more come for gatherWait before it begins the next.
	gatherFrom = 8
	gatherWait = 300 * time.Microsecond
	// commitTimeout bounds one commit.
	commitTimeout = 15 * time.Second
	// checkpointEvery and checkpointEntries say when what the journal holds is written as records.
	checkpointEvery   = time.Minute
	checkpointEntries = 20_000
)

// A job is a report that waits, or something else that the writer is to do.
type job struct {
	key       collector.Key
	heartbeat *collector.Received
	health    *collector.ReceivedHealth
	do        func(ctx context.Context) error
	receipt   collector.Receipt
	done      chan error // has room for one
}

// submit hands a report to the writer and waits for what becomes of it. Reports of installations that are not known yet
// have less room, so that a flood of them leaves enough for the others.
func (c *Engine) submit(ctx context.Context, j *job) (collector.Receipt, error) {
	_, known, whole := c.index.get(j.key)
	queue := c.fresh
	if known || !whole {
		queue = c.known
	}
	select {
	case <-c.stopping:
		return collector.Receipt{}, collector.ErrClosed
	default:
	}
	select {
	case queue <- j:
	default:
		return collector.Receipt{}, collector.ErrBusy
	}
	select {
	case err := <-j.done:
		return j.receipt, err
	case <-ctx.Done():
		return collector.Receipt{}, ctx.Err()
	case <-c.stopped:
		select {
		case err := <-j.done:
			return j.receipt, err
		default:
			return collector.Receipt{}, collector.ErrClosed
		}
	}
}

// exec has the writer do something and waits for it.
func (c *Engine) exec(ctx context.Context, do func(ctx context.Context) error) error {
	j := &job{do: do, done: make(chan error, 1)}
	select {
	case c.tasks <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stopped:
		return collector.ErrClosed
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-c.stopped:
		select {
		case err := <-j.done:
			return err
		default:
			return collector.ErrClosed
		}
	}
}

// write is the writer. It ends when stop is closed and nothing waits any more.
func (c *Engine) write() {
	defer close(c.stopped)
	timer := time.NewTimer(checkpointEvery)
	defer timer.Stop()
	batch := make([]*job, 0, maxBatch)
	for {
		busy := len(batch) >= gatherFrom
		batch = batch[:0]
		timer.Reset(c.nextLook(time.Now()))
		select {
		case j := <-c.known:
			batch = append(batch, j)
		case j := <-c.fresh:
			batch = append(batch, j)
		case j := <-c.tasks:
			c.run(j)
			continue
		case <-timer.C:
			c.housekeep(time.Now())
			continue
		case <-c.stopping:
			c.drain()
			return
		}
		if busy {
			time.Sleep(gatherWait)
		}
		batch = c.gather(batch)
		c.process(batch)
	}
}

// gather adds what waits, known installations first.
func (c *Engine) gather(batch []*job) []*job {
	for _, queue := range []chan *job{c.known, c.fresh} {
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

func (c *Engine) run(j *job) {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	j.done <- j.do(ctx)
}

// taskTimeout bounds what the writer does besides reports.
const taskTimeout = time.Minute

// process counts a batch of reports.
func (c *Engine) process(batch []*job) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	now := time.Now()
	if err := c.turn(ctx, now); err != nil {
		c.answer(batch, nil, err)
		return
	}
	s := c.newStage(now)
	if err := c.prefetch(ctx, s, batch); err != nil {
		c.answer(batch, nil, err)
		return
	}
	errs := make([]error, len(batch))
	for i, j := range batch {
		if j.heartbeat != nil {
			j.receipt, errs[i] = s.heartbeat(ctx, j.key, j.heartbeat)
		} else {
			j.receipt, errs[i] = s.health(ctx, j.key, j.health)
		}
	}
	if err := c.commitStage(ctx, s); err != nil {
		c.answer(batch, nil, err)
		return
	}
	c.answer(batch, errs, nil)
}

// prefetch looks up the keys of a batch that are not in memory yet, all at once.
func (c *Engine) prefetch(ctx context.Context, s *stage, batch []*job) error {
	var missing []collector.Key
	for _, j := range batch {
		if _, found, whole := c.index.get(j.key); !found && !whole {
			missing = append(missing, j.key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ids, err := c.store.Lookup(ctx, missing)
	for _, id := range ids {
		s.refs[id.Key] = ref{id.App, id.Num}
	}
	return err
}

// commitStage makes a stage durable and then part of what is counted.
func (c *Engine) commitStage(ctx context.Context, s *stage) error {
	if c.entries.Load() >= checkpointEntries {
		if err := c.checkpoint(ctx); err != nil {
			return err
		}
	}
	if b := s.batch(); len(b.Journal) > 0 || len(b.Records) > 0 {
		if err := c.commit(ctx, b); err != nil {
			return err
		}
	}
	s.apply()
	return nil
}

// commit writes a batch.
func (c *Engine) commit(ctx context.Context, b *collector.Batch) error {
	number, err := c.store.Commit(ctx, b)
	c.failing(err)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
		}
		return err
	}
	if number > 0 {
		c.journaled = number
		c.entries.Add(1)
	}
	return nil
}

// failing logs when the store begins to fail and when it has recovered, and nothing in between.
func (c *Engine) failing(err error) {
	switch {
	case err != nil && !c.failed:
		c.log.Error("Store does not write; reports are refused until it does", "error", err.Error())
	case err == nil && c.failed:
		c.log.Info("Store writes again")
	}
	c.failed = err != nil
}

// answer tells those who wait. With an error all of them get it.
func (c *Engine) answer(batch []*job, errs []error, all error) {
	for i, j := range batch {
		err := all
		if err == nil {
			err = errs[i]
		} else if !errors.Is(err, collector.ErrUnavailable) && !errors.Is(err, collector.ErrClosed) {
			err = fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
		}
		if err != nil {
			j.receipt = collector.Receipt{}
		}
		j.done <- err
	}
}

// nextLook tells when there is something to do if no report comes: when the day ends, and a checkpoint.
func (c *Engine) nextLook(now time.Time) time.Duration {
	wait := max(checkpointEvery-now.Sub(c.checkpointed), time.Second)
	if midnight := (c.day + 1).Time().Sub(now); midnight > 0 {
		wait = min(wait, midnight)
	}
	return wait
}

// housekeep does what is due: a day that is over, a checkpoint.
func (c *Engine) housekeep(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	c.mergeRefused()
	if err := c.turn(ctx, now); err != nil {
		c.log.Warn("Day cannot be closed yet", "error", err.Error())
		return
	}
	if now.Sub(c.checkpointed) < checkpointEvery && c.entries.Load() < checkpointEntries {
		return
	}
	if c.entries.Load() == 0 && !c.unsaved.Load() {
		c.checkpointed = now
	} else {
		if err := c.checkpoint(ctx); err != nil {
			c.log.Warn("Checkpoint failed", "error", err.Error())
		}
	}
}

// drain finishes what waits and writes all that is only in memory.
func (c *Engine) drain() {
	for {
		select {
		case j := <-c.tasks:
			c.run(j)
			continue
		default:
		}
		batch := c.gather(nil)
		if len(batch) == 0 {
			break
		}
		c.process(batch)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	c.mergeRefused()
	if err := c.checkpoint(ctx); err != nil {
		c.log.Warn("Checkpoint failed; the journal has all of it", "error", err.Error())
	}
}
