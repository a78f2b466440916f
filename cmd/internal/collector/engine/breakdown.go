package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Dimensions returns the names of all dimensions with a value, sorted. The public
// gets only those with a value that it may see.
func (e *Engine) Dimensions(ctx context.Context, app collector.AppNum, v figures.View) ([]string, error) {
	f, err := e.fleet(app)
	if err != nil {
		return nil, err
	}
	if v.Public {
		return e.publicDimensions(ctx, f, v)
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	names := []string{}
	for _, d := range f.dims.sorted() {
		if len(d.byText) > 0 {
			names = append(names, d.name)
		}
	}
	return names, nil
}

// A daySplit is the split of one dimension in one window that ends with a day.
// Active counts the installations active in it, and reporting those of them that
// report the dimension: an installation has at most one value.
type daySplit struct {
	day               collector.Day
	active, reporting uint64
	counts            map[string]uint64
	// found means that the day has figures. Current means that they are those
	// of the day that was asked for.
	found, current bool
	past           *past // with a segment
}

func newDaySplit(day collector.Day, active uint64, counts map[string]uint64) daySplit {
	s := daySplit{day: day, active: active, counts: counts, found: true, current: true}
	for _, n := range counts {
		s.reporting += n
	}
	return s
}

// split returns the split of a dimension on a day, in a window by index: the
// current one of today, or the one that was written. Until the fleet is warm,
// today has that of the day before.
func (e *Engine) split(ctx context.Context, f *fleet, dimension string, day collector.Day, window int) (daySplit, error) {
	f.mu.RLock()
	today := f.today
	if day == today && f.warm {
		defer f.mu.RUnlock()
		set := f.window(day, windowDays[window])
		return newDaySplit(day, set.Count(), f.dims.get(dimension).counts(set)), nil
	}
	f.mu.RUnlock()
	current := day != today
	if !current {
		day--
	}
	only := collector.Range{From: day, To: day}
	totals, err := closed[dayTotal](ctx, e, f, kindTotal, "", only)
	if err != nil {
		return daySplit{}, err
	}
	total, ok := totals[day]
	if !ok || total.Gap {
		return daySplit{day: day, current: current}, nil
	}
	splits, err := closed[split](ctx, e, f, kindSplit, dimension, only)
	s := newDaySplit(day, total.Active[window], splits[day].counts(dimension, window))
	s.current = current
	return s, err
}

// splitAt is split for a question about a single day, which must have figures; for
// the public, publicSplit.
func (e *Engine) splitAt(ctx context.Context, f *fleet, s *figures.Suppressor, dimension string,
	day collector.Day, window int, v figures.View,
) (daySplit, error) {
	switch {
	case !v.Segment.Empty():
		return e.segmentSplit(ctx, f, dimension, day, window, v)
	case s.Public():
		return e.publicSplit(ctx, f, s, dimension, day)
	}
	sp, err := e.split(ctx, f, dimension, day, window)
	if err == nil && !sp.found && sp.current {
		err = fmt.Errorf("%w: %s", collector.ErrNoDay, day)
	}
	return sp, err
}

// splitMeta is meta for an answer that a single split makes.
func (f *fleet) splitMeta(sp daySplit, s *figures.Suppressor, v figures.View, denominator uint64, of string) figures.Meta {
	if !v.Segment.Empty() {
		return f.segmentMeta(sp.past, sp.day, v, denominator, of)
	}
	m := f.lockedMeta(sp.day, s, denominator, of)
	m.Complete = m.Complete && sp.current
	return m
}

// counts returns the counts by value in one window. Totals of earlier versions
// can have several names of a value.
func (s split) counts(dimension string, window int) map[string]uint64 {
	counts := make(map[string]uint64, len(s.Values))
	for text, n := range s.Values {
		if n[window] > 0 {
			counts[collector.Canonical(dimension, text)] += n[window]
		}
	}
	return counts
}

// Breakdown splits the installations active in the window of that many days (1,
// 7, 28 or 30) that ends with to. A closed day has the values of its end. An app
// without the dimension has no values of it. For the public, the window is the
// latest one of [collector.PublicDays] that was over; it has no values before.
func (e *Engine) Breakdown(ctx context.Context, app collector.AppNum, dimension string, window int,
	to collector.Day, v figures.View,
) (figures.Breakdown, error) {
	f, w, err := e.fleetWindow(app, window)
	if err != nil {
		return figures.Breakdown{}, err
	}
	s := e.suppressor(f, v)
	sp, err := e.splitAt(ctx, f, s, dimension, to, w, v)
	if err != nil {
		return figures.Breakdown{}, err
	}
	if v.Public {
		window = collector.PublicDays
	}
	b := figures.Breakdown{
		Dimension: dimension, Window: window, To: sp.day,
		Active: s.Count(sp.active), Reporting: s.Count(min(sp.reporting, sp.active)), Values: figures.Values(sp.counts, sp.reporting),
	}
	if isVersion(dimension) {
		newest := figures.NewestFirst(f.lockedVersionOrder())
		slices.SortFunc(b.Values, func(x, y figures.Value) int { return newest(x.Value, y.Value) })
	}
	b.Meta = f.splitMeta(sp, s, v, sp.active, activeText(window, sp.day))
	return b, nil
}

// fleetWindow returns the fleet of an app, and the index of a window.
func (e *Engine) fleetWindow(app collector.AppNum, days int) (f *fleet, window int, err error) {
	if f, err = e.fleet(app); err == nil {
		window, err = collector.WindowIndex(days)
	}
	return f, window, err
}

// Trend returns a breakdown day by day, with the top most frequent values: 1 to
// [figures.MaxTop]; 0 means 8. For the public it has the last days of windows.
func (e *Engine) Trend(ctx context.Context, app collector.AppNum, dimension string, window int,
	r collector.Range, top int, v figures.View,
) (figures.Trend, error) {
	f, w, err := e.fleetWindow(app, window)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return figures.Trend{}, err
	}
	if !v.Segment.Empty() {
		return e.segmentTrend(ctx, f, dimension, w, r, top, v)
	}
	s, to := e.suppressor(f, v), r.To
	if v.Public {
		window, to = collector.PublicDays, f.publicRange(r).To
	}
	days, splits, err := e.splitsFor(ctx, f, s, dimension, r, w)
	if err != nil {
		return figures.Trend{}, err
	}
	t := figures.Trend{Range: r, Dimension: dimension, Window: window, Points: []figures.TrendPoint{}}
	var last daySplit
	for _, d := range slices.Backward(days) {
		if last = splits[d.day]; last.found {
			break
		}
	}
	named := maps.Clone(last.counts)
	delete(named, collector.Other)
	t.Values = append(figures.Top(named, limitTop(top)), collector.Other)
	for _, d := range days {
		t.Points = append(t.Points, trendPoint(s, d, splits[d.day], t.Values))
	}
	t.Meta = f.lockedMeta(to, s, last.active, fmt.Sprintf("installations active in the %d days to the last day", window))
	return t, nil
}

