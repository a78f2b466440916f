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

// The public sees what the records of the last days of windows say of established
// installations; see docs/decisions/0035-public-windows.md. All of its figures are
// made from the counts that publicTotal, publicSplit and publicFaults round.

// suppressor returns the suppressor of an answer about an app.
func (e *Engine) suppressor(f *fleet, v figures.View) *figures.Suppressor {
	return v.Suppressor(func(cell string) uint64 { return e.keys.Number(f.key, cell) })
}

// cell names what is counted in the window that ends with a day.
func cell(day collector.Day, of string) string { return day.String() + "\x00" + of }

// publicDay returns the last day of the latest public window that was over on a
// day; false if the app was not there yet.
func (f *fleet) publicDay(to collector.Day) (day collector.Day, ok bool) {
	day = collector.LastPublicDay(min(to, f.today-1))
	return day, day >= f.since()
}

func (f *fleet) lockedPublicDay(to collector.Day) (day collector.Day, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.publicDay(to)
}

// publicRange returns a range that begins early enough for the latest window that
// ends in it, or before it.
func (f *fleet) publicRange(r collector.Range) collector.Range {
	last, _ := f.lockedPublicDay(r.To)
	return collector.Range{From: min(r.From, last), To: last}
}

// publicTotals returns the figures of the last days of windows in a range, in
// which only the established installations of 28 days are set.
func (e *Engine) publicTotals(ctx context.Context, f *fleet, s *figures.Suppressor, r collector.Range) ([]dayFigures, error) {
	totals, err := closed[dayTotal](ctx, e, f, kindTotal, "", r)
	if err != nil {
		return nil, err
	}
	var days []dayFigures
	for day := range totals {
		if _, ok := f.lockedPublicDay(day); !ok || collector.LastPublicDay(day) != day {
			continue
		}
		d := dayFigures{day: day}
		d.Established[window28] = s.Round(cell(day, ""), totals[day].Established[window28])
		d.Active[window28] = d.Established[window28]
		days = append(days, d)
	}
	slices.SortFunc(days, func(a, b dayFigures) int { return cmp.Compare(a.day, b.day) })
	return days, nil
}

// publicSplits returns the public splits of a dimension in a range, like
// [Engine.splits].
func (e *Engine) publicSplits(ctx context.Context, f *fleet, s *figures.Suppressor, dimension string,
	r collector.Range,
) ([]dayFigures, map[collector.Day]daySplit, error) {
	days, err := e.publicTotals(ctx, f, s, r)
	if err != nil || len(days) == 0 {
		return nil, nil, err
	}
	written, err := closed[split](ctx, e, f, kindSplit, dimension, collector.Range{From: days[0].day, To: days[len(days)-1].day})
	if err != nil {
		return nil, nil, err
	}
	splits := make(map[collector.Day]daySplit, len(days))
	for _, d := range days {
		counts, reporting := make(map[string]uint64), uint64(0)
		for text, n := range written[d.day].Public {
			counts[collector.Canonical(dimension, text)] += n
			reporting += n
		}
		sp := newDaySplit(d.day, d.Active[window28], s.RoundValues(cell(d.day, dimension), counts))
		sp.reporting = max(sp.reporting, s.Round(cell(d.day, "reporting "+dimension), reporting))
		splits[d.day] = sp
	}
	return days, splits, nil
}

// publicSplit returns the public split of a dimension in the latest window that
// was over on a day.
func (e *Engine) publicSplit(ctx context.Context, f *fleet, s *figures.Suppressor, dimension string, to collector.Day) (daySplit, error) {
	day, _ := f.lockedPublicDay(to)
	_, splits, err := e.publicSplits(ctx, f, s, dimension, collector.Range{From: day, To: day})
	if sp, ok := splits[day]; ok {
		return sp, err
	}
	return daySplit{day: day, current: true}, err
}

// publicDimensions returns the dimensions with a value that the public may see.
func (e *Engine) publicDimensions(ctx context.Context, f *fleet, v figures.View) ([]string, error) {
	f.mu.RLock()
	all, today := f.dims.sorted(), f.today
	f.mu.RUnlock()
	s := e.suppressor(f, v)
	names := []string{}
	for _, d := range all {
		sp, err := e.publicSplit(ctx, f, s, d.name, today)
		if err != nil {
			return nil, err
		}
		if len(sp.counts) > 0 {
			names = append(names, d.name)
		}
	}
	return names, nil
}

