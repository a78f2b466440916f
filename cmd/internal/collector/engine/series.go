package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// meta gives what stands in every answer, of one about the days up to to.
func (f *fleet) meta(to collector.Day, s *figures.Suppressor, denominator uint64, of string) figures.Meta {
	m := figures.Meta{AsOf: f.asOf.UTC(), Complete: to < f.today, Denominator: s.Denominator(denominator), DenominatorOf: of, Suppressed: s.Suppressed}
	if to < f.today {
		m.AsOf = (to + 1).Time()
	} else if s.Public() {
		m.AsOf = time.Now().UTC().Truncate(time.Hour) // reports up to now are in it; when one came is not told
	} else if f.asOf.IsZero() {
		m.AsOf = f.today.Time()
	}
	return m
}

func active28(to collector.Day) string {
	return fmt.Sprintf("installations active in the 28 days to %s", to)
}

// Today gives the day that is counted now, and when an app was first counted.
func (c *Engine) Today(app collector.AppNum) (today, since collector.Day, err error) {
	f, err := c.fleet(app)
	if err != nil {
		return 0, 0, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.today, f.began(), nil
}

// Reported tells whether an app has ever counted an installation, even if it is forgotten by now. IDs that are not
// persisted, development versions, and totals that were imported are no installations.
func (c *Engine) Reported(app collector.AppNum) (bool, error) {
	f, err := c.fleet(app)
	if err != nil {
		return false, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.first) > 0, nil
}

// began gives the first day of which there are figures: that on which the app was added, or the first one loaded.
func (f *fleet) began() collector.Day {
	if len(f.first) > 0 {
		return min(f.app.Created, f.first[0].Day)
	}
	return f.app.Created
}

// days gives the totals of the days in a range, from the first day of the app to today. The day that is counted now is in
// it as it is at this moment, with what now gives of it, which is total or tally of the fleet; a closed day without a total is a
// gap.
func (c *Engine) days(ctx context.Context, f *fleet, r collector.Range, now func(collector.Day) dayTotal) ([]dayOf, error) {
	// The day may end meanwhile: what is open is looked at first, and its total then is as good.
	f.mu.RLock()
	today, first := f.today, f.began()
	var open *dayTotal
	if r.From <= today && today <= r.To {
		t := now(today)
		open = &t
	}
	f.mu.RUnlock()
	from, to := max(r.From, first), min(r.To, today)
	if to < from {
		return nil, nil
	}
	days := make([]dayOf, 0, to-from+1)
	for day := from; day <= to; day++ {
		days = append(days, dayOf{day: day, dayTotal: dayTotal{Gap: true}})
	}
	totals, err := c.totals(ctx, f, collector.Range{From: from, To: min(to, today-1)})
	if err != nil {
		return nil, err
	}
	for day, total := range totals {
		days[day-from].dayTotal = total
	}
	if open != nil {
		days[today-from] = dayOf{day: today, open: true, dayTotal: *open}
	}
	return days, nil
}

// A dayOf is the figures of one day.
type dayOf struct {
	day  collector.Day
	open bool
	dayTotal
}

// totals reads the totals of closed days.
func (c *Engine) totals(ctx context.Context, f *fleet, r collector.Range) (map[collector.Day]dayTotal, error) {
	return closed[dayTotal](ctx, c, f, kindTotal, "", r)
}

// Series gives the figures day by day, from the first day of the app on.
func (c *Engine) Series(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Series, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Series{}, err
	}
	if err := r.Validate(); err != nil {
		return figures.Series{}, err
	}
	days, err := c.days(ctx, f, r, f.total)
	if err != nil {
		return figures.Series{}, err
	}
	s := v.Suppressor()
	answer := figures.Series{Range: r, Points: make([]figures.SeriesPoint, 0, len(days))}
	var last dayOf
	for _, d := range days {
		answer.Points = append(answer.Points, seriesPoint(s, d))
		last = d
	}
	if last.Active[2] > 0 && s.Figure(last.Active[2]) != nil {
		answer.MedianAge = &last.MedianAge
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	answer.Meta = f.meta(r.To, s, last.Active[2], active28(min(r.To, f.today)))
	return answer, nil
}

// seriesPoint gives a day as it is shown.
func seriesPoint(s *figures.Suppressor, d dayOf) figures.SeriesPoint {
	if d.Gap {
		return figures.SeriesPoint{Day: d.day, Gap: true}
	}
	return figures.SeriesPoint{
		Day: d.day, Open: d.open,
		Active: s.Active(d.Active), Established: s.Active(d.Established),
		New: s.Count(d.New), Returning: s.Count(d.Returning), Lost: s.Count(d.Lost), Forgotten: s.Count(d.Counters.Forgotten),
		InMemory: s.Count(d.Counters.InMemory), Excluded: s.Count(d.Counters.Excluded),
	}
}
