package engine

import (
	"context"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// closing returns the records of the day that is over.
func (m *merging) closing(ctx context.Context) ([]collector.Record, error) {
	f, day := m.l.f, m.l.f.today
	var of dayTotal
	had, err := m.record(ctx, kindTotal, day, "", &of)
	if err != nil {
		return nil, err
	}
	gap := (!had || of.Gap) && m.covered < day
	records := append(m.records, f.record(kindTotal, day, "", m.total(of, had, gap)))
	m.records = nil
	for _, part := range []func(context.Context, collector.Day, bool) ([]collector.Record, error){m.splits, m.periods, m.faultDays} {
		more, err := part(ctx, day, gap)
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
	}
	return records, nil
}

// record reads what the app has of a day.
func (m *merging) record(ctx context.Context, kind string, day collector.Day, name string, into any) (bool, error) {
	key := m.live.recordKey(kind, day, name)
	data, ok, err := m.e.store.Record(ctx, key)
	if err != nil || !ok {
		return false, err
	}
	return true, decodeRecord(collector.Record{RecordKey: key, Data: data}, into)
}

// plus adds to a figure what it has more now than then.
func plus(figure, now, then uint64) uint64 {
	if now >= then {
		return figure + (now - then)
	}
	return figure - min(figure, then-now)
}

func plusEach(figures, now, then [4]uint64) (sums [4]uint64) {
	for i := range sums {
		sums[i] = plus(figures[i], now[i], then[i])
	}
	return sums
}

// total adds the past's part of a day to the app's own total of it.
func (m *merging) total(of dayTotal, had, gap bool) dayTotal {
	now, then := m.l.f.total(), m.then.total()
	sum := dayTotal{
		Gap: gap, Active: plusEach(of.Active, now.Active, then.Active),
		Established: plusEach(of.Established, now.Established, then.Established), New: plus(of.New, now.New, then.New),
		Returning: plus(of.Returning, now.Returning, then.Returning), Lost: plus(of.Lost, now.Lost, then.Lost),
		Clones: of.Clones + bits.CountWithout(m.l.f.clones, m.clones), MedianAge: of.MedianAge, Counters: of.Counters,
	}
	if !had || now.MedianAge != then.MedianAge {
		sum.MedianAge = now.MedianAge // of the installations that are still known
	}
	sum.Counters.add(&now.Counters)
	sum.Counters.MoveAges = nil
	return sum
}

// splits returns the splits of a day: those of the app, with the values of the past
// where only the past has an installation in the window.
func (m *merging) splits(ctx context.Context, day collector.Day, _ bool) ([]collector.Record, error) {
	f := m.l.f
	all := make(map[string]split)
	err := eachRecord(ctx, m.e.store, kindSplit, m.live.num, collector.Range{From: day, To: day}, func(r collector.Record) error {
		var s split
		err := decodeRecord(r, &s)
		all[r.Name] = s
		return err
	})
	if err != nil {
		return nil, err
	}
	if m.touched > day-longestWindow {
		windows := f.windows(day)
		for i, here := range m.mapped.windows(day) {
			windows[i] = windows[i].Clone()
			windows[i].AndNot(here)
		}
		var public *bits.Set
		if collector.LastPublicDay(day) == day {
			public = bits.Intersection(windows[window28], f.established)
		}
		for name, dim := range f.dims.byName {
			if name == collector.DimFirstVersion {
				continue
			}
			added := dim.split(windows)
			s := all[name]
			if len(added.Values) > 0 && s.Values == nil {
				s.Values = make(map[string][4]uint64)
			}
			for text, n := range added.Values {
				s.Values[text] = plusEach(s.Values[text], n, [4]uint64{})
			}
			if public != nil && s.Values != nil {
				s.Public = addCounts(s.Public, dim.counts(public))
			}
			if s.Values != nil {
				all[name] = s
			}
		}
	}
	m.firstVersions(day, all)
	if collector.LastPublicDay(day) == day {
		if err := m.addEstablished(ctx, day, all); err != nil {
			return nil, err
		}
	}
	records := make([]collector.Record, 0, len(all))
	for name, s := range all {
		records = append(records, f.record(kindSplit, day, name, s))
	}
	return records, nil
}

// firstVersions adds to the split of the first versions. They never change, so those
// of each installation are known.
func (m *merging) firstVersions(day collector.Day, all map[string]split) {
	const name = collector.DimFirstVersion
	now, then := m.l.f.splitOf(name, day), m.then.splitOf(name, day)
	s := split{Values: make(map[string][4]uint64)}
	for _, values := range []map[string][4]uint64{all[name].Values, now.Values} {
		for text := range values {
			if n := plusEach(all[name].Values[text], now.Values[text], then.Values[text]); n[len(n)-1] > 0 {
				s.Values[text] = n
			}
		}
	}
	if now.Public != nil {
		s.Public = make(map[string]uint64)
		for _, counts := range []map[string]uint64{all[name].Public, now.Public} {
			for text := range counts {
				if n := plus(all[name].Public[text], now.Public[text], then.Public[text]); n > 0 {
					s.Public[text] = n
				}
			}
		}
	}
	if delete(all, name); len(s.Values) > 0 {
		all[name] = s
	}
}

func addCounts(counts, more map[string]uint64) map[string]uint64 {
	if counts == nil {
		counts = make(map[string]uint64)
	}
	for text, n := range more {
		counts[text] += n
	}
	return counts
}

// addEstablished adds to what the public sees the installations that only the past
// makes established. What they had then is not known, so their current values
// count.
func (m *merging) addEstablished(ctx context.Context, day collector.Day, all map[string]split) error {
	active := m.then.window(day, windowDays[window28])
	for n := range active.All() {
		if m.then.established.Has(n) || !m.l.f.established.Has(uint32(m.nums[n])) || !m.known.Has(n) {
			continue
		}
		row, ok, err := m.e.store.Installation(ctx, m.live.num, collector.Num(n))
		if err != nil || !ok {
			return err
		}
		st, err := decodeState(row.State)
		if err != nil {
			return err
		}
		for name, text := range m.live.dims.texts(&st) {
			if name == collector.DimFirstVersion {
				continue
			}
			if s, ok := all[name]; ok {
				s.Public = addCounts(s.Public, map[string]uint64{text: 1})
				all[name] = s
			}
		}
	}
	return nil
}

// periods returns the retention rows of the periods that end with the day.
func (m *merging) periods(ctx context.Context, day collector.Day, gap bool) ([]collector.Record, error) {
	f := m.l.f
	var records []collector.Record
	put := func(kind, name string, from collector.Day, had *retentionRow, g collector.Grain, now, then retentionRow) {
		row := mergeRows(g, from, had, now, then)
		if kind == kindSurvival && !slices.ContainsFunc(row.Size, func(n uint64) bool { return n > 0 }) {
			return // all that began with the version had been seen before
		}
		row.Gap = gap && from == day
		records = append(records, f.record(kind, from, name, row))
	}
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		from := grain.Start(day)
		if grain.Next(from) != day+1 {
			continue
		}
		had := new(retentionRow)
		ok, err := m.record(ctx, kindRetention, from, string(grain), had)
		if err != nil {
			return nil, err
		}
		if !ok {
			had = nil
		}
		put(kindRetention, string(grain), from, had, grain, f.retention(grain, from, day), m.then.retention(grain, from, day))
		if grain != collector.GrainWeek {
			continue
		}
		rows := make(map[string]*retentionRow)
		for version := range f.survival(from, day) {
			rows[version] = nil
		}
		err = eachRecord(ctx, m.e.store, kindSurvival, m.live.num, collector.Range{From: from, To: from}, func(r collector.Record) error {
			row := new(retentionRow)
			rows[r.Name] = row
			return decodeRecord(r, row)
		})
		if err != nil {
			return nil, err
		}
		versions := slices.Collect(maps.Keys(rows))
		now, then := f.survivalOf(from, day, versions), m.then.survivalOf(from, day, versions)
		for version, had := range rows {
			put(kindSurvival, version, from, had, grain, now[version], then[version])
		}
	}
	return records, nil
}

