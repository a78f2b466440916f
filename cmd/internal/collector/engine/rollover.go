package engine

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// turn closes the days that are over: it writes down their figures for good and begins the next. The clock going back
// changes nothing: a day that has begun is counted until it is over.
func (c *Engine) turn(ctx context.Context, now time.Time) error {
	day := collector.DayOf(now)
	if day <= c.day {
		return nil
	}
	if c.entries.Load() > 0 {
		// An entry of the journal is about the day that is being counted.
		c.mergeRefused()
		if err := c.checkpoint(ctx); err != nil {
			return err
		}
	}
	for _, f := range c.sorted() {
		for running := true; f.today < day; running = false {
			if err := c.closeDay(ctx, f, !running); err != nil {
				return err
			}
		}
		if err := c.purge(ctx, f); err != nil {
			return err
		}
		f.past.drop()
	}
	c.day = day
	c.askReady()
	return nil
}

// closeDay closes the day that a fleet counts. Gap says that the collector was not running on it.
func (c *Engine) closeDay(ctx context.Context, f *fleet, gap bool) error {
	b := f.closing(gap)
	if err := c.commit(ctx, b); err != nil {
		return err
	}
	f.begin(f.today + 1)
	return c.reclaim(ctx, f)
}

// closing gives all that is written when the day is over.
func (f *fleet) closing(gap bool) *collector.Batch {
	app, day := f.num, f.today
	b := &collector.Batch{}
	total := f.total(day)
	total.Gap = gap
	b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindTotal, App: app, Day: day}, total))
	if f.warm {
		b.Records = append(b.Records, f.splitRecords(day)...)
	} else {
		f.pending = append(f.pending, day)
	}
	b.Records = append(b.Records, f.periodRecords(day, gap)...)
	for id, is := range f.faults.byID {
		if set := is.days[day]; set.Count() > 0 {
			addChunks(b, collector.RecordKey{Kind: kindFaultBits, App: app, Day: day, Name: id + "/"}, set)
		}
		if kept, any := f.faultDay(is, day); any {
			b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindFaultDay, App: app, Day: day, Name: id}, kept))
		}
	}
	b.Records = append(b.Records,
		jsonRecord(collector.RecordKey{Kind: kindOpen, App: app}, openDay{Today: day + 1, Next: f.next}),
		keysRecord(app, "memory", nil), keysRecord(app, "excluded", nil))
	return b
}

// splitRecords gives the split of each dimension on a day.
func (f *fleet) splitRecords(day collector.Day) []collector.Record {
	var records []collector.Record
	for name, s := range f.splits(day) {
		records = append(records, jsonRecord(collector.RecordKey{Kind: kindSplit, App: f.num, Day: day, Name: name}, s))
	}
	return records
}

// periodRecords gives the retention rows of the periods that end with a day.
func (f *fleet) periodRecords(day collector.Day, gap bool) []collector.Record {
	var records []collector.Record
	add := func(kind, name string, from collector.Day, row retentionRow) {
		row.Gap = gap && from == day || row.Gap
		records = append(records, jsonRecord(collector.RecordKey{Kind: kind, App: f.num, Day: from, Name: name}, row))
	}
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		if from, ends := grain.EndsWith(day); ends {
			add(kindRetention, string(grain), from, f.retention(grain, from, day))
		}
	}
	if from, ends := collector.GrainWeek.EndsWith(day); ends && f.warm {
		for version, row := range f.survival(from, day) {
			add(kindSurvival, version, from, row)
		}
	}
	return records
}

// begin begins to count a day.
func (f *fleet) begin(day collector.Day) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	f.today = day
	f.open = dayCounters{}
	f.memory, f.excluded = make(map[collector.Key]struct{}), make(map[collector.Key]struct{})
	old := func(d collector.Day) bool { return d < day-longestWindow }
	for d := range f.days {
		if old(d) {
			delete(f.days, d)
		}
	}
	for _, is := range f.faults.byID {
		for d := range is.days {
			if old(d) {
				delete(is.days, d)
			}
		}
		for d := range is.counts {
			if old(d) {
				delete(is.counts, d)
			}
		}
	}
}

// closePending writes the splits of days that were closed before the fleet was warm. Reports of the days since have
// changed some values: that is the one figure which is not that of midnight exactly.
func (c *Engine) closePending(ctx context.Context, f *fleet) error {
	b := &collector.Batch{}
	for _, day := range f.pending {
		if day >= f.today-longestWindow {
			b.Records = append(b.Records, f.splitRecords(day)...)
		}
	}
	if len(b.Records) > 0 {
		if err := c.commit(ctx, b); err != nil {
			return err
		}
	}
	f.pending = nil
	return nil
}

// reclaim frees the values that no installation has any more.
func (c *Engine) reclaim(ctx context.Context, f *fleet) error {
	if !f.warm {
		return nil
	}
	f.mu.Lock()
	changed := f.dims.reclaim()
	f.mu.Unlock()
	if len(changed) == 0 {
		return nil
	}
	b := &collector.Batch{}
	for _, i := range changed {
		d := f.dims.dims[i]
		b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindDims, App: f.num, Name: d.name}, d.record(i)))
	}
	return c.commit(ctx, b)
}

