package lab

import (
	"testing"
	"time"
)

// SameDay waits until after midnight, in UTC, if that is less than the given time
// away. Tests call it whose figures a change of day would split.
func SameDay(t testing.TB, least time.Duration) {
	t.Helper()
	const day = 24 * time.Hour
	if left := time.Until(time.Now().UTC().Truncate(day).Add(day)); left < least {
		t.Logf("waiting %v until midnight is over", left.Round(time.Second))
		time.Sleep(left)
	}
}