// mergeRows adds to the row of a period what it has more now than then. Without a
// row it is the present one.
func mergeRows(g collector.Grain, period collector.Day, had *retentionRow, now, then retentionRow) retentionRow {
	if had == nil {
		return now
	}
	from := period
	for _, row := range []*retentionRow{had, &now, &then} {
		if len(row.Active) > 0 {
			from = min(from, row.From)
		}
	}
	sum := retentionRow{From: from, Active: []uint64{}, Size: []uint64{}}
	for cohort := from; cohort <= period; cohort = g.Next(cohort) {
		active, size, _ := had.at(g, cohort)
		activeNow, sizeNow, _ := now.at(g, cohort)
		activeThen, sizeThen, _ := then.at(g, cohort)
		sum.Active = append(sum.Active, plus(active, activeNow, activeThen))
		sum.Size = append(sum.Size, plus(size, sizeNow, sizeThen))
	}
	return sum
}

// faultDays returns what is kept of the faults of a day.
func (m *merging) faultDays(ctx context.Context, day collector.Day, _ bool) ([]collector.Record, error) {
	f := m.l.f
	had := make(map[string]faultDay)
	err := eachRecord(ctx, m.e.store, kindFaultDay, m.live.num, collector.Range{From: day, To: day}, func(r collector.Record) error {
		var d faultDay
		err := decodeRecord(r, &d)
		had[r.Name] = d
		return err
	})
	if err != nil {
		return nil, err
	}
	var records []collector.Record
	for id, fault := range f.faults {
		d, ok := had[id]
		delete(had, id)
		fault.addOccurrences(day, d.occurrences())
		if d, ok = m.faultDay(fault, d, ok); ok {
			records = append(records, f.record(kindFaultDay, day, id, d))
		}
	}
	for id, d := range had { // of faults that have lost their place
		records = append(records, f.record(kindFaultDay, day, id, d))
	}
	return records, nil
}