// publicSeries has the established installations of each window.
func (e *Engine) publicSeries(ctx context.Context, f *fleet, r collector.Range, v figures.View) (figures.Series, error) {
	s := e.suppressor(f, v)
	days, err := e.publicTotals(ctx, f, s, f.publicRange(r))
	if err != nil {
		return figures.Series{}, err
	}
	answer := figures.Series{Range: r, Points: make([]figures.SeriesPoint, 0, len(days))}
	var last uint64
	for _, d := range days {
		last = d.Active[window28]
		shown := s.Count(last)
		answer.Points = append(answer.Points, figures.SeriesPoint{
			Day: d.day, Active: figures.Active{Days28: shown}, Established: figures.Active{Days28: shown},
		})
	}
	to, _ := f.lockedPublicDay(r.To)
	answer.Meta = f.lockedMeta(to, s, last, activeText(collector.PublicDays, to))
	return answer, nil
}

// publicFaults has the faults that established installations reported in the
// latest window.
func (e *Engine) publicFaults(ctx context.Context, f *fleet, r collector.Range, v figures.View) (figures.Faults, error) {
	s := e.suppressor(f, v)
	day, _ := f.lockedPublicDay(r.To)
	total, err := e.publicTotals(ctx, f, s, collector.Range{From: day, To: day})
	if err != nil {
		return figures.Faults{}, err
	}
	answer := figures.Faults{Range: collector.Range{From: day - collector.PublicDays + 1, To: day}, Faults: []figures.Fault{}}
	affected := make(map[string]uint64)
	if len(total) > 0 {
		err = eachRecord(ctx, e.store, kindFaultDay, f.num, collector.Range{From: day, To: day}, func(r collector.Record) error {
			var d faultDay
			err := decodeRecord(r, &d)
			affected[r.Name] = s.Round(cell(day, "fault/"+r.Name), d.Public)
			return err
		})
		if err != nil {
			return figures.Faults{}, err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for id, n := range affected {
		if fault := f.faults[id]; fault != nil && n > 0 {
			answer.Faults = append(answer.Faults, figures.Fault{
				ID: id, Source: fault.Source, Component: fault.Component, Reason: fault.Reason, Stage: fault.Stage, Severity: fault.Severity,
				Affected: &n, Versions: []figures.FaultVersion{}, Status: cmp.Or(fault.Status, collector.FaultOpen), FixedIn: fault.FixedIn,
			})
		}
	}
	sortFaults(answer.Faults)
	var active uint64
	for _, d := range total {
		active = d.Active[window28]
	}
	answer.Meta = f.meta(day, s, active, activeText(collector.PublicDays, day))
	return answer, nil
}

// publicPairs is CoOccurrence for the public, if the maintainer asked for it: of
// the established installations active in the 28 days to yesterday.
func (e *Engine) publicPairs(f *fleet, row, column string, v figures.View) (figures.CoOccurrence, error) {
	s := e.suppressor(f, v)
	f.mu.RLock()
	defer f.mu.RUnlock()
	day := f.today - 1
	active := bits.Intersection(f.recentSpan(collector.Range{From: day - collector.PublicDays + 1, To: day}, activeOnly).active, f.established)
	co := figures.CoOccurrence{Row: row, Column: column, Window: collector.PublicDays, To: day, Counts: [][]figures.Count{}}
	rows, columns := f.dims.get(row), f.dims.get(column)
	for _, side := range []struct {
		name  string
		d     *dimension
		texts *[]string
	}{{row, rows, &co.Rows}, {column, columns, &co.Columns}} {
		counts := s.RoundValues(cell(day, side.name), side.d.counts(active))
		delete(counts, collector.Other)
		if len(counts) == 0 && isFact(side.name) {
			return figures.CoOccurrence{}, fmt.Errorf("%w: %s", collector.ErrDimension, side.name)
		}
		*side.texts = figures.Top(counts, figures.MaxPairs)
	}
	for _, r := range co.Rows {
		line := make([]figures.Count, len(co.Columns))
		both := bits.Intersection(active, rows.byText[r].set)
		for i, c := range co.Columns {
			n := bits.CountBoth(both, columns.byText[c].set)
			line[i] = s.Count(s.Round(cell(day, row+"\x00"+r+"\x00"+column+"\x00"+c), n))
		}
		co.Counts = append(co.Counts, line)
	}
	co.Meta = f.meta(day, s, s.Round(cell(day, ""), active.Count()), activeText(collector.PublicDays, day))
	return co, nil
}
