package engine

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// readyDays are the ranges of days for which what is in the store is read before anybody asks: those that the dashboard offers
// beyond the days in memory. Reading a year of ten million installations takes seconds.
func readyDays() []int { return []int{90, 400} }

// keptOlder is how many ranges are kept.
const keptOlder = 4

// olderDays is what days that are not in memory any more say together. It does not change.
type olderDays struct {
	of     collector.Range
	active *bits.Set
	// faults are the installations that reported each, and happened is how often each did.
	faults   map[string]*bits.Set
	happened map[string]uint64
}

// without gives the same without some installations.
func (o *olderDays) without(nums []uint32) *olderDays {
	less := func(set *bits.Set) *bits.Set {
		if !slices.ContainsFunc(nums, set.Has) {
			return set
		}
		set = set.Clone()
		for _, n := range nums {
			set.Remove(n)
		}
		return set
	}
	left := &olderDays{of: o.of, active: less(o.active), faults: make(map[string]*bits.Set), happened: o.happened}
	for id, set := range o.faults {
		left.faults[id] = less(set)
	}
	return left
}

// olderIn gives the part of a range that is not in memory.
func (f *fleet) olderIn(r collector.Range) collector.Range {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return collector.Range{From: r.From, To: min(r.To, f.today-longestWindow-1)}
}

// older gives what the days of a range say that are not in memory. Of those that known has, if there is one, it takes them from
// there. Whoever comes while they are read waits for that.
func (c *Engine) older(ctx context.Context, f *fleet, r collector.Range, known *olderDays) (*olderDays, error) {
	r = f.olderIn(r)
	if r.To < r.From {
		return &olderDays{of: r, active: &bits.Set{}}, nil
	}
	if kept, _ := f.past.olderOf(r); kept != nil {
		return kept, nil
	}
	select {
	case f.past.reading <- struct{}{}:
		defer func() { <-f.past.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	kept, forgets := f.past.olderOf(r)
	if kept != nil {
		return kept, nil
	}
	read, err := c.readOlder(ctx, f, r, known)
	if err == nil {
		f.past.keepOlder(read, forgets)
	}
	return read, err
}

// readOlder reads the days of a range from the store, the last of them from known if that ends with the same day.
func (c *Engine) readOlder(ctx context.Context, f *fleet, r collector.Range, known *olderDays) (*olderDays, error) {
	o := &olderDays{of: r, active: &bits.Set{}, faults: make(map[string]*bits.Set), happened: make(map[string]uint64)}
	if known != nil && known.of.To == r.To && known.of.From >= r.From {
		r.To = known.of.From - 1
		o.active = known.active.Clone()
		for id, set := range known.faults {
			o.faults[id] = set.Clone()
		}
		maps.Copy(o.happened, known.happened)
	}
	err := c.eachBits(ctx, f, kindActive, r, func(_ collector.RecordKey, set *bits.Set) { o.active.Or(set) })
	if err != nil {
		return nil, err
	}
	err = c.eachBits(ctx, f, kindFaultBits, r, func(key collector.RecordKey, set *bits.Set) {
		id, _, _ := strings.Cut(key.Name, "/")
		if o.faults[id] == nil {
			o.faults[id] = &bits.Set{}
		}
		o.faults[id].Or(set)
	})
	if err != nil {
		return nil, err
	}
	for rec, err := range c.store.Records(ctx, kindFaultDay, f.num, r.From, r.To) {
		if err != nil {
			return nil, err
		}
		var day faultDay
		if err := decodeRecord(rec, &day); err != nil {
			return nil, err
		}
		o.happened[rec.Name] += day.Occurrences
	}
	return o, nil
}

// prepare reads, for each app, the ranges of readyDays that end today. What goes wrong is found again by whoever asks.
func (c *Engine) prepare(ctx context.Context) {
	for _, f := range c.sorted() {
		f.mu.RLock()
		today := f.today
		f.mu.RUnlock()
		var known *olderDays
		for _, days := range readyDays() {
			var err error
			if known, err = c.older(ctx, f, collector.Range{From: today - collector.Day(days) + 1, To: today}, known); err != nil {
				break
			}
		}
	}
}

// askReady has the ranges be prepared soon.
func (c *Engine) askReady() {
	select {
	case c.turned <- struct{}{}:
	default: // that is asked for already
	}
}

// keepReady prepares once all rows are read, and whenever a day has begun, until the collector stops.
func (c *Engine) keepReady() {
	defer close(c.prepared)
	ctx, cancel := c.untilStop()
	defer cancel()
	<-c.warmed
	for ctx.Err() == nil {
		c.prepare(ctx)
		select {
		case <-c.turned:
		case <-ctx.Done():
		}
	}
}
