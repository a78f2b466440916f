package collector

import "errors"

// A Grain is the width of a cohort: GrainDay, GrainWeek (Monday to Sunday) or GrainMonth.
type Grain string

// The grains.
const (
	GrainDay   Grain = "day"
	GrainWeek  Grain = "week"
	GrainMonth Grain = "month"
)

// ErrGrain says that a grain is not GrainDay, GrainWeek or GrainMonth.
var ErrGrain = errors.New("grain is not day, week or month")

// Next gives the first day of the period after the one that begins with from.
func (g Grain) Next(from Day) Day {
	switch g {
	case GrainWeek:
		return from + 7
	case GrainMonth:
		return from.NextMonth()
	}
	return from + 1
}

// Periods gives how many Periods after from the one is that begins with to; both are first days of Periods.
func (g Grain) Periods(from, to Day) int {
	switch g {
	case GrainWeek:
		return int(to-from) / 7
	case GrainMonth:
		a, b := from.Time(), to.Time()
		return (b.Year()-a.Year())*12 + int(b.Month()) - int(a.Month())
	}
	return int(to - from)
}

// EndsWith tells whether a period EndsWith with the day, and when it began.
func (g Grain) EndsWith(day Day) (from Day, ends bool) {
	from = g.Start(day)
	return from, g.Start(day+1) != from
}

// Start gives the first day of the period in which a day lies.
func (g Grain) Start(day Day) Day {
	switch g {
	case GrainWeek:
		return day.Week()
	case GrainMonth:
		return day.Month()
	}
	return day
}
