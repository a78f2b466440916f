package engine

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// rollover closes the days that are over: it writes their figures for good and
// begins the next. A clock that goes back changes nothing: a day that has begun
// is counted until it is over.
func (e *Engine) rollover(ctx context.Context, now time.Time) error {
	day := collector.DayOf(now)
	if day <= e.day {
		return nil
	}
	if e.entries.Load() > 0 {
		// The entries of the journal are about the day that ends.
		e.mergeRefused()
		if err := e.checkpoint(ctx); err != nil {
			return err
		}
	}
	for _, f := range e.sorted() {
		for gap := false; f.today < day; gap = true {
			if err := e.closeDay(ctx, f, gap); err != nil {
				return err
			}
		}
		if err := e.purge(ctx, f); err != nil {
			return err
		}
		f.spans.clear()
	}
	e.day = day
	e.requestPreload()
	return nil
}

// closeDay closes the day that a fleet counts. A gap is a day on which the
// collector was not running.
func (e *Engine) closeDay(ctx context.Context, f *fleet, gap bool) error {
	if err := e.putRecords(ctx, f.closing(gap)...); err != nil {
		return err
	}
	if !f.warm {
		f.splitsDue = append(f.splitsDue, f.today)
	}
	f.startDay(f.today + 1)
	return e.reclaim(ctx, f)
}

// closing returns everything that is written when today is over.
func (f *fleet) closing(gap bool) []collector.Record {
	day := f.today
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
	return append(records,
		f.record(kindOpen, 0, "", openDay{Today: day + 1, Next: f.next}),
		f.keysRecord("memory", nil), f.keysRecord("excluded", nil))
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
	records := f.dims.records(f.num)
	if len(records) == 0 {
		return nil
	}
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	clear(f.dims.dirty)
	return nil
}
