package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// While the clock is not trusted, each fleet puts the day it counts aside and
// begins the same day afresh. Once a day is confirmed, either the two become one
// again, or what came since moves to the confirmed day, in one commit. So a jump
// of the clock neither loses a report nor counts one twice, whichever clock was
// right.

// heldDay is the day under which bits are put aside, after all others:
// 9999-12-31.
const heldDay collector.Day = 2_932_896

// An asideDay is a day that waits. Its bits are in [fleet.days] and
// [fault.days], like those of any day.
type asideDay struct {
	// Day is heldDay for the day that was being counted when the clock jumped;
	// or a confirmed day, while the days before it are being closed.
	Day collector.Day `json:"day"`
	// Next is the number that was next when the clock jumped.
	Next     collector.Num `json:"next"`
	Counters dayCounters   `json:"counters"`
	// Names are the releases and faults that were first seen on the day, before
	// the clock jumped.
	Names []string `json:"names,omitempty"`

	memory, excluded map[collector.Key]struct{}
}

// asideRecords returns the records of the day put aside, to be deleted if there
// is none.
func (f *fleet) asideRecords(a *asideDay) []collector.Record {
	if a == nil {
		return []collector.Record{
			{RecordKey: f.recordKey(kindAside, 0, "")}, f.keysRecord("aside/memory", nil), f.keysRecord("aside/excluded", nil),
		}
	}
	return []collector.Record{
		f.record(kindAside, 0, "", a), f.keysRecord("aside/memory", a.memory), f.keysRecord("aside/excluded", a.excluded),
	}
}

// newAside returns a day put aside on which nothing was counted.
func newAside(next collector.Num) *asideDay {
	return &asideDay{Day: heldDay, Next: next, memory: make(map[collector.Key]struct{}), excluded: make(map[collector.Key]struct{})}
}

// has reports whether a key is among those of in-memory IDs, and of excluded
// ones.
func (a *asideDay) has(key collector.Key) (memory, excluded bool) {
	_, memory = a.memory[key]
	_, excluded = a.excluded[key]
	return memory, excluded
}

// holds reports whether the fleet counts provisionally.
func (f *fleet) holds() bool { return f.aside != nil && f.aside.Day == heldDay }

// hold begins to count provisionally. The journal is empty.
func (e *Engine) hold(ctx context.Context, wall time.Time) error {
	var records []collector.Record
	var applies []func()
	for _, f := range e.sorted() {
		moved, apply := f.rearranged(map[collector.Day][]collector.Day{heldDay: {f.today}, f.today: nil})
		a := &asideDay{
			Day: heldDay, Next: f.next, Counters: f.open, Names: f.firstSeenOn(f.today), memory: f.memory, excluded: f.excluded,
		}
		records = append(append(records, moved...), f.asideRecords(a)...)
		records = append(records, f.record(kindOpen, 0, "", openDay{Today: f.today, Next: f.next, Purged: f.purged}),
			f.keysRecord("memory", nil), f.keysRecord("excluded", nil))
		applies = append(applies, func() {
			apply()
			f.aside, f.open = a, dayCounters{}
			f.memory, f.excluded = make(map[collector.Key]struct{}), make(map[collector.Key]struct{})
		})
	}
	r := clockRecord{Trusted: e.clock.expected().UTC(), Held: true}
	records = append(records, jsonRecord(collector.RecordKey{Kind: kindClock}, r))
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	e.applyAll(applies)
	e.held = e.newHolding(wall, 0)
	e.logHeld(wall)
	return nil
}

func (e *Engine) logHeld(wall time.Time) {
	e.log.Error("Clock is not plausible; reports count provisionally, and nothing is purged",
		"clock", wall.UTC().Truncate(time.Second), "expected", e.clock.expected().UTC().Truncate(time.Second), "day", e.day.String())
}

// applyAll changes fleets after a commit.
func (e *Engine) applyAll(applies []func()) {
	for i, f := range e.sorted() {
		f.mu.Lock()
		applies[i]()
		f.revision++
		f.mu.Unlock()
	}
}

// release ends the provisional counting with the day that the clock reads, which
// is trusted now. If that is later than the day being counted, the caller closes
// the days in between.
func (e *Engine) release(ctx context.Context, wall time.Time, by string) error {
	day := collector.DayOf(wall)
	var records []collector.Record
	var applies []func()
	for _, f := range e.sorted() {
		released, apply := f.released(day)
		records = append(records, released...)
		applies = append(applies, apply)
	}
	records = append(records, jsonRecord(collector.RecordKey{Kind: kindClock}, clockRecord{Trusted: wall.UTC()}))
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	e.applyAll(applies)
	e.held = nil
	e.clock.trust(wall)
	e.log.Info("Day is confirmed", "day", day.String(), "by", by)
	return nil
}

