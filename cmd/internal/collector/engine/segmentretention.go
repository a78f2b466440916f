package engine

import (
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// memberCohorts counts members by cohort and by active period.
type memberCohorts struct {
	sizes  map[collector.Day]uint64
	active map[[2]collector.Day]uint64 // by cohort and period
}

func newMemberCohorts() *memberCohorts {
	return &memberCohorts{make(map[collector.Day]uint64), make(map[[2]collector.Day]uint64)}
}

func (c *memberCohorts) merge(others []*memberCohorts) *memberCohorts {
	for _, other := range others {
		for cohort, n := range other.sizes {
			c.sizes[cohort] += n
		}
		for key, n := range other.active {
			c.active[key] += n
		}
	}
	return c
}

// add adds a strip: the members of a set, in the periods from a day on.
func (c *memberCohorts) add(g collector.Grain, s *strip, of *bits.Words, from, to collector.Day) {
	for cohort, size := range s.cohorts(g) {
		c.sizes[cohort] += of.CountRange(size[0], size[1])
	}
	var active bits.Words
	for period := from; period <= to; period = g.Next(period) {
		s.union(collector.Range{From: period, To: g.Next(period) - 1}, &active)
		active.And(of)
		for cohort, nums := range s.cohorts(g) {
			if cohort <= period {
				if n := active.CountRange(nums[0], nums[1]); n > 0 {
					c.active[[2]collector.Day{cohort, period}] += n
				}
			}
		}
	}
}

// segmentRetention is Retention for the members of a segment.
func (e *Engine) segmentRetention(ctx context.Context, f *fleet, g collector.Grain, r collector.Range, v figures.View) (figures.Retention, error) {
	return askAgain(func() (figures.Retention, error) {
		members, err := e.members(ctx, f, v)
		if err != nil {
			return figures.Retention{}, err
		}
		f.mu.RLock()
		today := f.today
		current := g.Start(today)
		from, to := g.Start(max(r.From, f.since(), oldestCohort(g, current))), g.Start(min(r.To, today))
		f.mu.RUnlock()
		p, err := e.past(ctx, f, from)
		if err != nil {
			return figures.Retention{}, err
		}
		rows, err := closed[retentionRow](ctx, e, f, kindRetention, string(g), collector.Range{From: from, To: today})
		if err != nil {
			return figures.Retention{}, err
		}
		first := from // the first period that is known
		for first <= current && !p.knows(collector.Range{From: first, To: first}) {
			first = g.Next(first)
		}
		sums, err := strips(ctx, f, stripPlan{members: members, past: p, days: collector.Range{From: first, To: today}}, newMemberCohorts,
			func(sum *memberCohorts, s *strip) { sum.add(g, s, &s.members, first, today) })
		if err != nil {
			return figures.Retention{}, err
		}
		all := newMemberCohorts().merge(sums)
		answer := figures.Retention{Grain: g, Cohorts: []figures.Cohort{}}
		var total uint64
		for start := from; start <= to; start = g.Next(start) {
			size := all.sizes[start]
			total += size
			cohort := figures.Cohort{From: start, Size: &size, Cells: []figures.Cell{}}
			for period := start; period <= today; period = g.Next(period) {
				cell := figures.Cell{Open: period == current, Gap: true}
				if period >= first && !rows[period].Gap {
					n := all.active[[2]collector.Day{start, period}]
					cell.Active, cell.Gap = &n, false
					cell.Share = figures.Share(cell.Active, cohort.Size)
				}
				cohort.Cells = append(cohort.Cells, cell)
			}
			answer.Cohorts = append(answer.Cohorts, cohort)
		}
		answer.Meta = f.segmentMeta(p, today, v, total, "installations that were new in the range")
		return answer, nil
	})
}

// segmentSurvival is Survival for the members of a segment.
func (e *Engine) segmentSurvival(ctx context.Context, f *fleet, top int, v figures.View) (figures.Survival, error) {
	members, err := e.members(ctx, f, v)
	if err != nil {
		return figures.Survival{}, err
	}
	f.mu.RLock()
	sizes := f.dims.get(collector.DimFirstVersion).counts(members)
	f.mu.RUnlock()
	delete(sizes, collector.Other)
	return e.survivalOf(ctx, f, v, figures.Top(sizes, limitTop(top)))
}

// survivalOf returns the curves of some first versions, for the members of the
// segment if there is one, in the weeks that are over and known.
func (e *Engine) survivalOf(ctx context.Context, f *fleet, v figures.View, versions []string) (figures.Survival, error) {
	return askAgain(func() (figures.Survival, error) {
		f.mu.RLock()
		today, since, order := f.today, f.since(), f.app.VersionOrder
		var sets []*bits.Set
		for _, version := range versions {
			set := &bits.Set{}
			if dim := f.dims.get(collector.DimFirstVersion); dim != nil && dim.byText[version] != nil {
				set = dim.byText[version].set.Clone()
			}
			sets = append(sets, set)
		}
		f.mu.RUnlock()
		members := bits.Union(sets...)
		if !v.Segment.Empty() {
			segment, err := e.members(ctx, f, v)
			if err != nil {
				return figures.Survival{}, err
			}
			members = bits.Intersection(members, segment)
		}
		end := today.Week() // the first day of the week that is not over
		from := max(since, oldestCohort(collector.GrainWeek, end)).Week()
		p, err := e.past(ctx, f, from)
		if err != nil {
			return figures.Survival{}, err
		}
		for from < end && !p.knows(collector.Range{From: from, To: from}) {
			from += 7
		}
		type curves []*memberCohorts
		fresh := func() *curves {
			all := make(curves, len(versions))
			for i := range all {
				all[i] = newMemberCohorts()
			}
			return &all
		}
		plan := stripPlan{members: members, past: p, days: collector.Range{From: from, To: today}, extra: sets}
		sums, err := strips(ctx, f, plan, fresh, func(sum *curves, s *strip) {
			for i, curve := range *sum {
				curve.add(collector.GrainWeek, s, &s.extra[i], from, end-7)
			}
		})
		if err != nil {
			return figures.Survival{}, err
		}
		answer := figures.Survival{Versions: []figures.VersionSurvival{}}
		var total uint64
		for i, version := range versions {
			curve := newMemberCohorts()
			for _, sum := range sums {
				curve.merge([]*memberCohorts{(*sum)[i]})
			}
			shown := curve.survival(version, from, end)
			total += *shown.Size
			answer.Versions = append(answer.Versions, shown)
		}
		newest := figures.NewestFirst(order)
		slices.SortFunc(answer.Versions, func(a, b figures.VersionSurvival) int { return newest(a.Version, b.Version) })
		answer.Meta = f.segmentMeta(p, end-1, v, total, "installations that began with one of the versions shown")
		return answer, nil
	})
}

// survival adds up cohorts by their age in the weeks from a day on that are over.
func (c *memberCohorts) survival(version string, from, end collector.Day) figures.VersionSurvival {
	var size uint64
	var active, of []uint64
	for cohort, n := range c.sizes {
		if n == 0 || cohort >= end {
			continue
		}
		size += n
		for week := max(cohort, from); week < end; week += 7 {
			age := collector.GrainWeek.Periods(cohort, week)
			for len(active) <= age {
				active, of = append(active, 0), append(of, 0)
			}
			active[age] += c.active[[2]collector.Day{cohort, week}]
			of[age] += n
		}
	}
	shown := figures.VersionSurvival{Version: version, Size: &size, Cells: make([]figures.SurvivalCell, 0, len(active))}
	for age := range active {
		cell := figures.SurvivalCell{Active: &active[age], Of: &of[age]}
		cell.Share = figures.Share(cell.Active, cell.Of)
		shown.Cells = append(shown.Cells, cell)
	}
	return shown
}
