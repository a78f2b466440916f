package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/report"
)

// Errors about what is asked for.
var (
	// ErrWindow says that a window is not 1, 7, 28 or 30 days.
	ErrWindow = errors.New("window is not 1, 7, 28 or 30 days")
	// ErrDimension says that no installation of the app has a value of the dimension.
	ErrDimension = errors.New("unknown dimension")
	// ErrNoDay says that there are no figures of the day: it is before the app, in a gap, or yet to come.
	ErrNoDay = errors.New("no figures of that day")
)

func windowIndex(days int) (int, error) {
	if i := slices.Index(windowDays, days); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%w: %d", ErrWindow, days)
}

// Dimensions gives the names of all dimensions that any installation has a value of, in their order.
func (c *Collector) Dimensions(_ context.Context, app AppNum) ([]string, error) {
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
	day               Day
	active, reporting uint64
	counts            map[string]uint64
	found             bool
}

func newSplit(day Day, active uint64, counts map[string]uint64) splitOf {
	s := splitOf{day: day, active: active, counts: counts, found: true}
	for _, n := range counts {
		s.reporting += n
	}
	return s
}

// split gives the split of a dimension on a day, in a window by its index: as it is now for the open day, as it was written
// down for a closed one. Until the fleet is warm, the open day's is that of the day before, and current is false.
func (c *Collector) split(ctx context.Context, f *fleet, dimension string, day Day, window int) (s splitOf, current bool, err error) {
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
	totals, err := c.totals(ctx, f, Range{From: day, To: day})
	if err != nil {
		return s, current, err
	}
	total, ok := totals[day]
	if !ok || total.Gap {
		return splitOf{day: day}, current, nil
	}
	splits, err := closed[split](ctx, c, f, kindSplit, dimension, Range{From: day, To: day})
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
func (c *Collector) Breakdown(ctx context.Context, app AppNum, dimension string, window int, to Day, v View) (Breakdown, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Breakdown{}, err
	}
	w, err := windowIndex(window)
	if err != nil {
		return Breakdown{}, err
	}
	sp, current, err := c.split(ctx, f, dimension, to, w)
	switch {
	case err != nil:
		return Breakdown{}, err
	case !sp.found && current:
		return Breakdown{}, fmt.Errorf("%w: %s", ErrNoDay, to)
	}
	s := v.seal()
	b := Breakdown{
		Dimension: dimension, Window: window, To: sp.day,
		Active: s.count(sp.active), Reporting: s.count(sp.reporting), Values: s.values(sp.counts),
	}
	if isVersion(dimension) {
		slices.SortFunc(b.Values, func(x, y Value) int { return compareNewest(x.Value, y.Value) })
	}
	b.Meta = c.metaOf(f, sp.day, s, sp.active, fmt.Sprintf("installations active in the %d days to %s", window, sp.day))
	b.Complete = b.Complete && current
	return b, nil
}

func (c *Collector) metaOf(f *fleet, to Day, s *seal, denominator uint64, of string) Meta {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.meta(to, s, denominator, of)
}

func isVersion(dimension string) bool { return dimension == DimVersion || dimension == DimFirstVersion }

// compareNewest orders versions, the newest first; Other, which is none, is last.
func compareNewest(a, b string) int {
	if a == Other || b == Other {
		return cmp.Compare(boolInt(a == Other), boolInt(b == Other))
	}
	return cmp.Or(report.CompareVersions(b, a), cmp.Compare(b, a))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// MaxTop bounds the values of a [Trend] and the curves of a [Survival].
const MaxTop = 20

// Trend gives a breakdown day by day, with the top most frequent values: 1 to MaxTop; 0 is 8.
func (c *Collector) Trend(ctx context.Context, app AppNum, dimension string, window int, r Range, top int, v View) (Trend, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Trend{}, err
	}
	w, err := windowIndex(window)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Trend{}, err
	}
	days, splits, err := c.splitsOf(ctx, f, dimension, r, w)
	if err != nil {
		return Trend{}, err
	}
	s := v.seal()
	t := Trend{Range: r, Dimension: dimension, Window: window, Points: []TrendPoint{}}
	var last splitOf
	for _, d := range slices.Backward(days) {
		if last = splits[d.day]; last.found {
			break
		}
	}
	shown := make(map[string]uint64, len(last.counts))
	for text, n := range last.counts {
		if n = s.round(n); n > 0 { // the names of few are not told; they are in Other
			shown[text] = n
		}
	}
	t.Values = topValues(shown, top)
	for _, d := range days {
		t.Points = append(t.Points, s.trendPoint(d, splits[d.day], t.Values))
	}
	t.Meta = c.metaOf(f, r.To, s, last.active, fmt.Sprintf("installations active in the %d days to the last day", window))
	return t, nil
}