// released returns what is written when a day is confirmed, and what changes in
// memory then.
func (f *fleet) released(day collector.Day) ([]collector.Record, func()) {
	a := f.aside
	if day <= f.today { // what was put aside and what came since are one day
		records, apply := f.rearranged(map[collector.Day][]collector.Day{f.today: {f.today, heldDay}, heldDay: nil})
		var open dayCounters
		open.add(&a.Counters)
		open.add(&f.open)
		memory, excluded := maps.Clone(f.memory), maps.Clone(f.excluded)
		maps.Copy(memory, a.memory)
		maps.Copy(excluded, a.excluded)
		records = append(append(records, f.asideRecords(nil)...),
			f.record(kindOpen, 0, "", openDay{Today: f.today, Next: f.next, Counters: open, Purged: f.purged}),
			f.keysRecord("memory", memory), f.keysRecord("excluded", excluded))
		return records, func() {
			apply()
			f.aside, f.open, f.memory, f.excluded = nil, open, memory, excluded
		}
	}
	// What came since moves to the day, and the day that was put aside is the one
	// that ends.
	records, apply := f.rearranged(map[collector.Day][]collector.Day{day: {f.today}, f.today: {heldDay}, heldDay: nil})
	waiting := &asideDay{Day: day, Next: a.Next, Counters: f.open, memory: f.memory, excluded: f.excluded}
	records = append(append(records, f.asideRecords(waiting)...),
		f.record(kindOpen, 0, "", openDay{Today: f.today, Next: f.next, Counters: a.Counters, Purged: f.purged}),
		f.keysRecord("memory", a.memory), f.keysRecord("excluded", a.excluded))
	first := slices.Clone(f.first)
	if f.next > a.Next {
		if n := len(first); first[n-1].Num >= a.Next { // nobody was new on the day that ends
			records = append(records, collector.Record{RecordKey: f.recordKey(kindFirst, first[n-1].Day, "")})
			first = first[:n-1]
		}
		first = append(first, firstNum{day, a.Next})
		records = append(records, f.record(kindFirst, day, "", a.Next))
	}
	app := f.app
	if a.Next == 0 && app.Created == f.today { // nobody had reported when the clock jumped
		app.Created = day
		records = append(records, appRecord(app))
	}
	names, rename := f.renamed(a.Names, day)
	return append(records, names...), func() {
		apply()
		rename()
		f.app, f.first, f.aside = app, first, waiting
		f.open, f.memory, f.excluded = a.Counters, a.memory, a.excluded
	}
}

// firstSeenOn returns the releases and faults that were first seen on a day.
func (f *fleet) firstSeenOn(day collector.Day) (names []string) {
	for version, release := range f.releases {
		if release.FirstSeen == day {
			names = append(names, version)
		}
	}
	for id, fault := range f.faults {
		if fault.FirstSeen == day {
			names = append(names, id)
		}
	}
	return names
}

// renamed moves the first and the last sight of what was seen on the day being
// counted to another one, except the first sight of what is known.
func (f *fleet) renamed(known []string, day collector.Day) (records []collector.Record, apply func()) {
	releases, faults := make(map[string]releaseRecord), make(map[string]faultRecord)
	for version, release := range f.releases {
		if release.FirstSeen == f.today && !slices.Contains(known, version) {
			release.FirstSeen = day
			releases[version] = release
			records = append(records, f.record(kindRelease, 0, version, release))
		}
	}
	for id, fault := range f.faults {
		if fault.days[f.today] == nil {
			continue // nobody reported it since
		}
		record := fault.faultRecord
		if record.LastSeen = day; record.FirstSeen == f.today && !slices.Contains(known, id) {
			record.FirstSeen = day
		}
		faults[id] = record
		records = append(records, f.record(kindFault, 0, id, record))
	}
	return records, func() {
		maps.Copy(f.releases, releases)
		for id, record := range faults {
			f.faults[id].faultRecord = record
		}
	}
}

// rearranged returns the records that move the bits of days: each day of the plan
// gets those of its sources. Apply does the same in memory. What is in memory is
// in the records too.
func (f *fleet) rearranged(plan map[collector.Day][]collector.Day) (records []collector.Record, apply func()) {
	type change struct {
		sets   map[collector.Day]*bits.Set
		counts map[collector.Day]occurrences // nil if none belong to the sets
		day    collector.Day
		set    *bits.Set
		count  occurrences
	}
	var changes []change
	move := func(key collector.RecordKey, sets map[collector.Day]*bits.Set, counts map[collector.Day]occurrences) {
		for day, sources := range plan {
			c := change{sets: sets, counts: counts, day: day, set: &bits.Set{}}
			for _, source := range sources {
				c.set.Or(sets[source])
				c.count.addAll(counts[source])
			}
			key.Day = day
			stale := &bits.Set{}
			stale.Or(sets[day]) // its chunks are replaced or deleted
			for _, chunk := range stale.Dirty() {
				if c.set.Encode(chunk) == nil {
					records = append(records, collector.Record{RecordKey: collector.RecordKey{
						Kind: key.Kind, App: key.App, Day: day, Name: key.Name + bits.ChunkName(chunk),
					}})
				}
			}
			records = append(records, chunkRecords(key, c.set)...)
			changes = append(changes, c)
		}
	}
	move(f.recordKey(kindActive, 0, ""), f.days, nil)
	for id, fault := range f.faults {
		move(f.recordKey(kindFaultBits, 0, id+"/"), fault.days, fault.counts)
		for _, c := range changes[len(changes)-len(plan):] {
			r := collector.Record{RecordKey: f.recordKey(kindFaultDay, c.day, id)}
			if c.count.total() > 0 {
				r = f.record(kindFaultDay, c.day, id, c.count.faultDay())
			}
			records = append(records, r)
		}
	}
	return records, func() {
		for _, c := range changes {
			if c.set.Clean(); c.set.Count() > 0 {
				c.sets[c.day] = c.set
			} else {
				delete(c.sets, c.day)
			}
			if c.counts != nil {
				if c.count.total() > 0 {
					c.counts[c.day] = c.count
				} else {
					delete(c.counts, c.day)
				}
			}
		}
	}
}
