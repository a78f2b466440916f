package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// preloadDays returns the lengths of the ranges, ending yesterday, that are
// read before anybody asks: the dashboard's longer ones. A year of ten million
// installations takes seconds to read.
func preloadDays() []collector.Day { return []collector.Day{90, 400} }

// maxSpans bounds the spans that are cached per app: the three windows, those
// that are preloaded, and some more.
const maxSpans = 8

// What a span is needed for.
const (
	activeOnly = false
	withFaults = true
)

// A span is what some closed days say together. It never changes.
type span struct {
	collector.Range
	active *bits.Set
	// faults are the installations that reported each fault, and occurrences
	// how often it occurred. Both are nil if nobody needed them.
	faults      map[string]*bits.Set
	occurrences map[string]occurrences
}

// A spanCache caches spans of one fleet, because closed days change only when
// installations are deleted. The figures of the day being counted then take few
// set operations, however many days a window has. It has its own lock; a caller
// may hold the fleet's.
type spanCache struct {
	mu    sync.Mutex
	spans []*span // the most recently used last
	// generation grows when installations are removed or a day begins, so that
	// a span that was being read meanwhile is not cached.
	generation int
	// reading admits one reader of the store at a time.
	reading chan struct{}
}

// get returns the cached span of a range, or nil, and the generation.
func (c *spanCache) get(r collector.Range, faults bool) (*span, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.spans, func(s *span) bool { return s.Range == r && s.has(faults) })
	if i < 0 {
		return nil, c.generation
	}
	s := c.spans[i]
	c.spans = append(slices.Delete(c.spans, i, i+1), s)
	return s, c.generation
}

// within returns the longest cached span that lies in a range, or an empty one.
func (c *spanCache) within(r collector.Range, faults bool) *span {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest := &span{Range: collector.Range{From: r.From, To: r.From - 1}, active: &bits.Set{}}
	for _, s := range c.spans {
		if s.From >= r.From && s.To <= r.To && s.has(faults) && s.To-s.From > longest.To-longest.From {
			longest = s
		}
	}
	return longest
}

// put caches a span that was read during a generation.
func (c *spanCache) put(s *span, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	c.spans = slices.DeleteFunc(c.spans, func(other *span) bool { return other.Range == s.Range })
	if c.spans = append(c.spans, s); len(c.spans) > maxSpans {
		c.spans = slices.Delete(c.spans, 0, 1)
	}
}

// remove removes installations from all spans.
func (c *spanCache) remove(nums ...uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.spans {
		c.spans[i] = s.without(nums)
	}
	c.generation++
}

// removeFault removes a fault from all spans.
func (c *spanCache) removeFault(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.spans {
		left := &span{Range: s.Range, active: s.active, faults: maps.Clone(s.faults), occurrences: maps.Clone(s.occurrences)}
		delete(left.faults, id)
		delete(left.occurrences, id)
		c.spans[i] = left
	}
	c.generation++
}

// clear removes all spans, when another day begins.
func (c *spanCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = nil
	c.generation++
}

// has reports whether the span has faults, if they are needed.
func (s *span) has(faults bool) bool { return !faults || s.faults != nil }

// without returns the span without some installations.
func (s *span) without(nums []uint32) *span {
	removed := func(set *bits.Set) *bits.Set {
		if !slices.ContainsFunc(nums, set.Has) {
			return set
		}
		set = set.Clone()
		for _, n := range nums {
			set.Remove(n)
		}
		return set
	}
	left := &span{Range: s.Range, active: removed(s.active), faults: maps.Clone(s.faults), occurrences: s.occurrences}
	for id, set := range s.faults {
		left.faults[id] = removed(set)
	}
	return left
}

// extend returns a copy of the span, to be extended to a range, and the days
// that it lacks.
func (s *span) extend(r collector.Range, faults bool) (*span, []collector.Range) {
	e := &span{Range: r, active: s.active.Clone()}
	if faults {
		e.faults, e.occurrences = make(map[string]*bits.Set), make(map[string]occurrences)
		for id, set := range s.faults {
			e.faults[id] = set.Clone()
		}
		for id, o := range s.occurrences {
			e.occurrences[id] = maps.Clone(o)
		}
	}
	return e, []collector.Range{{From: r.From, To: s.From - 1}, {From: s.To + 1, To: r.To}}
}

// addFault adds installations that reported a fault.
func (s *span) addFault(id string, set *bits.Set) {
	if s.faults[id] == nil {
		s.faults[id] = &bits.Set{}
	}
	s.faults[id].Or(set)
}

