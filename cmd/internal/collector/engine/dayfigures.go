package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// These are the figures of days in memory: the day being counted, and one that
// is being closed. None of the functions locks; see [fleet.mu].

// total returns the figures of today.
func (f *fleet) total() dayTotal {
	windows := f.windows(f.today)
	t := dayTotal{Clones: f.clones.Count(), Counters: f.counters()}
	t.Counters.MoveAges = nil
	for i, set := range windows {
		t.Active[i] = set.Count()
		t.Established[i] = bits.CountBoth(set, f.established)
	}
	lo, hi := f.newOn(f.today)
	t.New = uint64(hi - lo)
	active, lost := f.activeToday(), f.days[f.today-lostAfter]
	before := bits.Union(f.recentSpan(f.before(windowDays[window28]), activeOnly).active, lost)
	t.Returning = bits.CountWithout(active, before) - active.CountRange(lo, hi)
	t.Lost = bits.CountWithout(lost, windows[window28])
	t.MedianAge = f.medianAge(windows[window28], f.today)
	return t
}

// countersOnly returns those figures of today that cost nothing.
func (f *fleet) countersOnly() dayTotal { return dayTotal{Counters: f.counters()} }

// counters returns a copy of today's counters.
func (f *fleet) counters() dayCounters {
	var c dayCounters
	c.add(&f.open)
	memory, excluded := f.memory, f.excluded
	if f.holds() {
		c.add(&f.aside.Counters)
		memory, excluded = maps.Clone(memory), maps.Clone(excluded)
		maps.Copy(memory, f.aside.memory)
		maps.Copy(excluded, f.aside.excluded)
	}
	c.InMemory += uint64(len(memory))
	c.Excluded += uint64(len(excluded))
	return c
}

// activeToday returns the installations active today, also before the clock
// jumped. The set must not be changed.
func (f *fleet) activeToday() *bits.Set {
	if f.holds() {
		return bits.Union(f.days[f.today], f.days[heldDay])
	}
	return f.days[f.today]
}

// before returns the days of the window of that many days that ends today,
// without today.
func (f *fleet) before(days int) collector.Range {
	return collector.Range{From: f.today - collector.Day(days) + 1, To: f.today - 1}
}

// window returns the installations active in the days that end with a day in
// memory. The set must not be changed.
func (f *fleet) window(day collector.Day, days int) *bits.Set {
	if day == f.today {
		return bits.Union(f.recentSpan(f.before(days), activeOnly).active, f.days[day], f.days[heldDay])
	}
	return f.activeIn(day-collector.Day(days)+1, day)
}

// windows returns the installations active in each of windowDays.
func (f *fleet) windows(day collector.Day) (sets [4]*bits.Set) {
	for i, days := range windowDays {
		sets[i] = f.window(day, days)
	}
	return sets
}

// activeIn returns the installations active in a range of days in memory.
func (f *fleet) activeIn(from, to collector.Day) *bits.Set {
	u := &bits.Set{}
	for day := from; day <= to; day++ {
		u.Or(f.days[day])
	}
	return u
}

// medianAge returns the median number of days from first sight to a day. Of two
// middle ones it is the lower.
func (f *fleet) medianAge(active *bits.Set, day collector.Day) uint64 {
	total := active.Count()
	var seen uint64
	for i, first := range slices.Backward(f.first) {
		seen += active.CountRange(uint32(first.Num), uint32(f.firstAt(i+1)))
		if total > 0 && seen*2 >= total {
			return uint64(day - first.Day)
		}
	}
	return 0
}

// splits returns the split of each dimension on a day.
func (f *fleet) splits(day collector.Day) map[string]split {
	windows := f.windows(day)
	var public *bits.Set
	if collector.LastPublicDay(day) == day {
		public = bits.Intersection(windows[window28], f.established)
	}
	all := make(map[string]split, len(f.dims.byName))
	for name, d := range f.dims.byName {
		if s := d.split(windows); len(s.Values) > 0 {
			if public != nil {
				s.Public = d.counts(public)
			}
			all[name] = s
		}
	}
	return all
}

// splitOf returns the split of one dimension on a day.
func (f *fleet) splitOf(name string, day collector.Day) split {
	d := f.dims.get(name)
	if d == nil {
		return split{}
	}
	windows := f.windows(day)
	s := d.split(windows)
	if collector.LastPublicDay(day) == day {
		s.Public = d.counts(bits.Intersection(windows[window28], f.established))
	}
	return s
}

