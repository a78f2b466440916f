package engine

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An exported report counts on the day that its sender's clock had, if the
// installation was known by then and the day is one of the longestWindow before
// today. Otherwise it counts today, like any other report. The figures of the day
// itself are final; windows that contain it, and retention, have it from now on.

// exportedDay returns the day before today that an exported report counts on,
// and whether there is one.
func (ft *fleetTx) exportedDay(t *tx, r *collector.Received, num collector.Num) (collector.Day, bool) {
	f := ft.f
	if !r.Exported || t.e.held != nil || num >= f.next {
		return 0, false
	}
	day := collector.DayOf(r.Heartbeat.SentAt)
	return day, f.today-longestWindow <= day && day < f.today && f.firstDay(num) <= day
}

// maybeMade reports whether an exported report can have been made at a time. While
// our own clock is not trusted, any is possible.
func (t *tx) maybeMade(at time.Time) bool {
	days := collector.DayOf(t.now) - collector.DayOf(at)
	return t.e.held != nil || days <= longestWindow && at.Sub(t.now) <= maxClockSkew
}

// exported counts an exported report of an installation on a day before today. Its
// values count if it is the latest report.
func (ft *fleetTx) exported(ctx context.Context, rows rowReader, num collector.Num, day collector.Day, st state) (collector.Receipt, error) {
	latest := true
	for later := day + 1; later <= ft.f.today; later++ {
		_, now := ft.past[later][num]
		latest = latest && !now && !ft.f.days[later].Has(uint32(num))
	}
	if _, now := ft.active[num]; now {
		latest = false
	}
	changed := false
	if latest {
		var err error
		if changed, err = ft.change(ctx, rows, num, st); err != nil {
			return collector.Receipt{}, err
		}
	}
	if _, now := ft.past[day][num]; now || ft.f.days[day].Has(uint32(num)) {
		return collector.Receipt{Repeated: !changed}, nil
	}
	if ft.past == nil {
		ft.past = make(map[collector.Day]map[collector.Num]struct{})
	}
	if ft.past[day] == nil {
		ft.past[day] = make(map[collector.Num]struct{})
	}
	ft.past[day][num] = struct{}{}
	return collector.Receipt{}, nil
}

// pastRecords returns the records of days before today that exported reports
// change. The journal has only today.
func (ft *fleetTx) pastRecords() []collector.Record {
	if len(ft.past) == 0 {
		return nil
	}
	var records []collector.Record
	established := ft.f.established.Clone()
	for day, nums := range ft.past {
		set := ft.f.days[day].Clone()
		for num := range nums {
			set.Add(uint32(num))
			established.Add(uint32(num)) // first seen on another day, whose bit it has
		}
		records = append(records, chunkRecords(ft.f.recordKey(kindActive, day, ""), set)...)
	}
	return append(records, chunkRecords(ft.f.recordKey(kindEver, 0, "established/"), established)...)
}

// applyPast makes them part of the fleet.
func (ft *fleetTx) applyPast() {
	for day, nums := range ft.past {
		set := daySet(ft.f.days, day)
		for num := range nums {
			set.Add(uint32(num))
			ft.f.established.Add(uint32(num))
		}
		set.Clean() // the commit wrote it
	}
	if len(ft.past) > 0 {
		ft.f.spans.clear()
	}
}