func (s *span) addOccurrences(id string, more occurrences, placed map[string]bool) {
	if len(more) == 0 {
		return
	}
	o := s.occurrences[id]
	for version, n := range more {
		if !placed[version] {
			version = collector.Other
		}
		o.add(version, n)
	}
	s.occurrences[id] = o
}

// addRecent adds those days of a range that are in memory.
func (s *span) addRecent(f *fleet, r collector.Range) {
	placed := f.placedVersions()
	for day := max(r.From, f.today-longestWindow); day <= r.To; day++ {
		s.active.Or(f.days[day])
		if s.faults == nil {
			continue
		}
		for id, fault := range f.faults {
			if set := fault.days[day]; set != nil {
				s.addFault(id, set)
			}
			s.addOccurrences(id, fault.counts[day], placed)
		}
	}
}

// recentSpan returns the span of closed days that are in memory.
func (f *fleet) recentSpan(r collector.Range, faults bool) *span {
	if r.To < r.From {
		return &span{Range: r, active: &bits.Set{}}
	}
	s, generation := f.spans.get(r, faults)
	if s != nil {
		return s
	}
	s, missing := f.spans.within(r, faults).extend(r, faults)
	for _, days := range missing {
		s.addRecent(f, days)
	}
	f.spans.put(s, generation)
	return s
}

// span returns the span of those days of a range that are closed, with faults.
// The days that are not in memory are read from the store, by one caller at a time. If a day
// begins meanwhile the span is incomplete; the caller compares f.today.
func (e *Engine) span(ctx context.Context, f *fleet, r collector.Range) (*span, error) {
	f.mu.RLock()
	today := f.today
	r.To = min(r.To, today-1)
	if r.From >= today-longestWindow {
		defer f.mu.RUnlock()
		return f.recentSpan(r, withFaults), nil
	}
	f.mu.RUnlock()
	if s, _ := f.spans.get(r, withFaults); s != nil {
		return s, nil
	}
	select {
	case f.spans.reading <- struct{}{}:
		defer func() { <-f.spans.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, generation := f.spans.get(r, withFaults)
	if s != nil {
		return s, nil
	}
	s, missing := f.spans.within(r, withFaults).extend(r, withFaults)
	for _, days := range missing {
		if err := e.addOlder(ctx, f, s, collector.Range{From: days.From, To: min(days.To, today-longestWindow-1)}); err != nil {
			return nil, err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.today != today {
		return s, nil
	}
	for _, days := range missing {
		s.addRecent(f, days)
	}
	f.spans.put(s, generation)
	return s, nil
}

// addOlder adds days to a span that are only in the store.
func (e *Engine) addOlder(ctx context.Context, f *fleet, s *span, r collector.Range) error {
	f.mu.RLock()
	placed := f.placedVersions()
	f.mu.RUnlock()
	err := e.eachBits(ctx, f, kindActive, r, func(_ collector.RecordKey, set *bits.Set) { s.active.Or(set) })
	if err != nil {
		return err
	}
	err = e.eachBits(ctx, f, kindFaultBits, r, func(key collector.RecordKey, set *bits.Set) {
		id, _, _ := strings.Cut(key.Name, "/")
		s.addFault(id, set)
	})
	if err != nil {
		return err
	}
	return eachRecord(ctx, e.store, kindFaultDay, f.num, r, func(r collector.Record) error {
		var day faultDay
		err := decodeRecord(r, &day)
		s.addOccurrences(r.Name, day.occurrences(), placed)
		return err
	})
}

// preload reads the spans of preloadDays for each app. Errors are left to those
// who ask later.
func (e *Engine) preload(ctx context.Context) {
	for _, f := range e.sorted() {
		f.mu.RLock()
		today := f.today
		f.mu.RUnlock()
		for _, days := range preloadDays() {
			if _, err := e.span(ctx, f, collector.Range{From: today - days + 1, To: today}); err != nil {
				break
			}
		}
	}
}

// requestPreload has the spans preloaded soon.
func (e *Engine) requestPreload() {
	select {
	case e.preloads <- struct{}{}:
	default: // requested already
	}
}

// keepPreloaded preloads once all rows are read and whenever a day has begun,
// until the engine stops.
func (e *Engine) keepPreloaded() {
	defer close(e.preloaded)
	<-e.warmed
	for e.stopping.Err() == nil {
		e.preload(e.stopping)
		select {
		case <-e.preloads:
		case <-e.stopping.Done():
		}
	}
}
