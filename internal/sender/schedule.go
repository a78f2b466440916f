package sender

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"
)

const (
	day = 24 * time.Hour

	// firstDelay is how long after its start a process reports at the earliest, and up to how much longer, at random.
	firstDelay = time.Minute
	// overdueDelay is the same for a process that finds a report overdue by more than overdue: programs that never run
	// for longer than a minute report as well.
	overdueDelay = 5 * time.Second
	overdue      = 6 * time.Hour
	// lookEvery bounds how long the sender sleeps without a look at the clock, which may be set, or go on while the
	// machine sleeps.
	lookEvery = 15 * time.Minute

	// After a failure the next attempt comes at a random moment between retryMin and retryMax. An outage of six hours
	// is then made up for over the ten hours after it, at less than the usual rate above the usual one; the spread, not
	// any doubling, is what protects a collector that comes back.
	retryMin = 2 * time.Hour
	retryMax = 10 * time.Hour
	// dailyAttempts is how many attempts are made in a day (UTC) at the most, over restarts. After slowAfter without a
	// success it is one, and after verySlowAfter one in a week.
	dailyAttempts = 4
	slowAfter     = 14 * day
	verySlowAfter = 60 * day
)

// plausible is a time before which no clock is believed: that of a machine that starts without one.
var plausible = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// phase is the time of day, in UTC, at which an installation reports. It is spread evenly and says nothing of the ID.
func phase(id string) time.Duration {
	sum := sha256.Sum256([]byte("rollcall heartbeat phase " + id))
	const seconds = uint64(day / time.Second)
	return time.Duration(binary.BigEndian.Uint64(sum[:8])%seconds) * time.Second
}

// due gives when the next report of the installation is due: a time that is not after now if it is due already.
func due(id string, st State, now time.Time) time.Time {
	now = now.UTC()
	midnight := now.Truncate(day)
	slot := midnight.Add(phase(id))
	if slot.After(now) {
		slot = slot.Add(-day)
	}
	// slot is the latest one that has passed.
	at := slot
	switch last := st.lastSuccess(now); {
	case last.IsZero():
		at = now
	case !last.Before(midnight):
		at = midnight.Add(day + phase(id)) // reported today
	case !last.Before(slot):
		at = slot.Add(day)
	}
	if next := st.retryAt(now); next.After(at) {
		at = next
	}
	if next := st.budgetAt(now); next.After(at) {
		at = next
	}
	return at
}

// retryDelay is the wait after a failed attempt; atLeast is what the collector asked for.
func retryDelay(atLeast time.Duration) time.Duration {
	return atLeast + retryMin + rand.N(retryMax-retryMin)
}
