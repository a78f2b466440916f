package engine

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// faultTotals sums up the faults of a range. Faulty are the installations that
// reported any of them, active those that were active, and members those of the
// segment, or nil. The caller holds mu.
func (f *fleet) faultTotals(all []faultSpan, faulty, active *bits.Set, r collector.Range, members *bits.Set) figures.FaultTotals {
	affected := faulty.Count()
	return figures.FaultTotals{
		Affected:    &affected,
		BySeverity:  faultGroups(all, func(fs faultSpan) string { return fs.Severity }),
		ByComponent: faultGroups(all, func(fs faultSpan) string { return fs.Component }),
		ByCountry:   f.faultyBy(collector.DimCountry, faulty),
		ByDay:       f.faultDays(r, members),
		Sums:        f.factSums(active),
	}
}

// factSums adds up the values of facts that are whole numbers.
func (f *fleet) factSums(active *bits.Set) []figures.FactSum {
	sums := []figures.FactSum{}
	for _, fact := range collector.SummedFacts() {
		dim := f.dims.get(collector.FactDimension + fact)
		if dim == nil {
			continue
		}
		var sum, reporting uint64
		for text, v := range dim.byText {
			value, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				continue // a range, as it was stored before, or Other
			}
			n := bits.CountBoth(active, v.set)
			sum += value * n
			reporting += n
		}
		if reporting > 0 {
			sums = append(sums, figures.FactSum{Fact: fact, Sum: &sum, Reporting: &reporting})
		}
	}
	return sums
}

// faultGroups counts the installations that reported a fault of each group.
func faultGroups(all []faultSpan, name func(faultSpan) string) []figures.FaultGroup {
	sets, sums := make(map[string]*bits.Set), make(map[string]uint64)
	segmented := false
	for _, fs := range all {
		if sets[name(fs)] == nil {
			sets[name(fs)] = &bits.Set{}
		}
		sets[name(fs)].Or(fs.affected)
		sums[name(fs)] += fs.occurrences.total()
		segmented = segmented || fs.segmented
	}
	groups := []figures.FaultGroup{}
	for name, set := range sets {
		n, sum := set.Count(), sums[name]
		group := figures.FaultGroup{Name: name, Affected: &n, Occurrences: &sum}
		if segmented {
			group.Occurrences = nil
		}
		groups = append(groups, group)
	}
	return sortGroups(groups)
}

// faultyBy splits installations with faults by their value of a dimension.
func (f *fleet) faultyBy(dimension string, faulty *bits.Set) []figures.FaultGroup {
	groups := []figures.FaultGroup{}
	if d := f.dims.get(dimension); d != nil {
		for text, v := range d.byText {
			if n := bits.CountBoth(faulty, v.set); n > 0 {
				groups = append(groups, figures.FaultGroup{Name: text, Affected: &n})
			}
		}
	}
	return sortGroups(groups)
}

func sortGroups(groups []figures.FaultGroup) []figures.FaultGroup {
	slices.SortFunc(groups, func(a, b figures.FaultGroup) int {
		return cmp.Or(cmp.Compare(*b.Affected, *a.Affected), cmp.Compare(a.Name, b.Name))
	})
	return groups
}

// faultDays returns those days of a range that are in memory.
func (f *fleet) faultDays(r collector.Range, members *bits.Set) []figures.FaultDay {
	days := []figures.FaultDay{}
	for day := max(r.From, f.since(), f.today-longestWindow); day <= min(r.To, f.today); day++ {
		kept := []collector.Day{day}
		if day == f.today {
			kept = append(kept, heldDay)
		}
		var sets []*bits.Set
		var occurred uint64
		for _, fault := range f.faults {
			for _, day := range kept {
				sets = append(sets, fault.days[day])
				occurred += fault.counts[day].total()
			}
		}
		n := bits.CountAny(members, sets...)
		shown := figures.FaultDay{Day: day, Open: day == f.today, Affected: &n, Occurrences: &occurred}
		if members != nil {
			shown.Occurrences = nil
		}
		days = append(days, shown)
	}
	return days
}
