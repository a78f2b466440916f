package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Who confirmed a day.
const (
	byClock         = "clock"
	byInstallations = "installations"
	byOperator      = "operator"
)

// rollover closes the days that are over, if the clock can be trusted: it writes
// their figures for good and begins the next. A clock that goes back a little
// changes nothing: a day that has begun is counted until it is over.
func (e *Engine) rollover(ctx context.Context) error {
	wall := e.clock.read()
	defer e.publishClock(wall)
	if waiting := e.waiting(); waiting > e.day { // killed on the way to a confirmed day
		if err := e.advance(ctx, waiting); err != nil {
			return err
		}
	}
	if trusted, err := e.judge(ctx, wall); err != nil || !trusted {
		return err
	}
	if err := e.goBack(ctx, wall); err != nil {
		return err
	}
	if err := e.advance(ctx, collector.DayOf(wall)); err != nil {
		return err
	}
	return e.purgeAll(ctx)
}

// judge decides whether what the clock reads is trusted. It begins and ends the
// provisional counting.
func (e *Engine) judge(ctx context.Context, wall time.Time) (trusted bool, err error) {
	sameDay := collector.DayOf(wall) == e.day
	if e.held != nil {
		e.held.follow(wall)
		switch {
		case sameDay, e.clock.asExpected(wall):
			return e.confirm(ctx, wall, byClock)
		case e.held.decided():
			return e.confirm(ctx, wall, byInstallations)
		}
		return false, nil
	}
	if b := e.believed; b != nil {
		switch {
		case b.contradicted():
			return false, e.doubt(ctx, wall)
		case b.decided(), b.duration() >= believedFor && len(b.against) == 0, b.duration() >= fewVotes:
			e.believed = nil
		}
	}
	if sameDay || e.clock.plausible(wall) || !e.counted() {
		if !sameDay && e.clock.stored && wall.Sub(e.clock.expected()) > maxStep {
			e.believed = e.newHolding(wall, 0)
		}
		e.clock.trust(wall)
		return true, nil
	}
	if err := e.flush(ctx); err != nil {
		return false, err
	}
	return false, e.hold(ctx, wall)
}

// doubt takes back the trust in a clock after a downtime, because installations
// contradict it.
func (e *Engine) doubt(ctx context.Context, wall time.Time) error {
	if err := e.flush(ctx); err != nil {
		return err
	}
	b := e.believed
	before := e.clock
	e.clock.trust(b.base.Add(b.duration()))
	if err := e.hold(ctx, wall); err != nil {
		e.clock = before
		return err
	}
	e.held.against, e.believed = b.against, nil
	return nil
}

// confirm ends the provisional counting.
func (e *Engine) confirm(ctx context.Context, wall time.Time, by string) (trusted bool, err error) {
	if err := e.flush(ctx); err != nil {
		return false, err
	}
	err = e.release(ctx, wall, by)
	return err == nil, err
}

// counted reports whether an installation was ever counted. Until then the clock
// is trusted.
func (e *Engine) counted() bool {
	return slices.ContainsFunc(e.sorted(), func(f *fleet) bool { return f.next > 0 })
}

// waiting returns the latest confirmed day that waits for the days before it to
// be closed.
func (e *Engine) waiting() (day collector.Day) {
	day = firstEver
	for _, f := range e.sorted() {
		if f.aside != nil && !f.holds() {
			day = max(day, f.aside.Day)
		}
	}
	return day
}

// flush empties the journal, whose entries are about the day being counted.
func (e *Engine) flush(ctx context.Context) error {
	if e.entries.Load() == 0 {
		return nil
	}
	e.mergeRefused()
	return e.checkpoint(ctx)
}

// advance closes the days before a day.
func (e *Engine) advance(ctx context.Context, day collector.Day) error {
	if day <= e.day {
		return nil
	}
	if err := e.flush(ctx); err != nil {
		return err
	}
	for _, f := range e.sorted() {
		for f.today < day {
			if err := e.closeDay(ctx, f, day); err != nil {
				return err
			}
		}
		f.spans.clear()
		f.history.clear()
	}
	e.day, e.purgeDue = day, true
	e.requestPreload()
	return nil
}

// closeDay closes the day that a fleet counts, on the way to a later one. The days
// in between are gaps: the collector was not running.
func (e *Engine) closeDay(ctx context.Context, f *fleet, until collector.Day) error {
	next := f.nextDay(until)
	records := append(f.closing(next), e.clockRecord())
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	if !f.warm {
		f.splitsDue = append(f.splitsDue, f.today)
	}
	f.startDay(next)
	return e.reclaim(ctx, f)
}

