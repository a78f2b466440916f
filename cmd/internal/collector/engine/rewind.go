package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// goBack returns to the day that the clock reads if a fleet counts a later one:
// a wrong clock had been trusted.
func (e *Engine) goBack(ctx context.Context, wall time.Time) error {
	return e.rewindTo(ctx, collector.DayOf(wall.Add(maxStep)))
}

// rewindTo returns each fleet that counts a later day to a day.
func (e *Engine) rewindTo(ctx context.Context, day collector.Day) error {
	for _, f := range e.sorted() {
		if f.today <= day {
			continue
		}
		if err := e.flush(ctx); err != nil {
			return err
		}
		if err := e.rewind(ctx, f, day); err != nil {
			return err
		}
		e.day = min(e.day, day)
		e.requestPreload()
	}
	return nil
}

// rewind returns to a day that was closed, or skipped, because the clock was
// wrong. What was counted on it and on later days counts on it now: activity,
// faults, and counters. The figures of the later days are dropped. The journal is
// empty, and no day is put aside.
func (e *Engine) rewind(ctx context.Context, f *fleet, day collector.Day) error {
	from, days := f.today, 0
	w := &rewinding{e: e, f: f, day: day}
	w.counters.add(&f.open)
	for _, step := range []func(context.Context) error{w.moveBits, w.moveFaults, w.dropFigures, w.moveNames} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	days = w.days
	open := openDay{Today: day, Next: f.next, Counters: w.counters, Purged: min(f.purged, day)}
	records := append(w.records, f.record(kindOpen, 0, "", open))
	app := f.app
	if app.Created > day {
		app.Created = day
		records = append(records, appRecord(app))
	}
	if err := e.putRecords(ctx, records...); err != nil {
		return err
	}
	if err := e.reread(ctx, f, app); err != nil {
		return err
	}
	e.log.Warn("Later days were counted by a wrong clock; they are one day now",
		"app", f.key, "day", day.String(), "last", from.String(), "days", days)
	return nil
}

// A rewinding gathers what a rewind writes.
type rewinding struct {
	e        *Engine
	f        *fleet
	day      collector.Day
	counters dayCounters
	records  []collector.Record
	days     int // with figures, that are dropped
}

// later are the days after the one that is returned to.
func (w *rewinding) later() collector.Range {
	return collector.Range{From: w.day + 1, To: heldDay - 1}
}

func (w *rewinding) drop(key collector.RecordKey) {
	w.records = append(w.records, collector.Record{RecordKey: key})
}

// moveBits moves the bits of later days.
func (w *rewinding) moveBits(ctx context.Context) error {
	for _, kind := range []string{kindActive, kindFaultBits} {
		sets := make(map[string]*bits.Set) // by what precedes the chunk in a record's name
		set := func(key collector.RecordKey) *bits.Set {
			prefix := key.Name[:strings.LastIndexByte(key.Name, '/')+1]
			if sets[prefix] == nil {
				sets[prefix] = &bits.Set{}
			}
			return sets[prefix]
		}
		today := collector.Range{From: w.day, To: w.day}
		err := w.e.eachBits(ctx, w.f, kind, today, func(key collector.RecordKey, chunk *bits.Set) { set(key).Or(chunk) })
		if err != nil {
			return err
		}
		err = w.e.eachBits(ctx, w.f, kind, w.later(), func(key collector.RecordKey, chunk *bits.Set) {
			set(key).Or(chunk)
			w.drop(key)
		})
		if err != nil {
			return err
		}
		for prefix, set := range sets {
			w.records = append(w.records, chunkRecords(w.f.recordKey(kind, w.day, prefix), set)...)
		}
	}
	return nil
}

// moveFaults moves the occurrences of later days.
func (w *rewinding) moveFaults(ctx context.Context) error {
	moved := make(map[string]occurrences)
	err := eachRecord(ctx, w.e.store, kindFaultDay, w.f.num, collector.Range{From: w.day, To: heldDay - 1}, func(r collector.Record) error {
		var day faultDay
		err := decodeRecord(r, &day)
		o := moved[r.Name]
		o.addAll(day.occurrences())
		moved[r.Name] = o
		w.drop(r.RecordKey)
		return err
	})
	for id, o := range moved {
		if o.total() > 0 {
			w.records = append(w.records, w.f.record(kindFaultDay, w.day, id, o.faultDay()))
		}
	}
	return err
}