// faultDay adds to the record of a fault's day, if there is one, what the past has.
func (m *merging) faultDay(fault *fault, had faultDay, ok bool) (faultDay, bool) {
	f, id := m.l.f, fault.ID
	d := fault.counts[f.today].faultDay()
	d.Affected, d.Public, d.Versions = had.Affected, had.Public, had.Versions
	for i, days := range windowDays {
		now, then, here := f.affectedIn(id, days), m.then.affectedIn(id, days), m.mapped.affectedIn(id, days)
		d.Affected[i] = plus(d.Affected[i], now.Count(), then.Count())
		if i != window28 {
			continue
		}
		if collector.LastPublicDay(f.today) == f.today {
			d.Public = plus(d.Public, bits.CountBoth(now, f.established), bits.CountBoth(then, m.then.established))
		}
		added := now.Clone()
		added.AndNot(here)
		if added.IsEmpty() {
			continue
		}
		reported := m.mapped.window(f.today, days)
		past := added.Clone()
		past.AndNot(reported)
		d.Versions = addCounts(d.Versions, f.dims.get(collector.DimVersion).counts(past))
		added = bits.Intersection(added, reported)
		if added.IsEmpty() {
			continue
		}
		for n := range m.then.window(f.today, days).All() { // they run what they report here
			if version := m.texts[m.version[n]]; version != "" && added.Has(uint32(m.nums[n])) {
				d.Versions = addCounts(d.Versions, map[string]uint64{version: 1})
			}
		}
	}
	if len(d.Versions) == 0 {
		d.Versions = nil
	}
	return d, ok || d.Affected[len(windowDays)-1] > 0
}

// affectedIn returns the installations that reported a fault in the days up to
// today.
func (f *fleet) affectedIn(id string, days int) *bits.Set {
	var current *bits.Set
	if fault := f.faults[id]; fault != nil {
		current = fault.days[f.today]
	}
	return bits.Union(f.recentSpan(f.before(days), withFaults).faults[id], current)
}

// startDay begins the next day.
func (m *merging) startDay() {
	for _, f := range []*fleet{m.l.f, m.then, m.mapped} {
		next := f.nextDay(f.today + 1)
		f.startDay(next)
	}
}
