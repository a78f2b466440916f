package engine

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Totals outlive an installation, and what only it ever reported would identify it
// in them. So with an installation goes what nobody else has: its values count as
// Other on the days on which nobody else had them, and its faults and releases
// are forgotten.

// A uniqueTexts is what only one installation has.
type uniqueTexts struct {
	// values are the texts by dimension. alone are the facts that nobody else
	// reports, with any value.
	values map[string][]string
	alone  map[string]bool
	// versions are those of the texts that nobody else ever had.
	versions []string
	faults   []string
}

// uniqueTo returns what only one installation has. All rows are read.
func (e *Engine) uniqueTo(ctx context.Context, f *fleet, num collector.Num) (*uniqueTexts, error) {
	if u := f.unfinished[num]; u != nil {
		return u, nil // it is in no set any more
	}
	only := func(set *bits.Set) bool { return set.Has(uint32(num)) && set.Count() == 1 }
	u := &uniqueTexts{values: make(map[string][]string), alone: make(map[string]bool)}
	for _, dim := range f.dims.byName {
		alone := isFact(dim.name) && !f.declared.hasDimension(dim.name)
		for text, v := range dim.byText {
			switch {
			case !only(v.set):
				alone = alone && v.set.IsEmpty()
			case text != collector.Other && !f.declared.has(dim.name, text):
				u.values[dim.name] = append(u.values[dim.name], text)
			}
		}
		if alone {
			u.alone[dim.name] = true
			u.values[dim.name] = append(u.values[dim.name], collector.Other)
		}
	}
	u.joinVersions(f)
	counts, err := e.faultCounts(ctx, f, num)
	if err != nil {
		return nil, err
	}
	var span *span
	for _, c := range counts {
		fault := f.faults[c.Fault]
		if fault == nil || slices.ContainsFunc(slices.Collect(maps.Values(fault.days)), func(s *bits.Set) bool { return !s.IsEmpty() && !only(s) }) {
			continue
		}
		if span == nil {
			if span, err = e.span(ctx, f, collector.Range{From: max(f.since(), f.today-f.retentionDays()), To: f.today}); err != nil {
				return nil, err
			}
		}
		if set := span.faults[c.Fault]; set == nil || set.IsEmpty() || only(set) {
			u.faults = append(u.faults, c.Fault)
		}
	}
	return u, nil
}

// joinVersions makes the values of the two dimensions of versions the same: those
// that nobody else has in either.
func (u *uniqueTexts) joinVersions(f *fleet) {
	both := []string{collector.DimVersion, collector.DimFirstVersion}
	texts := slices.DeleteFunc(slices.Concat(u.values[both[0]], u.values[both[1]]), func(text string) bool {
		return slices.ContainsFunc(both, func(name string) bool {
			return f.dims.has(name, text) && !f.dims.get(name).byText[text].set.IsEmpty() && !slices.Contains(u.values[name], text)
		})
	})
	slices.Sort(texts)
	texts = slices.Compact(texts)
	u.values[both[0]], u.values[both[1]] = texts, texts
}

