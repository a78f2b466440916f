package engine

import (
	"context"
	"maps"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// maxHistoryBytes bounds the activity that is kept in memory of an app's older
// days, as the size of the records. It is all days of a million installations, and
// seven weeks of ten million.
const maxHistoryBytes = 64 << 20

// historyBlock is how many days are read at once.
const historyBlock = 28

// A history holds the activity of days too old for the fleet to keep in memory.
// Questions with a segment need it. It is read from the store when the first one
// is asked, and dropped when a day begins or an installation is deleted. It has
// its own lock; a caller may hold the fleet's.
type history struct {
	mu   sync.Mutex
	days map[collector.Day]*bits.Set // which never change; a day without any is missing
	// oldest is the first day that was read; the next one is in memory if none was.
	oldest collector.Day
	today  collector.Day // when days were read
	read   bool
	full   bool // there are no older days, or they take too much memory
	bytes  int
	// generation grows with clear.
	generation int
	// reading admits one reader of the store at a time.
	reading chan struct{}
}

func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.days, h.read, h.full, h.bytes = nil, false, false, 0
	h.generation++
}

// A past is the activity of the days before those in memory, as far as a question
// needs it and it is known.
type past struct {
	today collector.Day
	days  map[collector.Day]*bits.Set
	// reach is the first day whose activity is known; firstEver if nothing was
	// counted before.
	reach collector.Day
}

// knows reports whether the activity of all days of a range is known.
func (p *past) knows(r collector.Range) bool { return r.From >= p.reach }

// past returns the activity from a day on. Its days must not be changed.
func (e *Engine) past(ctx context.Context, f *fleet, from collector.Day) (*past, error) {
	select {
	case f.history.reading <- struct{}{}:
		defer func() { <-f.history.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		p, done, err := e.tryPast(ctx, f, from)
		if done || err != nil {
			return p, err
		}
	}
}

// tryPast reads one block of days, if any is missing; then done is false.
func (e *Engine) tryPast(ctx context.Context, f *fleet, from collector.Day) (p *past, done bool, err error) {
	f.mu.RLock()
	today, start := f.today, f.today+1
	if len(f.first) > 0 {
		start = f.first[0].Day
	}
	kept := today - f.retentionDays() // older days are purged
	f.mu.RUnlock()
	h := &f.history
	h.mu.Lock()
	if !h.read || h.today != today {
		h.days, h.oldest, h.today, h.read, h.full, h.bytes = make(map[collector.Day]*bits.Set), today-longestWindow, today, true, false, 0
		h.generation++
	}
	limit := max(start, kept)
	if h.oldest <= limit {
		h.full = true
	}
	generation, oldest := h.generation, h.oldest
	if h.full || oldest <= from {
		p = &past{today: today, days: h.days, reach: oldest}
		h.mu.Unlock()
		if oldest <= limit {
			return p, true, e.reachStart(ctx, f, p, start)
		}
		return p, true, nil
	}
	h.mu.Unlock()
	block := collector.Range{From: max(oldest-historyBlock, limit), To: oldest - 1}
	days, size := make(map[collector.Day]*bits.Set), 0
	err = eachRecord(ctx, e.store, kindActive, f.num, block, func(r collector.Record) error {
		size += len(r.Data)
		return decodeChunk(daySet(days, r.Day), r)
	})
	if err != nil {
		return nil, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.generation != generation {
		return nil, false, nil
	}
	h.add(block, days, size)
	return nil, false, nil
}

// add adds the days of a block, the newest first, as long as there is room. The
// map is replaced, because others may read the old one.
func (h *history) add(block collector.Range, days map[collector.Day]*bits.Set, size int) {
	all := make(map[collector.Day]*bits.Set, len(h.days)+len(days))
	maps.Copy(all, h.days)
	perDay := size / int(block.To-block.From+1)
	for day := block.To; day >= block.From; day-- {
		if h.bytes+perDay > maxHistoryBytes {
			h.full = true
			break
		}
		if set := days[day]; set != nil {
			set.Clean()
			all[day] = set
		}
		h.bytes += perDay
		h.oldest = day
	}
	h.days = all
}

// reachStart sets how far the past reaches if all bits are read that there are.
// start is the day the first installation was seen. The past reaches back
// before everything, unless installations that are on record were seen before the
// oldest bits, which have been purged then, or figures were imported.
func (e *Engine) reachStart(ctx context.Context, f *fleet, p *past, start collector.Day) error {
	f.mu.RLock()
	oldest := max(start, p.today-longestWindow)
	for day := range p.days {
		oldest = min(oldest, day)
	}
	purged := false
	for num := range f.numAt(oldest) {
		purged = purged || int(num) < len(f.hashes) && f.hashes[num] != 0
	}
	f.mu.RUnlock()
	if p.reach = firstEver; purged {
		p.reach = oldest
		return nil
	}
	imported, err := e.importedBefore(ctx, f, start)
	if imported {
		p.reach = start
	}
	return err
}

// importedBefore reports whether the days before the first installation was seen
// have figures, which were imported then.
func (e *Engine) importedBefore(ctx context.Context, f *fleet, first collector.Day) (bool, error) {
	f.mu.RLock()
	since := f.since()
	f.mu.RUnlock()
	totals, err := closed[dayTotal](ctx, e, f, kindTotal, "", collector.Range{From: since, To: first - 1})
	for _, total := range totals {
		if total.Active[window1] > 0 {
			return true, nil
		}
	}
	return false, err
}
