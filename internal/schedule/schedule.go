// Package schedule decides when an installation reports.
//
// A report is due once a day, at a time of day derived from the
// installation ID. A fleet is thereby spread over the whole day, and a
// restart changes nothing. A failed report is retried hours later, at a
// random moment, so that after an outage of the collector a fleet comes
// back as slowly as it left.
//
// Three things are not spread by the ID: the first report of all, which
// comes one to two minutes after the start; a report that is overdue; and
// whatever the host sends by calls of its own.
//
// The package is pure. It reads no clock, waits for nothing, and stores
// nothing: callers pass the time and the random numbers, and save the
// [State].
package schedule

import "time"

const (
	day = 24 * time.Hour

	// FirstDelay is the time from a start to the first report, at least.
	FirstDelay = time.Minute
	// OverdueDelay replaces FirstDelay once a report is overdue. Programs
	// that never run for a whole minute thus report as well.
	OverdueDelay = 5 * time.Second
	// overdueAfter is when a report that is due becomes overdue. If it is
	// due late in the day, half of the remaining day is the limit.
	overdueAfter = 6 * time.Hour
	// blindDelay is the wait of a process that cannot know what was sent
	// before it. It need not wait at the slot of its installation, because
	// only one process a day is running then.
	blindDelay = 6 * time.Hour
	// MaxJitter bounds [Process.Jitter].
	MaxJitter = 5 * time.Minute
)

// A Process is what the schedule knows of the process that sends.
type Process struct {
	// Age is the time since its start, by a clock that nobody sets.
	Age time.Duration
	// Idle is the time since its last attempt, or since its start if it
	// made none, by the same clock.
	Idle time.Duration
	// Jitter is random, below MaxJitter, and constant for a process. It
	// delays reports so that of several replicas with one ID, all but the
	// first find the report sent.
	Jitter time.Duration
	// Blind means that nobody knows what was sent before: the state cannot
	// be read or saved, or a clock was wrong.
	Blind bool
}

// Next returns when the process sends the next report; now if that time
// has passed.
func (p Process) Next(phase Phase, st State, now time.Time) time.Time {
	due := st.Due(phase, now)
	started := now.Add(-p.Age)
	var at time.Time
	switch {
	case p.Blind:
		since := now.Add(-p.Idle)
		if at = phase.Slot(since); at.Before(since) {
			at = at.Add(day)
		}
		at = earliest(at, since.Add(blindDelay))
	case isOverdue(due, now):
		at = started.Add(OverdueDelay + p.Jitter/60)
	case st.Success.IsZero() && st.Attempt.IsZero(): // never tried
		at = started.Add(FirstDelay + p.Jitter/5)
	default:
		at = latest(started.Add(FirstDelay), due).Add(p.Jitter)
	}
	return latest(at, due, now)
}

// isOverdue reports whether a report that is due since a time should wait
// no longer.
func isOverdue(since, now time.Time) bool {
	if since.IsZero() {
		return false
	}
	left := since.Truncate(day).Add(day).Sub(since)
	return now.Sub(since) > min(overdueAfter, left/2)
}

// Clocks are believed between these times. A machine without a battery
// starts before them, and a broken clock may show anything.
var (
	plausibleFrom = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plausibleTo   = time.Date(2226, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Plausible reports whether a clock may be right: whether it shows a year
// from 2026 to 2225.
func Plausible(now time.Time) bool { return !now.Before(plausibleFrom) && now.Before(plausibleTo) }

func latest(t time.Time, others ...time.Time) time.Time {
	for _, other := range others {
		if other.After(t) {
			t = other
		}
	}
	return t
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