// withoutUnique returns the records of closed days without the texts that only one
// installation has, and apply, which does the same in memory once the records are
// written.
func (e *Engine) withoutUnique(ctx context.Context, f *fleet, num collector.Num, u *uniqueTexts) (records []collector.Record, apply func(), err error) {
	put := func(r collector.Record, value any) { records = append(records, jsonRecord(r.RecordKey, value)) }
	remove := func(key collector.RecordKey) { records = append(records, collector.Record{RecordKey: key}) }
	past := collector.Range{From: f.since(), To: f.today - 1}
	own := collector.Range{From: f.firstDay(num), To: f.today - 1} // nobody else ever had the versions
	shared := make(map[string]bool)                                // the versions that others had once
	for name, texts := range u.values {
		if len(texts) == 0 {
			continue
		}
		err := e.eachNamed(ctx, f.recordKey(kindSplit, 0, name), past, func(r collector.Record) error {
			var s split
			if err := decodeRecord(r, &s); err != nil {
				return err
			}
			changed := s.fold(texts, func(text string) {
				if isVersion(name) {
					shared[text] = true
				}
			})
			switch {
			case u.alone[name] && s.lone():
				remove(r.RecordKey)
			case changed:
				put(r, s)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	u.versions = slices.DeleteFunc(slices.Clone(u.values[collector.DimVersion]), func(text string) bool {
		return shared[text] || f.releases[text].Released != 0
	})
	if len(u.versions) > 0 {
		err = eachRecord(ctx, e.store, kindTotal, f.num, own, func(r collector.Record) error {
			var total dayTotal
			err := decodeRecord(r, &total)
			if u.renameMoves(&total.Counters) {
				put(r, total)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		err = eachRecord(ctx, e.store, kindSurvival, f.num, allDays, func(r collector.Record) error {
			if slices.Contains(u.versions, r.Name) {
				remove(r.RecordKey)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		for _, version := range u.versions {
			remove(f.recordKey(kindRelease, 0, version))
		}
	}
	if len(u.versions) > 0 || len(u.faults) > 0 {
		err = eachRecord(ctx, e.store, kindFaultDay, f.num, own, func(r collector.Record) error {
			if slices.Contains(u.faults, r.Name) {
				remove(r.RecordKey)
				return nil
			}
			var d faultDay
			err := decodeRecord(r, &d)
			if versions, by := u.rename(d.Versions), u.rename(d.ByVersion); versions || by {
				put(r, d)
			}
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	oldest := u.oldestVersions(f)
	for _, record := range oldest {
		records = append(records, f.record(kindFault, 0, record.ID, record))
	}
	for _, id := range u.faults {
		if fault := f.faults[id]; fault != nil {
			records = append(records, f.faultRemoval(fault)...)
		}
	}
	return records, func() {
		f.rewrites++
		f.dropReleases(u.versions)
		for _, record := range oldest {
			f.faults[record.ID].faultRecord = record
		}
		for _, id := range u.faults {
			delete(f.faults, id)
			f.spans.removeFault(id)
		}
		for _, fault := range f.faults {
			for _, counts := range fault.counts {
				u.rename(counts)
			}
		}
		delete(f.unfinished, num)
	}, nil
}

// renameOpen renames the versions in the days that are not over. The caller holds
// the lock, and writes the open day.
func (u *uniqueTexts) renameOpen(f *fleet) []collector.Record {
	u.renameMoves(&f.open)
	if f.aside == nil {
		return nil
	}
	u.renameMoves(&f.aside.Counters)
	f.aside.Names = slices.DeleteFunc(f.aside.Names, func(name string) bool {
		return slices.Contains(u.versions, name) || slices.Contains(u.faults, name)
	})
	return f.asideRecords(f.aside)
}

// oldestVersions returns the records of faults without the versions, as the oldest
// that reported them.
func (u *uniqueTexts) oldestVersions(f *fleet) (records []faultRecord) {
	for id, fault := range f.faults {
		if slices.Contains(u.versions, fault.OldestVersion) && !slices.Contains(u.faults, id) {
			record := fault.faultRecord
			record.OldestVersion, record.OldestDoubtful = "", false
			records = append(records, record)
		}
	}
	return records
}

// rename counts the versions as Other, and reports whether there were any.
func (u *uniqueTexts) rename(counts map[string]uint64) (changed bool) {
	for _, version := range u.versions {
		if n, ok := counts[version]; ok {
			delete(counts, version)
			counts[collector.Other] += n
			changed = true
		}
	}
	return changed
}

// renameMoves counts moves from and to the versions as moves from and to Other.
func (u *uniqueTexts) renameMoves(c *dayCounters) (changed bool) {
	for _, move := range slices.Collect(maps.Keys(c.Moves)) {
		sides := strings.Split(move, "\x00")
		for i, side := range sides {
			if slices.Contains(u.versions, side) {
				sides[i] = collector.Other
			}
		}
		renamed := strings.Join(sides, "\x00")
		if renamed == move {
			continue
		}
		n, age := c.Moves[move], c.MoveAges[move]
		delete(c.Moves, move)
		delete(c.MoveAges, move)
		c.addMove(renamed, n, age)
		changed = true
	}
	return changed
}

// fold counts texts that one installation had as Other, and reports whether there
// were any. It calls shared with those that several had.
func (s *split) fold(texts []string, shared func(string)) (changed bool) {
	longest := len(windowDays) - 1
	for _, text := range texts {
		n, ok := s.Values[text]
		switch {
		case !ok || text == collector.Other:
			continue
		case n[longest] > 1:
			shared(text)
			continue
		}
		other := s.Values[collector.Other]
		for i := range other {
			other[i] += n[i]
		}
		delete(s.Values, text)
		s.Values[collector.Other] = other
		if n, ok := s.Public[text]; ok {
			delete(s.Public, text)
			s.Public[collector.Other] += n
		}
		changed = true
	}
	return changed
}

// lone reports whether one installation at most has any value.
func (s *split) lone() bool {
	var n uint64
	for _, counts := range s.Values {
		n += counts[len(windowDays)-1]
	}
	return n <= 1
}
