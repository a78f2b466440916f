package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// One goroutine, the writer, changes everything. While it commits a tx, the
// next reports queue up, so that many share a commit.

const (
	// maxBatch bounds the reports of one commit.
	maxBatch = 1024
	// A commit of few reports costs nearly as much as one of many. If at least
	// gatherFrom shared the last one, the writer waits before the next, until there
	// are as many, or for gatherWait.
	gatherFrom = 8
	gatherWait = 2 * time.Millisecond
	// commitTimeout bounds one commit, and taskTimeout anything else that the
	// writer does.
	commitTimeout = 15 * time.Second
	taskTimeout   = time.Minute
	// A checkpoint follows after checkpointEvery or checkpointEntries, whichever
	// comes first.
	checkpointEvery   = time.Minute
	checkpointEntries = 20_000
	// The clock is written at least every clockEvery, so that the next start
	// knows how long the collector was stopped.
	clockEvery = time.Hour
)

// write is the writer. It returns when the engine stops and the queues are
// empty, or when the store is lost.
func (e *Engine) write() {
	defer close(e.stopped)
	timer := time.NewTimer(checkpointEvery)
	defer timer.Stop()
	batch := make([]*job, 0, maxBatch)
	for {
		last := len(batch)
		batch = batch[:0]
		timer.Reset(e.nextHousekeeping())
		select {
		case <-e.lost:
			e.stop()
			return // what waits gets ErrClosed
		default:
		}
		select {
		case j := <-e.known:
			batch = append(batch, j)
		case j := <-e.unknown:
			batch = append(batch, j)
		case j := <-e.tasks:
			e.run(j)
			continue
		case <-timer.C:
			e.housekeep()
			continue
		case <-e.stopping.Done():
			e.drain()
			return
		}
		if last >= gatherFrom {
			e.awaitMore(last - 1)
		}
		batch = e.gather(batch)
		e.process(batch)
	}
}

// awaitMore waits until n reports are queued, at most for gatherWait.
func (e *Engine) awaitMore(n int) {
	e.wanted.Store(int64(n))
	defer e.wanted.Store(0)
	timer := time.NewTimer(gatherWait)
	defer timer.Stop()
	for len(e.known)+len(e.unknown) < n {
		select {
		case <-e.enough:
		case <-timer.C:
			return
		case <-e.stopping.Done():
			return
		}
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

func (e *Engine) run(j *task) {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	j.done <- j.do(ctx)
}

// process counts a batch of reports, and answers each.
func (e *Engine) process(batch []*job) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	err := e.count(ctx, batch)
	if err != nil && !errors.Is(err, collector.ErrUnavailable) && !errors.Is(err, collector.ErrClosed) {
		err = fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
	}
	for _, j := range batch {
		if err != nil {
			j.receipt, j.err = collector.Receipt{}, err
		}
		j.finish()
	}
}

// count counts a batch of reports in one tx. An error is that of all reports.
func (e *Engine) count(ctx context.Context, batch []*job) error {
	if err := e.rollover(ctx); err != nil {
		return err
	}
	t := e.begin(e.clock.read())
	if err := t.prefetch(ctx, batch); err != nil {
		return err
	}
	for _, j := range batch {
		j.receipt, j.err = t.add(ctx, j)
	}
	if err := e.commitTx(ctx, t); err != nil {
		t.discard()
		return err
	}
	t.apply()
	e.countVotes(ctx, t)
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
// recovered. Once the store is lost, it writes nothing more.
func (e *Engine) commit(ctx context.Context, b *collector.Batch) error {
	if isClosed(e.lost) {
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, collector.ErrLost)
	}
	number, err := e.store.Commit(ctx, b)
	switch {
	case errors.Is(err, collector.ErrLost):
		e.log.Error("Store is lost; reports are refused until it is open again", "error", err.Error())
		close(e.lost)
		return fmt.Errorf("%w: %w", collector.ErrUnavailable, err)
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

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// putRecords writes records.
func (e *Engine) putRecords(ctx context.Context, records ...collector.Record) error {
	return e.commit(ctx, &collector.Batch{Records: records})
}

// nextHousekeeping returns how long there is nothing to do without a report:
// until the next checkpoint or midnight.
func (e *Engine) nextHousekeeping() time.Duration {
	wait := max(checkpointEvery-time.Since(e.checkpointed), time.Second)
	if midnight := (e.day + 1).Time().Sub(e.clock.read()); midnight > 0 {
		wait = min(wait, midnight)
	}
	return wait
}

// housekeep closes a day that is over, and writes a checkpoint if one is due.
func (e *Engine) housekeep() {
	ctx, cancel := context.WithTimeout(context.Background(), taskTimeout)
	defer cancel()
	e.mergeRefused()
	if err := e.rollover(ctx); err != nil {
		e.complain("Day cannot be closed yet", err)
		return
	}
	if time.Since(e.checkpointed) < checkpointEvery && e.entries.Load() < checkpointEntries {
		return
	}
	if e.entries.Load() == 0 && !e.unsaved.Load() && time.Since(e.clock.saved) < clockEvery {
		e.checkpointed = time.Now()
	} else if err := e.checkpoint(ctx); err != nil {
		e.complain("Checkpoint failed", err)
	} else {
		e.complained = ""
	}
}

// complain logs a failure of the housekeeping that may last, once. The next
// attempt is a second later.
func (e *Engine) complain(message string, err error) {
	if e.complained != message {
		e.log.Warn(message+"; the next attempts are not logged", "error", err.Error())
	}
	e.complained = message
}

// drain finishes what waits, and writes everything that is only in memory.
func (e *Engine) drain() {
	for !isClosed(e.lost) {
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
	if err := e.checkpoint(ctx); err != nil && !isClosed(e.lost) {
		e.log.Warn("Checkpoint failed; the journal has everything", "error", err.Error())
	}
}
