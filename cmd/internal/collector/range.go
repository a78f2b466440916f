package collector

import (
	"errors"
	"fmt"
)

// A Range is the days from From to To, both of them included.
type Range struct {
	From Day `json:"from"`
	To   Day `json:"to"`
}

// MaxRangeDays bounds the days of a [Range] that can be asked for.
const MaxRangeDays = 3660

// ErrRange says that a range ends before it begins, or has more than MaxRangeDays days.
var ErrRange = errors.New("range is not one of 1 to 3660 days")

func (r Range) Validate() error {
	if r.To < r.From || int64(r.To)-int64(r.From) >= MaxRangeDays {
		return fmt.Errorf("%w: %s to %s", ErrRange, r.From, r.To)
	}
	return nil
}

// ErrNoDay says that there are no figures of the day: it is before the app, in a gap, or yet to come.
var ErrNoDay = errors.New("no figures of that day")
