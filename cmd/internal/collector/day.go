package collector

import (
	"errors"
	"fmt"
	"time"
)

// A Day is a day in UTC, as the number of days since 1970-01-01. As text it is
// 2006-01-02.
type Day int32

const secondsPerDay = 24 * 60 * 60

// DayOf returns the day that t falls on.
func DayOf(t time.Time) Day {
	seconds := t.Unix()
	day := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		day--
	}
	return Day(day)
}

// ParseDay parses the form that [Day.String] returns.
func ParseDay(text string) (Day, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("day %q is not of the form 2006-01-02", text)
	}
	return DayOf(t), nil
}

// Time returns the moment the day begins.
func (d Day) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String returns the day as 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// MarshalText implements [encoding.TextMarshaler].
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Day) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDay(string(text))
	return err
}

// Week returns the Monday of the day's week, as in ISO 8601.
func (d Day) Week() Day { return d - (d+3)%7 } // 1970-01-01 was a Thursday

// Month returns the first day of the day's month.
func (d Day) Month() Day {
	t := d.Time()
	return DayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
}

// A Range is the days From to To, both included.
type Range struct {
	From Day `json:"from"`
	To   Day `json:"to"`
}

// MaxRangeDays is the largest number of days that a query may span.
const MaxRangeDays = 3660

// Errors of queries about days.
var (
	// ErrRange means that a range is empty or exceeds MaxRangeDays.
	ErrRange = errors.New("range is not one of 1 to 3660 days")
	// ErrNoDay means that the day has no figures: it precedes the app, lies in
	// a gap, or is yet to come.
	ErrNoDay = errors.New("no figures of that day")
)

// Validate returns ErrRange unless r has 1 to MaxRangeDays days.
func (r Range) Validate() error {
	if r.To < r.From || int64(r.To)-int64(r.From) >= MaxRangeDays {
		return fmt.Errorf("%w: %s to %s", ErrRange, r.From, r.To)
	}
	return nil
}
