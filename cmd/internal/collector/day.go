package collector

import (
	"fmt"
	"time"
)

// A Day is a day in UTC, as the number of days since 1970-01-01. As text it is 2006-01-02.
type Day int32

// DayOf gives the day in which t lies.
func DayOf(t time.Time) Day {
	seconds := t.Unix()
	day := seconds / secondsPerDay
	if seconds%secondsPerDay < 0 {
		day--
	}
	return Day(day)
}

const secondsPerDay = 24 * 60 * 60

// ParseDay reads the form that [Day.String] gives.
func ParseDay(text string) (Day, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0, fmt.Errorf("day %q is not of the form 2006-01-02", text)
	}
	return DayOf(t), nil
}

// Time gives the moment at which the day begins.
func (d Day) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String gives the day as 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// MarshalText implements [encoding.TextMarshaler].
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Day) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDay(string(text))
	return err
}

// Week gives the Monday of the day's week, as ISO 8601 has it.
func (d Day) Week() Day { return d - (d+3)%7 } // 1970-01-01 was a Thursday

// Month gives the first day of the day's month.
func (d Day) Month() Day {
	t := d.Time()
	return DayOf(time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC))
}

// NextMonth gives the first day of the month after the day's.
func (d Day) NextMonth() Day {
	t := d.Time()
	return DayOf(time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC))
}