// splitsOf gives the days of a range, and the splits of those that have one, in a window by its index.
func (c *Collector) splitsOf(ctx context.Context, f *fleet, dimension string, r Range, window int) ([]dayOf, map[Day]splitOf, error) {
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil || len(days) == 0 {
		return nil, nil, err
	}
	f.mu.RLock()
	warm := f.warm
	f.mu.RUnlock()
	records, err := closed[split](ctx, c, f, kindSplit, dimension, Range{From: days[0].day, To: days[len(days)-1].day})
	if err != nil {
		return nil, nil, err
	}
	splits := make(map[Day]splitOf, len(days))
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

// topValues gives the most frequent values, and Other for the rest if there is one.
func topValues(counts map[string]uint64, top int) []string {
	top = min(cmp.Or(top, 8), MaxTop)
	values := make([]string, 0, len(counts))
	for text := range counts {
		if text != Other {
			values = append(values, text)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return append(values[:min(len(values), max(top, 0))], Other)
}

func (s *seal) trendPoint(d dayOf, sp splitOf, values []string) TrendPoint {
	p := TrendPoint{Day: d.day, Open: d.open, Gap: !sp.found, Counts: make([]Figure, len(values))}
	if p.Gap {
		return p
	}
	p.Active = s.count(sp.active)
	rest := sp.reporting
	for i, text := range values[:len(values)-1] {
		p.Counts[i] = s.count(sp.counts[text])
		rest -= sp.counts[text]
	}
	p.Counts[len(values)-1] = s.count(rest)
	return p
}

// MaxPairs bounds the values of each side of a [CoOccurrence].
const MaxPairs = 12

// CoOccurrence counts pairs of values now: of the installations active in the window that ends today.
func (c *Collector) CoOccurrence(_ context.Context, app AppNum, row, column string, window int, v View) (CoOccurrence, error) {
	f, err := c.fleet(app)
	if err != nil {
		return CoOccurrence{}, err
	}
	w, err := windowIndex(window)
	if err != nil {
		return CoOccurrence{}, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	rows, columns := f.dims.get(row), f.dims.get(column)
	switch {
	case rows == nil:
		return CoOccurrence{}, fmt.Errorf("%w: %s", ErrDimension, row)
	case columns == nil:
		return CoOccurrence{}, fmt.Errorf("%w: %s", ErrDimension, column)
	}
	active := f.windowNow(f.today, w)
	s := v.seal()
	co := CoOccurrence{Row: row, Column: column, Window: window, To: f.today, Counts: [][]Figure{}}
	co.Rows, co.Columns = rows.mostIn(active, s), columns.mostIn(active, s)
	for _, r := range co.Rows {
		line := make([]Figure, len(co.Columns))
		both := bits.Intersection(active, rows.sets[rows.byText[r]])
		for i, column := range co.Columns {
			line[i] = s.count(bits.CountBoth(both, columns.sets[columns.byText[column]]))
		}
		co.Counts = append(co.Counts, line)
	}
	co.Meta = f.meta(f.today, s, active.Count(), fmt.Sprintf("installations active in the %d days to %s", window, f.today))
	return co, nil
}

// mostIn gives the most frequent values among some installations.
func (d *dimension) mostIn(active *bits.Set, s *seal) []string {
	counts := d.counts(active)
	texts := make([]string, 0, len(counts))
	for text, n := range counts {
		if counts[text] = s.round(n); counts[text] > 0 {
			texts = append(texts, text)
		}
	}
	slices.SortFunc(texts, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return texts[:min(len(texts), MaxPairs)]
}