func limitTop(top int) int { return max(0, min(cmp.Or(top, 8), figures.MaxTop)) }

// splitsFor is splits for the maintainer, and publicSplits for the public.
func (e *Engine) splitsFor(ctx context.Context, f *fleet, s *figures.Suppressor, dimension string,
	r collector.Range, window int,
) ([]dayFigures, map[collector.Day]daySplit, error) {
	if s.Public() {
		return e.publicSplits(ctx, f, s, dimension, f.publicRange(r))
	}
	return e.splits(ctx, f, dimension, r, window)
}

// splits returns the days of a range, and the splits of those that have one, in
// a window by index.
func (e *Engine) splits(ctx context.Context, f *fleet, dimension string,
	r collector.Range, window int,
) ([]dayFigures, map[collector.Day]daySplit, error) {
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil || len(days) == 0 {
		return nil, nil, err
	}
	f.mu.RLock()
	warm := f.warm
	f.mu.RUnlock()
	written, err := closed[split](ctx, e, f, kindSplit, dimension, collector.Range{From: days[0].day, To: days[len(days)-1].day})
	if err != nil {
		return nil, nil, err
	}
	splits := make(map[collector.Day]daySplit, len(days))
	for _, d := range days {
		if d.open {
			s, err := e.split(ctx, f, dimension, d.day, window)
			if err != nil {
				return nil, nil, err
			}
			if s.current && s.found {
				splits[d.day] = s
			}
			continue
		}
		// A day without a record has no value of the dimension, or ended before
		// the rows were read.
		if s, ok := written[d.day]; !d.Gap && (ok || warm) {
			splits[d.day] = newDaySplit(d.day, d.Active[window], s.counts(dimension, window))
		}
	}
	return days, splits, nil
}

// trendPoint returns a day of a trend as it is shown. The last of values is
// Other, for the rest.
func trendPoint(s *figures.Suppressor, d dayFigures, sp daySplit, values []string) figures.TrendPoint {
	p := figures.TrendPoint{Day: d.day, Open: d.open, Gap: !sp.found, Counts: make([]figures.Count, len(values))}
	if p.Gap {
		return p
	}
	p.Active = s.Count(sp.active)
	var rest uint64
	for _, n := range sp.counts {
		rest += n
	}
	for i, text := range values[:len(values)-1] {
		p.Counts[i] = s.Count(sp.counts[text])
		rest -= sp.counts[text]
	}
	p.Counts[len(values)-1] = s.Count(rest)
	return p
}

// CoOccurrence counts pairs of current values, of the installations active in
// the window that ends with to, today at most and yesterday at least. The public
// gets [collector.ErrNotPublic], unless v.Pairs is set.
func (e *Engine) CoOccurrence(ctx context.Context, app collector.AppNum, row, column string,
	window int, to collector.Day, v figures.View,
) (figures.CoOccurrence, error) {
	f, w, err := e.fleetWindow(app, window)
	switch {
	case err != nil:
		return figures.CoOccurrence{}, err
	case !v.Segment.Empty():
		return e.segmentPairs(ctx, f, row, column, w, to, v)
	case v.Public && !v.Pairs:
		return figures.CoOccurrence{}, collector.ErrNotPublic
	case v.Public:
		return e.publicPairs(f, row, column, v)
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	to = max(min(to, f.today), f.today-1)
	active := f.window(f.today, windowDays[w])
	if to < f.today {
		active = f.recentSpan(collector.Range{From: to - collector.Day(windowDays[w]) + 1, To: to}, activeOnly).active
	}
	co, err := f.pairs(row, column, window, to, active)
	co.Meta = f.meta(to, new(figures.Suppressor), active.Count(), activeText(window, to))
	co.Complete = false // values are those of now
	return co, err
}
