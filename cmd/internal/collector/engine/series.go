package engine

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// meta returns the part that every answer has. To is the last day it covers.
func (f *fleet) meta(to collector.Day, s *figures.Suppressor, denominator uint64, of string) figures.Meta {
	m := figures.Meta{
		AsOf: f.asOf.UTC(), Complete: to < f.today, Denominator: denominator, DenominatorOf: of, Suppressed: s.Suppressed,
	}
	if s.Public() {
		m.Next = collector.LastPublicDay(f.today-1) + collector.PublicDays + 1
	}
	switch {
	case m.Complete:
		m.AsOf = (to + 1).Time()
	case f.asOf.IsZero():
		m.AsOf = f.today.Time()
	}
	return m
}

// lockedMeta is meta for callers that do not hold f.mu.
func (f *fleet) lockedMeta(to collector.Day, s *figures.Suppressor, denominator uint64, of string) figures.Meta {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.meta(to, s, denominator, of)
}

// activeText describes the denominator of an answer.
func activeText(days int, to collector.Day) string {
	return fmt.Sprintf("installations active in the %d days to %s", days, to)
}

// A dayFigures is the figures of one day.
type dayFigures struct {
	day  collector.Day
	open bool
	dayTotal
}

// days returns the figures of a range, from the app's first day to today. Open
// returns those of today. A closed day without a total is a gap.
func (e *Engine) days(ctx context.Context, f *fleet, r collector.Range, open func(*fleet) dayTotal) ([]dayFigures, error) {
	// If the day ends meanwhile, the figures that are read first will do.
	f.mu.RLock()
	today := f.today
	r = collector.Range{From: max(r.From, f.since()), To: min(r.To, today)}
	var current dayTotal
	if r.From <= today && today <= r.To {
		current = open(f)
	}
	f.mu.RUnlock()
	if r.To < r.From {
		return nil, nil
	}
	totals, err := closed[dayTotal](ctx, e, f, kindTotal, "", collector.Range{From: r.From, To: min(r.To, today-1)})
	if err != nil {
		return nil, err
	}
	days := make([]dayFigures, 0, r.To-r.From+1)
	for day := r.From; day <= r.To; day++ {
		total, ok := totals[day]
		if !ok {
			total.Gap = true
		}
		if day == today {
			total = current
		}
		days = append(days, dayFigures{day: day, open: day == today, dayTotal: total})
	}
	return days, nil
}

// Series returns the figures day by day, from the app's first day on. For the
// public it has the last days of windows. For a segment it has the days whose
// windows are known.
func (e *Engine) Series(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Series, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Series{}, err
	}
	if !v.Segment.Empty() {
		return e.segmentSeries(ctx, f, r, v)
	}
	if v.Public {
		return e.publicSeries(ctx, f, r, v)
	}
	days, err := e.days(ctx, f, r, (*fleet).total)
	if err != nil {
		return figures.Series{}, err
	}
	answer := figures.Series{Range: r, Points: make([]figures.SeriesPoint, 0, len(days))}
	var last dayFigures
	for _, d := range days {
		answer.Points = append(answer.Points, seriesPoint(d))
		last = d
	}
	if last.Active[window28] > 0 {
		answer.MedianAge = &last.MedianAge
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	answer.Meta = f.meta(r.To, e.suppressor(f, v), last.Active[window28], activeText(28, min(r.To, f.today)))
	return answer, nil
}

// fleetIn returns the fleet of an app, for a question about a valid range.
func (e *Engine) fleetIn(app collector.AppNum, r collector.Range) (*fleet, error) {
	f, err := e.fleet(app)
	if err == nil {
		err = r.Validate()
	}
	return f, err
}

// seriesPoint returns a day as it is shown.
func seriesPoint(d dayFigures) figures.SeriesPoint {
	if d.Gap {
		return figures.SeriesPoint{Day: d.day, Gap: true}
	}
	active := func(n [4]uint64) figures.Active {
		return figures.Active{Day: &n[0], Week: &n[1], Days28: &n[2], Days30: &n[3]}
	}
	return figures.SeriesPoint{
		Day: d.day, Open: d.open, Active: active(d.Active), Established: active(d.Established),
		New: &d.New, Returning: &d.Returning, Lost: &d.Lost, Forgotten: &d.Counters.Forgotten,
		InMemory: &d.Counters.InMemory, Excluded: &d.Counters.Excluded,
	}
}
