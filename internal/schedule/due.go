package schedule

import "time"

// Due returns when the next report of the installation is due. The time is
// not after now if it is due already.
func (st State) Due(p Phase, now time.Time) time.Time {
	st = st.trusted(now)
	at := st.Since
	if !st.Success.IsZero() {
		at = st.next(p)
	}
	return latest(at, st.Retry, st.budget(p))
}

// next returns when the report after the last accepted one is due: at the
// slot of the next day. An installation that reported before the slot of
// its day, and was not running at the slot, does not run all day; it
// reports a day after its last report.
func (st State) next(p Phase) time.Time {
	midnight := st.Success.Truncate(day)
	if today := p.Slot(midnight); st.Success.Before(today) && st.Present.Before(today) {
		// A minute less than a day, for programs that start once a day.
		return latest(midnight.Add(day), st.Success.Add(day-time.Minute))
	}
	return p.Slot(midnight.Add(day))
}

// Seen returns the state after a process of that age has looked at it.
func (st State) Seen(p Phase, now time.Time, age time.Duration) State {
	if st.Success.IsZero() && st.Since.IsZero() {
		st.Since = now.UTC().Truncate(time.Second)
	}
	today := p.Slot(now)
	running := !today.After(now) && !today.Before(now.Add(-age))
	reported := st.Success.Before(today) && st.Success.Truncate(day).Equal(today.Truncate(day))
	if running && reported && st.Present.Before(today) {
		st.Present = today
	}
	return st
}

// Restart returns the state to go on with after a wrong clock wrote st: it
// has no times of that clock, and nothing is due before tomorrow.
func (st State) Restart(p Phase, now time.Time) State {
	st = st.trusted(now).Seen(p, now, 0)
	st.Retry = p.Slot(now.Add(day))
	return st
}