// split counts the values in each window.
func (d *dimension) split(windows [4]*bits.Set) split {
	s := split{Values: make(map[string][4]uint64)}
	for text, v := range d.byText {
		var counts [4]uint64
		for w, window := range slices.Backward(windows[:]) {
			if counts[w] = bits.CountBoth(v.set, window); counts[w] == 0 {
				break // and so are the smaller windows
			}
		}
		if counts[len(counts)-1] > 0 {
			s.Values[text] = counts
		}
	}
	return s
}

// counts counts the values in a set. A nil dimension has none.
func (d *dimension) counts(set *bits.Set) map[string]uint64 {
	counts := make(map[string]uint64)
	if d == nil {
		return counts
	}
	for text, v := range d.byText {
		if n := bits.CountBoth(v.set, set); n > 0 {
			counts[text] = n
		}
	}
	return counts
}

// Limits of the cohorts that are followed: those of that many periods before.
// Cohorts of months have none.
const (
	maxDayCohorts  = 400
	maxWeekCohorts = 120
)

// oldestCohort returns the first day of the oldest cohort that is followed in
// the period that begins with from.
func oldestCohort(g collector.Grain, from collector.Day) collector.Day {
	switch g {
	case collector.GrainDay:
		return from - maxDayCohorts
	case collector.GrainWeek:
		return from - 7*maxWeekCohorts
	}
	return firstEver
}

// cohorts counts a set by cohort, in the period that begins with from and ends
// today or earlier.
func (f *fleet) cohorts(g collector.Grain, from, to collector.Day, set *bits.Set) retentionRow {
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
		end := f.firstAt(i + 1)
		cohort := g.Periods(row.From, g.Start(first.Day))
		row.Size[cohort] += uint64(end - first.Num)
		row.Active[cohort] += set.CountRange(uint32(first.Num), uint32(end))
	}
	return row
}

// retention returns the row of a period.
func (f *fleet) retention(g collector.Grain, from, to collector.Day) retentionRow {
	return f.cohorts(g, from, to, f.activeIn(from, to))
}

// maxSurvivals bounds the first versions that are followed: those with the most
// installations that have been known for long, and then those with the most.
const maxSurvivals = 20

// survival returns a row by weeks for each of the most frequent first versions.
func (f *fleet) survival(from, to collector.Day) map[string]retentionRow {
	d := f.dims.get(collector.DimFirstVersion)
	if d == nil {
		return nil
	}
	type version struct {
		text string
		set  *bits.Set
		// senior counts the installations that have been known for long.
		n, senior uint64
	}
	var versions []version
	for text, v := range d.byText {
		if n := v.set.Count(); n > 0 {
			versions = append(versions, version{text, v.set, n, f.seniors(v.set)})
		}
	}
	slices.SortFunc(versions, func(a, b version) int {
		return cmp.Or(cmp.Compare(b.senior, a.senior), cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text))
	})
	names := make([]string, 0, maxSurvivals)
	for _, v := range versions[:min(len(versions), maxSurvivals)] {
		names = append(names, v.text)
	}
	return f.survivalOf(from, to, names)
}

// survivalOf returns the rows of first versions.
func (f *fleet) survivalOf(from, to collector.Day, versions []string) map[string]retentionRow {
	active := f.activeIn(from, to)
	rows := make(map[string]retentionRow)
	d := f.dims.get(collector.DimFirstVersion)
	for _, version := range versions {
		var set *bits.Set
		if d != nil && d.byText[version] != nil {
			set = d.byText[version].set
		}
		row := f.cohorts(collector.GrainWeek, from, to, bits.Intersection(active, set))
		row.Size = f.cohorts(collector.GrainWeek, from, to, set).Active
		rows[version] = row
	}
	return rows
}

// faultDay returns what is kept of a fault's day, which is today; false if
// nobody reported the fault in the longest window.
func (f *fleet) faultDay(fault *fault) (faultDay, bool) {
	o := maps.Clone(fault.counts[f.today])
	o.addAll(fault.counts[heldDay])
	d := o.faultDay()
	for i, days := range windowDays {
		affected := bits.Union(f.recentSpan(f.before(days), withFaults).faults[fault.ID], fault.days[f.today], fault.days[heldDay])
		d.Affected[i] = affected.Count()
		if i == window28 && d.Affected[i] > 0 {
			d.Versions = f.dims.get(collector.DimVersion).counts(affected)
			if collector.LastPublicDay(f.today) == f.today {
				d.Public = bits.CountBoth(affected, f.established)
			}
		}
	}
	return d, d.Affected[len(windowDays)-1] > 0
}
