package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// ErrNotSegmented means that a figure exists only as totals, so it has no value
// for a segment.
var ErrNotSegmented = errors.New("only totals are kept of this, which cannot be split by a segment")

// segmentSplit is split for the members of a segment: by the values that they have
// now. The day is today, or one whose activity is known.
func (e *Engine) segmentSplit(ctx context.Context, f *fleet, dimension string, day collector.Day, window int, v figures.View) (daySplit, error) {
	active, p, err := e.membersTo(ctx, f, day, windowDays[window], v)
	if err != nil {
		return daySplit{day: day, past: p}, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	sp := newDaySplit(day, active.Count(), f.dims.get(dimension).counts(active))
	sp.past = p
	return sp, nil
}

// membersTo returns the members active in the days to a day, and the activity it
// read. It returns [collector.ErrNoDay] if that is not known.
func (e *Engine) membersTo(ctx context.Context, f *fleet, day collector.Day, days int, v figures.View) (*bits.Set, *past, error) {
	f.mu.RLock()
	today, since := f.today, f.since()
	f.mu.RUnlock()
	if day > today || day < since {
		return nil, nil, fmt.Errorf("%w: %s", collector.ErrNoDay, day)
	}
	first := day - collector.Day(days) + 1
	p, err := e.past(ctx, f, first)
	if err != nil {
		return nil, nil, err
	}
	if !p.knows(collector.Range{From: first, To: day}) {
		return nil, p, fmt.Errorf("%w: a segment reaches back to %s", collector.ErrNoDay, p.reach)
	}
	var active *bits.Set
	if first >= today-longestWindow {
		active, err = e.membersIn(ctx, f, v, day, days)
	} else {
		active, err = e.membersOn(ctx, f, v, p, collector.Range{From: first, To: day})
	}
	return active, p, err
}

// membersOn returns the members active on any day of a known range.
func (e *Engine) membersOn(ctx context.Context, f *fleet, v figures.View, p *past, r collector.Range) (*bits.Set, error) {
	members, err := e.members(ctx, f, v)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	active := &bits.Set{}
	for day := r.From; day <= min(r.To, f.today); day++ {
		switch {
		case day < f.today-longestWindow:
			active.Or(p.days[day])
		case day == f.today:
			active.Or(f.activeToday())
		default:
			active.Or(f.days[day])
		}
	}
	return bits.Intersection(active, members), nil
}

// A memberTrend sums up strips: by day the active members, those that report the
// dimension, and those with each value.
type memberTrend struct {
	counts  [][]uint64
	windows *slider
}

// add adds a strip: on each day from one on, the active members, and those that are
// in some sets.
func (t *memberTrend) add(s *strip, from collector.Day, sets []*bits.Set) {
	var words bits.Words
	for i := range s.days {
		day := s.from + collector.Day(i)
		if day < from {
			t.windows.skip(s.days, i)
			continue
		}
		t.windows.slide(s.days, i, &words)
		counts, active := t.counts[day-from], words.Dense()
		counts[0] += active.Count()
		for k, set := range sets {
			counts[1+k] += active.CountBoth(set, s.chunk)
		}
	}
}

// segmentTrend is Trend for the members of a segment, by the values that they have
// now. Versions change too often for that to say anything about a past day.
func (e *Engine) segmentTrend(ctx context.Context, f *fleet, dimension string, window int, r collector.Range, top int, v figures.View) (figures.Trend, error) {
	if dimension == collector.DimVersion {
		return figures.Trend{}, fmt.Errorf("%w: the versions of past days", ErrNotSegmented)
	}
	length := collector.Day(windowDays[window])
	return askAgain(func() (figures.Trend, error) {
		members, err := e.members(ctx, f, v)
		if err != nil {
			return figures.Trend{}, err
		}
		p, days, err := e.knownDays(ctx, f, r, length-1)
		if err != nil {
			return figures.Trend{}, err
		}
		answer := figures.Trend{Range: r, Dimension: dimension, Window: windowDays[window], Values: []string{collector.Other}, Points: []figures.TrendPoint{}}
		answer.Meta = f.segmentMeta(p, r.To, v, 0, fmt.Sprintf("installations active in the %d days to the last day", length))
		if len(days) == 0 {
			return answer, nil
		}
		from, to := days[0].day, days[len(days)-1].day
		active, err := e.membersOn(ctx, f, v, p, collector.Range{From: to - length + 1, To: to})
		if err != nil {
			return figures.Trend{}, err
		}
		f.mu.RLock()
		dim := f.dims.get(dimension)
		named := dim.counts(active)
		delete(named, collector.Other)
		answer.Values = append(figures.Top(named, limitTop(top)), collector.Other)
		sets := []*bits.Set{{}} // those that report the dimension, and those with each value
		if dim != nil {
			for _, value := range dim.byText {
				sets[0].Or(value.set)
			}
			for _, text := range answer.Values[:len(answer.Values)-1] {
				sets = append(sets, dim.byText[text].set.Clone())
			}
		}
		f.mu.RUnlock()
		plan := stripPlan{members: members, past: p, days: collector.Range{From: from - length + 1, To: to}}
		sums, err := strips(ctx, f, plan, func() *memberTrend {
			t := &memberTrend{make([][]uint64, to-from+1), newSlider(int(length))}
			for i := range t.counts {
				t.counts[i] = make([]uint64, 1+len(sets))
			}
			return t
		}, func(t *memberTrend, s *strip) { t.add(s, from, sets) })
		if err != nil {
			return figures.Trend{}, err
		}
		for _, d := range days {
			counts := make(map[string]uint64, len(answer.Values))
			var total, reporting uint64
			for _, sum := range sums {
				n := sum.counts[d.day-from]
				total, reporting = total+n[0], reporting+n[1]
				for i, text := range answer.Values[:len(answer.Values)-1] {
					counts[text] += n[2+i]
				}
			}
			for n := range maps.Values(counts) {
				reporting -= n
			}
			counts[collector.Other] = reporting
			sp := newDaySplit(d.day, total, counts)
			sp.found = !d.Gap
			answer.Points = append(answer.Points, trendPoint(new(figures.Suppressor), d, sp, answer.Values))
			answer.Denominator = total
		}
		return answer, nil
	})
}

// segmentPairs is CoOccurrence for the members of a segment.
func (e *Engine) segmentPairs(ctx context.Context, f *fleet, row, column string, window int, to collector.Day, v figures.View) (figures.CoOccurrence, error) {
	f.mu.RLock()
	to = max(min(to, f.today), f.today-1)
	f.mu.RUnlock()
	active, err := e.membersIn(ctx, f, v, to, windowDays[window])
	if err != nil {
		return figures.CoOccurrence{}, err
	}
	f.mu.RLock()
	co, err := f.pairs(row, column, windowDays[window], to, active)
	f.mu.RUnlock()
	co.Meta = f.segmentMeta(nil, to, v, active.Count(), activeText(windowDays[window], to))
	return co, err
}

// pairs counts the pairs of values of some active installations. The caller holds
// mu.
func (f *fleet) pairs(row, column string, days int, to collector.Day, active *bits.Set) (figures.CoOccurrence, error) {
	co := figures.CoOccurrence{Row: row, Column: column, Window: days, To: to, Counts: [][]figures.Count{}}
	rows, columns := f.dims.get(row), f.dims.get(column)
	switch {
	case rows == nil:
		return co, fmt.Errorf("%w: %s", collector.ErrDimension, row)
	case columns == nil:
		return co, fmt.Errorf("%w: %s", collector.ErrDimension, column)
	}
	co.Rows = figures.Top(rows.counts(active), figures.MaxPairs)
	co.Columns = figures.Top(columns.counts(active), figures.MaxPairs)
	for _, r := range co.Rows {
		line := make([]figures.Count, len(co.Columns))
		both := bits.Intersection(active, rows.byText[r].set)
		for i, c := range co.Columns {
			n := bits.CountBoth(both, columns.byText[c].set)
			line[i] = &n
		}
		co.Counts = append(co.Counts, line)
	}
	return co, nil
}

// segmentVersions is Versions for the members of a segment: without moves and
// adoption.
func (e *Engine) segmentVersions(ctx context.Context, f *fleet, r collector.Range, v figures.View) (figures.Versions, error) {
	f.mu.RLock()
	to := min(r.To, f.today)
	releases, order := maps.Clone(f.releases), f.app.VersionOrder
	f.mu.RUnlock()
	sp, err := e.segmentSplit(ctx, f, collector.DimVersion, to, window28, v)
	if err != nil && !errors.Is(err, collector.ErrNoDay) {
		return figures.Versions{}, err
	}
	answer := figures.Versions{Range: r, Releases: []figures.Release{}, Moves: []figures.Move{}}
	for version, n := range sp.counts {
		if version == collector.Other {
			continue
		}
		release := figures.Release{
			Version: version, Pre: figures.IsPreRelease(order, version), Released: releases[version].Released,
			Active: &n, Adoption: []figures.AdoptionPoint{},
		}
		if release.Stated = release.Released != 0; !release.Stated {
			release.Released = releases[version].FirstSeen
		}
		answer.Releases = append(answer.Releases, release)
	}
	newest := figures.NewestFirst(order)
	byVersion := func(a, b figures.Release) int { return newest(a.Version, b.Version) }
	slices.SortFunc(answer.Releases, byVersion)
	answer.Releases = f.mostSupported(answer.Releases, figures.MaxReleases, to)
	slices.SortFunc(answer.Releases, byVersion)
	answer.Meta = f.segmentMeta(sp.past, to, v, sp.reporting, "of the "+activeText(28, to)+", those that report a version")
	return answer, nil
}