// retentionDays is after how many days without a sign an installation is purged.
func (f *fleet) retentionDays() collector.Day {
	return collector.Day(cmp.Or(f.app.Retention, collector.DefaultRetention))
}

// maxPurge bounds the installations that one commit purges.
const maxPurge = 50_000

// purge deletes what has had no sign for the retention: the bits of the days before, and the installations that were
// last active then.
func (c *Engine) purge(ctx context.Context, f *fleet) error {
	if !f.warm {
		return nil // on another day; what is late is purged then
	}
	keep := f.today - f.retentionDays()
	var dropped []collector.Record
	away := &bits.Set{}
	err := c.eachBits(ctx, f, kindActive, collector.Range{From: firstEver, To: keep - 1}, func(key collector.RecordKey, set *bits.Set) {
		away.Or(set)
		dropped = append(dropped, collector.Record{RecordKey: key})
	})
	if err != nil || len(dropped) == 0 {
		return err
	}
	for r, err := range c.store.Records(ctx, kindFaultBits, f.num, firstEver, keep-1) {
		if err != nil {
			return err
		}
		dropped = append(dropped, collector.Record{RecordKey: r.RecordKey})
	}
	if err := c.subtractActive(ctx, f, away, keep); err != nil {
		return err
	}
	gone := c.index.keysOf(f.num, func(num collector.Num) bool { return away.Has(uint32(num)) })
	for len(gone) > 0 {
		n := min(len(gone), maxPurge)
		if err := c.dropInstallations(ctx, f, gone[:n], nil, false); err != nil {
			return err
		}
		gone = gone[n:]
	}
	return c.commit(ctx, &collector.Batch{Records: dropped})
}

// subtractActive takes out of a set all that was active since a day.
func (c *Engine) subtractActive(ctx context.Context, f *fleet, away *bits.Set, since collector.Day) error {
	for _, set := range f.days {
		away.AndNot(set)
	}
	if away.Count() == 0 {
		return nil
	}
	// The writer waits for this, and a year of a large fleet takes seconds to read: mostly all of it but a day is kept.
	unread := []collector.Range{{From: since, To: f.today}}
	if kept := f.past.keptIn(unread[0]); kept != nil {
		away.AndNot(kept.active)
		unread = []collector.Range{{From: since, To: kept.of.From - 1}, {From: kept.of.To + 1, To: f.today}}
	}
	for _, days := range unread {
		err := c.eachBits(ctx, f, kindActive, days, func(_ collector.RecordKey, set *bits.Set) { away.AndNot(set) })
		if err != nil {
			return err
		}
	}
	return nil
}

// eachBits reads the bits of a kind of a range of days from the store, a chunk of a day at a time.
func (c *Engine) eachBits(ctx context.Context, f *fleet, kind string, r collector.Range, take func(collector.RecordKey, *bits.Set)) error {
	for rec, err := range c.store.Records(ctx, kind, f.num, r.From, r.To) {
		if err != nil {
			return err
		}
		set := &bits.Set{}
		if err := readChunk(set, rec, rec.Name[:strings.LastIndexByte(rec.Name, '/')+1]); err != nil {
			return fmt.Errorf("bits of %s: %w", rec.Day, err)
		}
		take(rec.RecordKey, set)
	}
	return nil
}

// dropInstallations deletes installations: their identities, rows and faults, and further records. Scrub is as in Batch.
func (c *Engine) dropInstallations(ctx context.Context, f *fleet, gone []collector.Identity, records []collector.Record, scrub bool) error {
	b := &collector.Batch{Records: records, Scrub: scrub}
	keys, nums := make([]collector.Key, 0, len(gone)), make([]uint32, 0, len(gone))
	f.mu.Lock()
	for _, id := range gone {
		keys, nums = append(keys, id.Key), append(nums, uint32(id.Num))
		b.DropInstallations = append(b.DropInstallations, collector.Installation{App: id.App, Num: id.Num})
		b.Records = append(b.Records, collector.Record{RecordKey: faultCountsKey(id.App, id.Num)})
		f.established.Remove(uint32(id.Num))
		f.clones.Remove(uint32(id.Num))
		f.dims.clear(id.Num)
	}
	f.revision++
	f.mu.Unlock()
	b.DropIdentities = keys
	addChunks(b, collector.RecordKey{Kind: kindEver, App: f.num, Name: "established/"}, f.established)
	addChunks(b, collector.RecordKey{Kind: kindEver, App: f.num, Name: "clones/"}, f.clones)
	if err := c.commit(ctx, b); err != nil {
		// The sets are ahead of the store until this is done again: an installation that is going is not counted.
		return err
	}
	c.index.drop(keys...)
	f.mu.Lock()
	f.held -= uint64(len(keys))
	f.past.forget(nums...) // it may have been read again before the commit
	f.mu.Unlock()
	return nil
}
