package engine

import (
	"cmp"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Here are the figures of a day that lies in memory: that of the unfinished day, and that of a day which is being closed.
// None of them locks; see [fleet.mu].

// total gives the figures of a day.
func (f *fleet) total(day collector.Day) dayTotal {
	windows := f.windows(day)
	t := dayTotal{Clones: f.clones.Count(), Counters: f.counters()}
	for i, set := range windows {
		t.Active[i] = set.Count()
		t.Established[i] = bits.CountBoth(set, f.established)
	}
	lo, hi := f.newOn(day, day)
	t.New = uint64(hi - lo)
	active := f.days[day]
	t.Returning = bits.CountWithout(active, f.before(day)) - active.CountRange(lo, hi)
	t.Lost = bits.CountWithout(f.days[day-lostAfter], windows[2])
	t.MedianAge = f.medianAge(day, windows[2])
	return t
}

// tally gives those of the figures of a day that cost nothing: what was counted on it.
func (f *fleet) tally(collector.Day) dayTotal { return dayTotal{Counters: f.counters()} }

// counters gives what was counted on the day, with the IDs that are no installations.
func (f *fleet) counters() dayCounters {
	var c dayCounters
	c.add(&f.open) // a copy, maps included
	c.InMemory += uint64(len(f.memory))
	c.Excluded += uint64(len(f.excluded))
	return c
}

// medianAge gives the median of the days since first sight, the lower one of two.
func (f *fleet) medianAge(day collector.Day, active *bits.Set) uint64 {
	total := active.Count()
	if total == 0 {
		return 0
	}
	var seen uint64
	for i, first := range slices.Backward(f.first) {
		hi := f.next
		if i+1 < len(f.first) {
			hi = f.first[i+1].Num
		}
		if seen += active.CountRange(uint32(first.Num), uint32(hi)); seen*2 >= total {
			return uint64(day - first.Day)
		}
	}
	return 0
}

// splits gives the split of each dimension on a day.
func (f *fleet) splits(day collector.Day) map[string]split {
	windows := f.windows(day)
	all := make(map[string]split, len(f.dims.dims))
	for _, d := range f.dims.dims {
		if d == nil {
			continue
		}
		if s := d.split(windows); len(s.Values) > 0 {
			all[d.name] = s
		}
	}
	return all
}

// split counts the values of a dimension in each window.
func (d *dimension) split(windows [4]*bits.Set) split {
	s := split{Values: make(map[string][4]uint64)}
	for i, text := range d.values {
		if text == "" {
			continue
		}
		var counts [4]uint64
		for w := len(windows) - 1; w >= 0; w-- {
			// What is not in a window is in no smaller one.
			if w < len(windows)-1 && counts[w+1] == 0 {
				break
			}
			counts[w] = bits.CountBoth(d.sets[i], windows[w])
		}
		if counts[len(counts)-1] > 0 {
			s.Values[text] = counts
		}
	}
	return s
}

// counts counts the values of a dimension in a set.
func (d *dimension) counts(set *bits.Set) map[string]uint64 {
	counts := make(map[string]uint64)
	if d == nil {
		return counts
	}
	for i, text := range d.values {
		if text == "" {
			continue
		}
		if n := bits.CountBoth(d.sets[i], set); n > 0 {
			counts[text] = n
		}
	}
	return counts
}

// The cohorts that are followed: those of so many periods before. All those of months are.
const (
	MaxDayCohorts  = 400
	MaxWeekCohorts = 120
)

// oldest gives the first day of the oldest cohort that is followed in a period, which begins with from.
func oldestCohort(g collector.Grain, from collector.Day) collector.Day {
	switch g {
	case collector.GrainDay:
		return from - MaxDayCohorts
	case collector.GrainWeek:
		return from - 7*MaxWeekCohorts
	}
	return firstEver
}

// retention gives the row of the period from from to to: how many of each cohort were active in it.
func (f *fleet) retention(g collector.Grain, from, to collector.Day) retentionRow {
	active := &bits.Set{}
	for day := from; day <= to; day++ {
		active.Or(f.days[day])
	}
	return f.cohorts(g, from, to, active)
}

// cohorts counts a set by the cohorts of a grain, up to the period from from to to.
func (f *fleet) cohorts(g collector.Grain, from, to collector.Day, active *bits.Set) retentionRow {
	oldest := oldestCohort(g, from)
	row := retentionRow{From: from, Active: []uint64{}, Size: []uint64{}}
	if len(f.first) == 0 || f.first[0].Day > to {
		return row
	}
	row.From = g.Start(max(oldest, f.first[0].Day))
	n := g.Periods(row.From, from) + 1
	row.Active, row.Size = make([]uint64, n), make([]uint64, n)
	for i, first := range f.first {
		if first.Day > to {
			break
		}
		if first.Day < oldest {
			continue
		}
		hi := f.next
		if i+1 < len(f.first) {
			hi = f.first[i+1].Num
		}
		cohort := g.Periods(row.From, g.Start(first.Day))
		row.Size[cohort] += uint64(hi - first.Num)
		row.Active[cohort] += active.CountRange(uint32(first.Num), uint32(hi))
	}
	return row
}

// maxSurvivals bounds the first versions that are followed: those with the most installations.
const maxSurvivals = 20

// survival gives a row by weeks for each of the most frequent first versions.
func (f *fleet) survival(from, to collector.Day) map[string]retentionRow {
	d := f.dims.get(collector.DimFirstVersion)
	if d == nil {
		return nil
	}
	type sized struct {
		i int
		n uint64
	}
	var versions []sized
	for i, text := range d.values {
		if n := d.sets[i].Count(); text != "" && n > 0 {
			versions = append(versions, sized{i, n})
		}
	}
	slices.SortFunc(versions, func(a, b sized) int { return cmp.Compare(b.n, a.n) })
	active := &bits.Set{}
	for day := from; day <= to; day++ {
		active.Or(f.days[day])
	}
	rows := make(map[string]retentionRow)
	for _, v := range versions[:min(len(versions), maxSurvivals)] {
		row := f.cohorts(collector.GrainWeek, from, to, bits.Intersection(active, d.sets[v.i]))
		row.Size = f.cohorts(collector.GrainWeek, from, to, d.sets[v.i]).Active
		rows[d.values[v.i]] = row
	}
	return rows
}

// faultDay gives what is kept of a fault's day, and whether there is anything: nobody reported it in the longest window
// if not.
func (f *fleet) faultDay(is *fault, day collector.Day) (faultDay, bool) {
	kept := faultDay{Occurrences: is.counts[day]}
	affected, from := &bits.Set{}, day
	for i, days := range windowDays {
		for ; from > day-collector.Day(days); from-- {
			affected.Or(is.days[from])
		}
		kept.Affected[i] = affected.Count()
		if days == 28 {
			kept.Versions = f.byVersion(affected)
		}
	}
	return kept, kept.Affected[len(windowDays)-1] > 0
}

// byVersion splits a set by the versions that its installations run now.
func (f *fleet) byVersion(set *bits.Set) map[string]uint64 {
	if set.Count() == 0 {
		return nil
	}
	return f.dims.get(collector.DimVersion).counts(set)
}
