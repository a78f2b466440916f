package collector

import (
	"errors"
	"fmt"
	"slices"
)

// A Grain is the width of a cohort: GrainDay, GrainWeek (Monday to Sunday) or
// GrainMonth.
type Grain string

// The grains.
const (
	GrainDay   Grain = "day"
	GrainWeek  Grain = "week"
	GrainMonth Grain = "month"
)

// ErrGrain means that a grain is not GrainDay, GrainWeek or GrainMonth.
var ErrGrain = errors.New("grain is not day, week or month")

// Validate returns ErrGrain unless g is one of the grains.
func (g Grain) Validate() error {
	if g != GrainDay && g != GrainWeek && g != GrainMonth {
		return fmt.Errorf("%w: %q", ErrGrain, g)
	}
	return nil
}

// Start returns the first day of the period that contains day.
func (g Grain) Start(day Day) Day {
	switch g {
	case GrainWeek:
		return day.Week()
	case GrainMonth:
		return day.Month()
	}
	return day
}

// Next returns the first day of the period after the one that begins with from.
func (g Grain) Next(from Day) Day {
	switch g {
	case GrainWeek:
		return from + 7
	case GrainMonth:
		return (from + 31).Month()
	}
	return from + 1
}

// Periods returns how many periods lie between the one that begins with from
// and the one that begins with to.
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

// Windows returns the lengths, in days, of the windows that active
// installations are counted in.
func Windows() [4]int { return [4]int{1, 7, 28, 30} }

// ErrWindow means that a window is not 1, 7, 28 or 30 days.
var ErrWindow = errors.New("window is not 1, 7, 28 or 30 days")

// WindowIndex returns the index in [Windows] of a window of that many days, or
// ErrWindow.
func WindowIndex(days int) (int, error) {
	windows := Windows()
	if i := slices.Index(windows[:], days); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%w: %d", ErrWindow, days)
}

// PublicDays is the length of the windows that public figures cover. They follow
// each other without overlap, begin on a Monday, and are the same for all apps.
const PublicDays = 28

// LastPublicDay returns the last day of the latest public window that ends with
// a day or before it; days count from 1970 on.
func LastPublicDay(day Day) Day {
	after := day + 1
	return after - (after+3)%PublicDays - 1 // 1970-01-01 was a Thursday
}
