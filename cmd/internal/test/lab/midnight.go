package lab

import (
	"testing"
	"time"
)

// SameDay waits until the day, in UTC, lasts at least so much longer. A test
// calls it that could not tell what belongs to which day if midnight came
// meanwhile.
func SameDay(t testing.TB, least time.Duration) {
	t.Helper()
	const day = 24 * time.Hour
	if left := time.Until(time.Now().UTC().Truncate(day).Add(day)); left < least {
		t.Logf("waiting %v until midnight is over", left.Round(time.Second))
		time.Sleep(left)
	}
}
