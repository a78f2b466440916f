package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Dimensions gives the names of all dimensions that any installation has a value of, in their order.
func (c *Engine) Dimensions(_ context.Context, app collector.AppNum) ([]string, error) {
	f, err := c.fleet(app)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	names := []string{}
	for _, d := range f.dims.dims {
		if d != nil && len(d.byText) > 0 {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// A splitOf is the split of one dimension in one window that ends with a day. Active is how many are active in it, and
// reporting how many of them report the dimension: an installation has one value at most.
type splitOf struct {
	day               collector.Day
	active, reporting uint64
	counts            map[string]uint64
	found             bool
}

func newSplit(day collector.Day, active uint64, counts map[string]uint64) splitOf {
	s := splitOf{day: day, active: active, counts: counts, found: true}
	for _, n := range counts {
		s.reporting += n
	}
	return s
}

// split gives the split of a dimension on a day, in a window by its index: as it is now for the open day, as it was written
// down for a closed one. Until the fleet is warm, the open day's is that of the day before, and current is false.
func (c *Engine) split(ctx context.Context, f *fleet, dimension string, day collector.Day, window int) (s splitOf, current bool, err error) {
	f.mu.RLock()
	today := f.today
	if day == today && f.warm {
		defer f.mu.RUnlock()
		set := f.windowNow(day, window)
		return newSplit(day, set.Count(), f.dims.get(dimension).counts(set)), true, nil
	}
	f.mu.RUnlock()
	current = day != today
	if !current {
		day--
	}
	totals, err := c.totals(ctx, f, collector.Range{From: day, To: day})
	if err != nil {
		return s, current, err
	}
	total, ok := totals[day]
	if !ok || total.Gap {
		return splitOf{day: day}, current, nil
	}
	splits, err := closed[split](ctx, c, f, kindSplit, dimension, collector.Range{From: day, To: day})
	return newSplit(day, total.Active[window], splits[day].counts(window)), current, err
}

// counts gives the counts by value in one window.
func (s split) counts(window int) map[string]uint64 {
	counts := make(map[string]uint64, len(s.Values))
	for text, n := range s.Values {
		if n[window] > 0 {
			counts[text] = n[window]
		}
	}
	return counts
}

// Breakdown splits the installations active in the window of that many days (1, 7, 28 or 30) that ends with to. For a
// closed day it is what was written down when it was closed. An app without the dimension has no values of it.
func (c *Engine) Breakdown(ctx context.Context, app collector.AppNum, dimension string, window int, to collector.Day, v figures.View) (figures.Breakdown, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Breakdown{}, err
	}
	w, err := collector.WindowIndex(window)
	if err != nil {
		return figures.Breakdown{}, err
	}
	sp, current, err := c.split(ctx, f, dimension, to, w)
	switch {
	case err != nil:
		return figures.Breakdown{}, err
	case !sp.found && current:
		return figures.Breakdown{}, fmt.Errorf("%w: %s", collector.ErrNoDay, to)
	}
	s := v.Suppressor()
	b := figures.Breakdown{
		Dimension: dimension, Window: window, To: sp.day,
		Active: s.Count(sp.active), Reporting: s.Count(sp.reporting), Values: s.Values(sp.counts),
	}
	if isVersion(dimension) {
		slices.SortFunc(b.Values, func(x, y figures.Value) int { return figures.CompareNewest(x.Value, y.Value) })
	}
	b.Meta = c.metaOf(f, sp.day, s, sp.active, fmt.Sprintf("installations active in the %d days to %s", window, sp.day))
	b.Complete = b.Complete && current
	return b, nil
}

func (c *Engine) metaOf(f *fleet, to collector.Day, s *figures.Suppressor, denominator uint64, of string) figures.Meta {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.meta(to, s, denominator, of)
}

func isVersion(dimension string) bool {
	return dimension == collector.DimVersion || dimension == collector.DimFirstVersion
}

// Trend gives a breakdown day by day, with the top most frequent values: 1 to MaxTop; 0 is 8.
func (c *Engine) Trend(ctx context.Context, app collector.AppNum, dimension string, window int, r collector.Range, top int, v figures.View) (figures.Trend, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Trend{}, err
	}
	w, err := collector.WindowIndex(window)
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return figures.Trend{}, err
	}
	days, splits, err := c.splitsOf(ctx, f, dimension, r, w)
	if err != nil {
		return figures.Trend{}, err
	}
	s := v.Suppressor()
	t := figures.Trend{Range: r, Dimension: dimension, Window: window, Points: []figures.TrendPoint{}}
	var last splitOf
	for _, d := range slices.Backward(days) {
		if last = splits[d.day]; last.found {
			break
		}
	}
	shown := make(map[string]uint64, len(last.counts))
	for text, n := range last.counts {
		if n = s.Round(n); n > 0 { // the names of few are not told; they are in Other
			shown[text] = n
		}
	}
	t.Values = figures.TopValues(shown, top)
	for _, d := range days {
		t.Points = append(t.Points, trendPoint(s, d, splits[d.day], t.Values))
	}
	t.Meta = c.metaOf(f, r.To, s, last.active, fmt.Sprintf("installations active in the %d days to the last day", window))
	return t, nil
}

