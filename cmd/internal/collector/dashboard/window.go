package dashboard

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// All figures of a page are of one window, which ends with the last closed day.
// Charts may also show the day in progress, as what it is. A change compares the
// window with one of the same length and the same weekdays before it.

// week is how many days a comparison moves by, so that weekdays stay the same.
const week = 7

// before returns the window that a window is compared with.
func before(w collector.Range) collector.Range {
	shift := (w.To - w.From + 1 + week - 1) / week * week
	return collector.Range{From: w.From - shift, To: w.To - shift}
}

// lastClosed returns the day that windows end with: the last one that is over and
// has figures, within a week. On the first day with a report it is that day.
func (d *dashboard) lastClosed(ctx context.Context, v view) (collector.Day, error) {
	if v.sees.Public {
		return v.today - 1, nil
	}
	if v.since >= v.today {
		return v.today, nil
	}
	past, err := d.c.Series(ctx, v.app.Num, collector.Range{From: max(v.since, v.today-week), To: v.today - 1}, v.sees)
	if err != nil {
		return 0, err
	}
	last := v.today - 1
	for i := len(past.Points) - 1; i >= 0; i-- {
		if p := past.Points[i]; !p.Gap {
			if orZero(p.Active.Days28) > 0 {
				return p.Day, nil
			}
			last = p.Day
			break
		}
	}
	now, err := d.c.Series(ctx, v.app.Num, collector.Range{From: v.today, To: v.today}, v.sees)
	if err == nil && len(now.Points) > 0 && orZero(now.Points[0].Active.Days28) > 0 {
		last = v.today
	}
	return last, err
}

// drawn returns the days that charts show: the window, and the days after it up to
// today if the window is the latest.
func (v view) drawn() collector.Range {
	return collector.Range{From: v.span.From, To: max(v.span.To, v.upTo)}
}

// days names a range, without the year if it is this one.
func (v view) days(r collector.Range) string { return daysText(r, v.today) }

func daysText(r collector.Range, today collector.Day) string {
	from, to := dayText(r.From, today), dayText(r.To, today)
	if r.From == r.To {
		return to
	}
	return from + " – " + to
}

// dayText names a day, without the year if it is that of today.
func dayText(day, today collector.Day) string {
	t := day.Time()
	if t.Year() == today.Time().Year() {
		return t.Format("2 Jan")
	}
	return t.Format("2 Jan 2006")
}

// weekdayText names a day with its weekday.
func weekdayText(day collector.Day) string { return day.Time().Format("Mon 2 Jan 2006") }

// upToText names the days that end with a day and have a length.
func upToText(length int, day collector.Day) string {
	if length == 1 {
		return weekdayText(day)
	}
	return fmt.Sprintf("%d days to %s", length, weekdayText(day))
}

// closed returns the points of a window.
func within(points []figures.SeriesPoint, r collector.Range) []figures.SeriesPoint {
	var inside []figures.SeriesPoint
	for _, p := range points {
		if r.From <= p.Day && p.Day <= r.To {
			inside = append(inside, p)
		}
	}
	return inside
}
