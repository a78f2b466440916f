package collector

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrRange says that a range ends before it begins, or has more than MaxRangeDays days.
var ErrRange = errors.New("range is not one of 1 to 3660 days")

func (r Range) check() error {
	if r.To < r.From || int64(r.To)-int64(r.From) >= MaxRangeDays {
		return fmt.Errorf("%w: %s to %s", ErrRange, r.From, r.To)
	}
	return nil
}

// meta gives what stands in every answer, of one about the days up to to.
func (f *fleet) meta(to Day, s *seal, denominator uint64, of string) Meta {
	m := Meta{AsOf: f.asOf.UTC(), Complete: to < f.today, Denominator: s.denominator(denominator), DenominatorOf: of, Suppressed: s.hidden}
	if to < f.today {
		m.AsOf = (to + 1).Time()
	} else if s.k > 0 {
		m.AsOf = time.Now().UTC().Truncate(time.Hour) // reports up to now are in it; when one came is not told
	} else if f.asOf.IsZero() {
		m.AsOf = f.today.Time()
	}
	return m
}

func active28(to Day) string { return fmt.Sprintf("installations active in the 28 days to %s", to) }

// Today gives the day that is counted now, and when an app was first counted.
func (c *Collector) Today(app AppNum) (today, since Day, err error) {
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
func (c *Collector) Reported(app AppNum) (bool, error) {
	f, err := c.fleet(app)
	if err != nil {
		return false, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.first) > 0, nil
}

// began gives the first day of which there are figures: that on which the app was added, or the first one loaded.
func (f *fleet) began() Day {
	if len(f.first) > 0 {
		return min(f.app.Created, f.first[0].Day)
	}
	return f.app.Created
}

// days gives the totals of the days in a range, from the first day of the app to today. The day that is counted now is in
// it as it is at this moment, with what now gives of it, which is total or tally of the fleet; a closed day without a total is a
// gap.
func (c *Collector) days(ctx context.Context, f *fleet, r Range, now func(Day) dayTotal) ([]dayOf, error) {
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
	totals, err := c.totals(ctx, f, Range{From: from, To: min(to, today-1)})
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
	day  Day
	open bool
	dayTotal
}

// totals reads the totals of closed days.
func (c *Collector) totals(ctx context.Context, f *fleet, r Range) (map[Day]dayTotal, error) {
	return closed[dayTotal](ctx, c, f, kindTotal, "", r)
}

// Series gives the figures day by day, from the first day of the app on.
func (c *Collector) Series(ctx context.Context, app AppNum, r Range, v View) (Series, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Series{}, err
	}
	if err := r.check(); err != nil {
		return Series{}, err
	}
	days, err := c.days(ctx, f, r, f.total)
	if err != nil {
		return Series{}, err
	}
	s := v.seal()
	answer := Series{Range: r, Points: make([]SeriesPoint, 0, len(days))}
	var last dayOf
	for _, d := range days {
		answer.Points = append(answer.Points, s.point(d))
		last = d
	}
	if last.Active[2] > 0 && s.countQuietly(last.Active[2]) != nil {
		answer.MedianAge = &last.MedianAge
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	answer.Meta = f.meta(r.To, s, last.Active[2], active28(min(r.To, f.today)))
	return answer, nil
}

// point gives a day as it is shown.
func (s *seal) point(d dayOf) SeriesPoint {
	if d.Gap {
		return SeriesPoint{Day: d.day, Gap: true}
	}
	return SeriesPoint{
		Day: d.day, Open: d.open,
		Active: s.active(d.Active), Established: s.active(d.Established),
		New: s.count(d.New), Returning: s.count(d.Returning), Lost: s.count(d.Lost), Forgotten: s.count(d.Counters.Forgotten),
		InMemory: s.count(d.Counters.InMemory), Excluded: s.count(d.Counters.Excluded),
	}
}