// splitsOf gives the days of a range, and the splits of those that have one, in a window by its index.
func (c *Engine) splitsOf(ctx context.Context, f *fleet, dimension string, r collector.Range, window int) ([]dayOf, map[collector.Day]splitOf, error) {
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil || len(days) == 0 {
		return nil, nil, err
	}
	f.mu.RLock()
	warm := f.warm
	f.mu.RUnlock()
	records, err := closed[split](ctx, c, f, kindSplit, dimension, collector.Range{From: days[0].day, To: days[len(days)-1].day})
	if err != nil {
		return nil, nil, err
	}
	splits := make(map[collector.Day]splitOf, len(days))
	for _, d := range days {
		if d.open {
			sp, current, err := c.split(ctx, f, dimension, d.day, window)
			if err != nil {
				return nil, nil, err
			}
			if current && sp.found {
				splits[d.day] = sp
			}
			continue
		}
		// Without a record nobody reported the dimension, or the day was closed before the rows were read.
		if record, ok := records[d.day]; !d.Gap && (ok || warm) {
			splits[d.day] = newSplit(d.day, d.Active[window], record.counts(window))
		}
	}
	return days, splits, nil
}

func trendPoint(s *figures.Suppressor, d dayOf, sp splitOf, values []string) figures.TrendPoint {
	p := figures.TrendPoint{Day: d.day, Open: d.open, Gap: !sp.found, Counts: make([]figures.Count, len(values))}
	if p.Gap {
		return p
	}
	p.Active = s.Count(sp.active)
	rest := sp.reporting
	for i, text := range values[:len(values)-1] {
		p.Counts[i] = s.Count(sp.counts[text])
		rest -= sp.counts[text]
	}
	p.Counts[len(values)-1] = s.Count(rest)
	return p
}

// CoOccurrence counts pairs of values now: of the installations active in the window that ends today.
func (c *Engine) CoOccurrence(_ context.Context, app collector.AppNum, row, column string, window int, v figures.View) (figures.CoOccurrence, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.CoOccurrence{}, err
	}
	w, err := collector.WindowIndex(window)
	if err != nil {
		return figures.CoOccurrence{}, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	rows, columns := f.dims.get(row), f.dims.get(column)
	switch {
	case rows == nil:
		return figures.CoOccurrence{}, fmt.Errorf("%w: %s", collector.ErrDimension, row)
	case columns == nil:
		return figures.CoOccurrence{}, fmt.Errorf("%w: %s", collector.ErrDimension, column)
	}
	active := f.windowNow(f.today, w)
	s := v.Suppressor()
	co := figures.CoOccurrence{Row: row, Column: column, Window: window, To: f.today, Counts: [][]figures.Count{}}
	co.Rows, co.Columns = rows.mostIn(active, s), columns.mostIn(active, s)
	for _, r := range co.Rows {
		line := make([]figures.Count, len(co.Columns))
		both := bits.Intersection(active, rows.sets[rows.byText[r]])
		for i, column := range co.Columns {
			line[i] = s.Count(bits.CountBoth(both, columns.sets[columns.byText[column]]))
		}
		co.Counts = append(co.Counts, line)
	}
	co.Meta = f.meta(f.today, s, active.Count(), fmt.Sprintf("installations active in the %d days to %s", window, f.today))
	return co, nil
}

// mostIn gives the most frequent values among some installations.
func (d *dimension) mostIn(active *bits.Set, s *figures.Suppressor) []string {
	counts := d.counts(active)
	texts := make([]string, 0, len(counts))
	for text, n := range counts {
		if counts[text] = s.Round(n); counts[text] > 0 {
			texts = append(texts, text)
		}
	}
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return texts[:min(len(texts), figures.MaxPairs)]
}