// dropFigures drops the figures of the day and of later ones, but keeps their
// counters.
func (w *rewinding) dropFigures(ctx context.Context) error {
	closed := collector.Range{From: w.day, To: heldDay - 1}
	err := eachRecord(ctx, w.e.store, kindTotal, w.f.num, closed, func(r collector.Record) error {
		var total dayTotal
		err := decodeRecord(r, &total)
		w.counters.add(&total.Counters)
		if !total.Gap {
			w.days++
		}
		w.drop(r.RecordKey)
		return err
	})
	if err != nil {
		return err
	}
	for _, kind := range []string{kindSplit, kindRetention, kindSurvival} {
		err := eachRecord(ctx, w.e.store, kind, w.f.num, collector.Range{From: w.day - longestPeriod, To: heldDay - 1}, func(r collector.Record) error {
			begins := w.day
			switch kind {
			case kindRetention:
				begins = collector.Grain(r.Name).Start(w.day)
			case kindSurvival:
				begins = w.day.Week()
			}
			if r.Day >= begins { // a period that is not over
				w.drop(r.RecordKey)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moveNames moves first and last sights to the day, those of installations too.
// An installation that was first seen then is not established.
func (w *rewinding) moveNames(context.Context) error {
	f := w.f
	i, found := slices.BinarySearchFunc(f.first, w.day, func(first firstNum, day collector.Day) int { return cmp.Compare(first.Day, day) })
	if i < len(f.first) {
		if lowest := f.first[i]; !found {
			w.records = append(w.records, f.record(kindFirst, w.day, "", lowest.Num))
		}
		established := f.established.Clone()
		for num := range f.established.All() {
			if num >= uint32(f.first[i].Num) {
				established.Remove(num)
			}
		}
		w.records = append(w.records, chunkRecords(f.recordKey(kindEver, 0, "established/"), established)...)
	}
	for ; i < len(f.first); i++ {
		if f.first[i].Day > w.day {
			w.drop(f.recordKey(kindFirst, f.first[i].Day, ""))
		}
	}
	for version, release := range f.releases {
		if release.FirstSeen > w.day {
			release.FirstSeen = w.day
			w.records = append(w.records, f.record(kindRelease, 0, version, release))
		}
	}
	for id, fault := range f.faults {
		if fault.LastSeen > w.day {
			record := fault.faultRecord
			record.FirstSeen, record.LastSeen = min(record.FirstSeen, w.day), w.day
			w.records = append(w.records, f.record(kindFault, 0, id, record))
		}
	}
	return nil
}

// reread replaces what belongs to days by what the store has.
func (e *Engine) reread(ctx context.Context, f *fleet, app collector.App) error {
	read := newFleet(app, 0)
	if err := read.read(ctx, e.store); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	f.rewrites++
	f.gap = false
	f.app, f.today, f.purged, f.next, f.first = app, read.today, read.purged, read.next, read.first
	f.days, f.established, f.clones, f.shared, f.two = read.days, read.established, read.clones, read.shared, read.two
	f.open, f.memory, f.excluded, f.aside = read.open, read.memory, read.excluded, read.aside
	f.releases, f.faults, f.splitsDue = read.releases, read.faults, nil
	f.spans.clear()
	f.history.clear()
	return nil
}

// FixDay confirms the day that the clock reads, on behalf of the operator. It
// returns the day that was being counted and the day that is counted now. Days
// after the confirmed one become part of it.
func (e *Engine) FixDay(ctx context.Context) (before, now collector.Day, err error) {
	err = e.exec(ctx, func(ctx context.Context) error {
		wall := e.clock.read()
		before = e.day
		if e.held != nil {
			if _, err := e.confirm(ctx, wall, byOperator); err != nil {
				return err
			}
		}
		e.clock.trust(wall)
		e.believed = nil
		if err := e.rewindTo(ctx, collector.DayOf(wall)); err != nil {
			return err
		}
		if err := e.rollover(ctx); err != nil {
			return err
		}
		now = e.day
		return nil
	})
	return before, now, err
}