// A nextDay is what a day begins with: nothing, unless it was put aside.
type nextDay struct {
	day              collector.Day
	open             dayCounters
	memory, excluded map[collector.Key]struct{}
	established      *bits.Set
	aside            *asideDay // what remains aside
	gap              bool
}

func (f *fleet) nextDay(until collector.Day) nextDay {
	next := nextDay{
		day: f.today + 1, gap: f.today+1 < until, memory: make(map[collector.Key]struct{}), excluded: make(map[collector.Key]struct{}),
		established: f.established, aside: f.aside,
	}
	if a := f.aside; a != nil && a.Day == next.day {
		next.open, next.memory, next.excluded, next.aside, next.gap = a.Counters, a.memory, a.excluded, nil, false
		next.established = f.established.Clone()
		for num := range f.days[next.day].All() {
			if num < uint32(a.Next) {
				next.established.Add(num)
			}
		}
	}
	return next
}

// closing returns everything that is written when today is over and the next day
// begins.
func (f *fleet) closing(next nextDay) []collector.Record {
	day := f.today
	gap := f.gap && f.open.Accepted == 0
	total := f.total()
	total.Gap = gap
	records := []collector.Record{f.record(kindTotal, day, "", total)}
	if f.warm {
		records = append(records, f.splitRecords(day)...)
	}
	records = append(records, f.periodRecords(day, gap)...)
	for id, fault := range f.faults {
		records = append(records, chunkRecords(f.recordKey(kindFaultBits, day, id+"/"), fault.days[day])...)
		if d, ok := f.faultDay(fault); ok {
			records = append(records, f.record(kindFaultDay, day, id, d))
		}
	}
	if f.aside != nil && next.aside == nil {
		records = append(records, f.asideRecords(nil)...)
		records = append(records, chunkRecords(f.recordKey(kindEver, 0, "established/"), next.established)...)
	}
	return append(records,
		f.record(kindOpen, 0, "", openDay{Today: next.day, Next: f.next, Counters: next.open, Purged: f.purged, Gap: next.gap}),
		f.keysRecord("memory", next.memory), f.keysRecord("excluded", next.excluded))
}

// splitRecords returns the split of each dimension on a day.
func (f *fleet) splitRecords(day collector.Day) []collector.Record {
	var records []collector.Record
	for name, s := range f.splits(day) {
		records = append(records, f.record(kindSplit, day, name, s))
	}
	return records
}

// periodRecords returns the retention rows of the periods that end with a day.
func (f *fleet) periodRecords(day collector.Day, gap bool) []collector.Record {
	var records []collector.Record
	add := func(kind, name string, from collector.Day, row retentionRow) {
		row.Gap = gap && from == day
		records = append(records, f.record(kind, from, name, row))
	}
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		from := grain.Start(day)
		if grain.Next(from) != day+1 {
			continue
		}
		add(kindRetention, string(grain), from, f.retention(grain, from, day))
		if grain == collector.GrainWeek && f.warm {
			for version, row := range f.survival(from, day) {
				add(kindSurvival, version, from, row)
			}
		}
	}
	return records
}

// writeSplitsDue writes the splits of days that ended before the fleet was warm.
// Reports since then have changed some values; no other figure is later than
// midnight.
func (e *Engine) writeSplitsDue(ctx context.Context, f *fleet) error {
	var records []collector.Record
	for _, day := range f.splitsDue {
		if day >= f.today-longestWindow {
			records = append(records, f.splitRecords(day)...)
		}
	}
	if len(records) > 0 {
		if err := e.putRecords(ctx, records...); err != nil {
			return err
		}
	}
	f.splitsDue = nil
	return nil
}

// reclaim frees the values that no installation has.
func (e *Engine) reclaim(ctx context.Context, f *fleet) error {
	if !f.warm {
		return nil
	}
	f.mu.Lock()
	f.dims.reclaim()
	f.mu.Unlock()
	earned, gone := f.earnedReleases(), f.goneReleases()
	records := append(f.dims.records(f.num), f.releaseRemovals(gone)...)
	for version, release := range earned {
		records = append(records, f.record(kindRelease, 0, version, release))
	}
	if len(records) == 0 {
		return nil
	}
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropReleases(gone)
	maps.Copy(f.releases, earned)
	f.dims.committed()
	return nil
}
