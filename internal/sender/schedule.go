package sender

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	day = 24 * time.Hour

	// quiet is the end of the day (UTC) in which no slot lies, so that a report that comes up to replicaSpread after its
	// slot still counts for the day of the slot, though clocks differ by a few minutes.
	quiet = 10 * time.Minute
	// replicaSpread is the random part of a process's moment after the report is due, so that replicas which share an
	// ID see that one of them has reported.
	replicaSpread = 5 * time.Minute

	// firstDelay is how long after its start a process reports at the earliest.
	firstDelay = time.Minute
	// overdueDelay takes its place once a report is overdue: programs that never run for longer than a minute report as
	// well. That is overdueAfter after the report was due, and sooner for one that is due late in the day: half of what
	// is left of the day.
	overdueDelay = 5 * time.Second
	overdueAfter = 6 * time.Hour
	// blindDelay is how long a process waits that cannot know what was sent before, since nothing is kept or a clock was
	// wrong. At the slot of its installation, which one process in a day is there for, it does not wait.
	blindDelay = 6 * time.Hour
	// lookEvery bounds how long the sender sleeps without a look at the clock, which may be set, or go on while the
	// machine sleeps.
	lookEvery = 15 * time.Minute

	// After a failure the next attempt comes at a random moment between retryMin and retryMax, and after each further
	// one between twice these. A fleet then makes up for an outage of six hours over the half day after it, at less than
	// twice the usual rate, and for the longest at less than three times. See TestRecovery.
	retryMin = 3 * time.Hour
	retryMax = 12 * time.Hour
	// dailyAttempts is how many attempts are made in a day (UTC) at the most, over restarts. After slowAfter without a
	// success it is one, and after verySlowAfter one in a week.
	dailyAttempts = 4
	slowAfter     = 14 * day
	verySlowAfter = 60 * day
)

// The clock is believed between these times: one that starts without a battery is before them, and a broken one may be
// anywhere.
var (
	plausibleFrom = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	plausibleTo   = time.Date(2226, 1, 1, 0, 0, 0, 0, time.UTC)
)

func plausible(now time.Time) bool { return !now.Before(plausibleFrom) && now.Before(plausibleTo) }

// phaseOf gives the time of day, in UTC, at which an installation reports. It is spread evenly and says nothing of the ID.
func phaseOf(id string) time.Duration {
	sum := sha256.Sum256([]byte("rollcall heartbeat phase " + id))
	const seconds = uint64((day - quiet) / time.Second)
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second
}

// slot is the moment of a day (UTC) at which an installation of a phase reports.
func slot(phase time.Duration, of time.Time) time.Time { return of.UTC().Truncate(day).Add(phase) }

// due gives when the next report of the installation is due: a time that is not after now if it is due already.
func due(phase time.Duration, st State, now time.Time) time.Time {
	st = st.upTo(now)
	at := st.Since
	if !st.Success.IsZero() {
		at = st.next(phase)
	}
	return latest(at, st.Retry, st.budget(phase))
}

// A run is what counts of a process for its schedule.
type run struct {
	age    time.Duration // since its start, by a clock that nobody sets
	idle   time.Duration // since its last attempt, or else its start, by the same clock
	spread time.Duration // its own part of replicaSpread
	blind  bool          // what was sent before that cannot be known
}

// moment gives when this process sends the report that is due next, and now if that is past.
func (r run) moment(phase time.Duration, st State, now time.Time) time.Time {
	at := due(phase, st, now)
	started := now.Add(-r.age)
	never := st.Success.IsZero() && st.Attempt.IsZero()
	var first time.Time
	switch {
	case r.blind:
		since := now.Add(-r.idle)
		first = slot(phase, since)
		if first.Before(since) {
			first = first.Add(day)
		}
		first = earliest(first, since.Add(blindDelay))
	case isOverdue(at, now):
		first = started.Add(overdueDelay + r.spread/60)
	case never:
		first = started.Add(firstDelay + r.spread/5)
	default:
		first = latest(started.Add(firstDelay), at).Add(r.spread)
	}
	return latest(first, at, now)
}

// isOverdue tells whether a report that was due at a time should not wait any longer.
func isOverdue(at, now time.Time) bool {
	if at.IsZero() {
		return false
	}
	left := at.Truncate(day).Add(day).Sub(at)
	return now.Sub(at) > min(overdueAfter, left/2)
}

// retryDelay is the wait after a failed attempt, the first one or a further one; atLeast is what the collector asked for.
func retryDelay(first bool, atLeast time.Duration) time.Duration {
	wait := retryMin + rand.N(retryMax-retryMin)
	if !first {
		wait *= 2
	}
	return atLeast + wait
}

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
