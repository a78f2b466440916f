//go:build !race

// Nothing here is concurrent, and the race detector is slow.

package schedule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// N7: whatever the clock does, reports neither come in a burst nor stay away.
func TestClock(t *testing.T) {
	t.Parallel()
	const year = 365 * day
	by := func(skew time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return skew }
	}
	// Each returns the skew of a clock some time after it went wrong.
	for name, skew := range map[string]func(time.Duration) time.Duration{
		"right":                            by(0),
		"back an hour":                     by(-time.Hour),
		"back 20 hours":                    by(-20 * time.Hour),
		"back two days":                    by(-2 * day),
		"back a year":                      by(-year),
		"forward an hour":                  by(time.Hour),
		"forward two days":                 by(2 * day),
		"forward ten years":                by(10 * year),
		"ten years ahead for an hour":      skewFor(10*year, time.Hour),
		"ten years ahead for two days":     skewFor(10*year, 2*day),
		"a year behind for two days":       skewFor(-year, 2*day),
		"in 1970 for an hour":              skewFor(time.Unix(0, 0).Sub(midnight), time.Hour),
		"beyond all belief for an hour":    skewFor(250*year, time.Hour),
		"to and fro by the minute":         toAndFro(year, time.Minute),
		"to and fro by the hour":           toAndFro(2*day, time.Hour),
		"back and forth by the minute":     toAndFro(-year, time.Minute),
		"an hour to and fro by the minute": toAndFro(time.Hour, time.Minute),
	} {
		for _, restart := range []time.Duration{0, 6 * time.Minute, day} {
			for n, phase := range []time.Duration{9 * time.Hour, time.Minute, 11 * time.Hour, 23 * time.Hour} {
				from := midnight.Add(2*day + 10*time.Hour)
				in := &installation{number: n, phase: schedule.Phase(phase)}
				in.start(midnight)
				in.run(midnight, from) // two reports while the clock is right
				reports := in.runSkewed(from, restart, skew)
				checkReports(t, reports, skew, "%s, restarts every %v, phase %v", name, restart, phase)
			}
		}
	}
}

func skewFor(skew, length time.Duration) func(time.Duration) time.Duration {
	return func(since time.Duration) time.Duration {
		if since < length {
			return skew
		}
		return 0
	}
}

func toAndFro(skew, period time.Duration) func(time.Duration) time.Duration {
	return func(since time.Duration) time.Duration {
		if since/period%2 == 0 {
			return skew
		}
		return 0
	}
}

const skewedDays = 8

// runSkewed runs for eight days with a clock that is wrong, and looks at it
// each minute in which it changes, and every quarter of an hour otherwise.
func (in *installation) runSkewed(from time.Time, restart time.Duration, skew func(time.Duration) time.Duration) (reports []time.Time) {
	const step = time.Minute
	var asleep time.Time // until then
	for since := time.Duration(0); since < skewedDays*day; since += step {
		now := from.Add(since)
		if restart > 0 && since%restart == 0 {
			in.start(now)
			asleep = time.Time{}
		}
		if was := in.skew; skew(since) != was {
			in.skew = skew(since)
			asleep = time.Time{}
		}
		if !now.Add(step).After(asleep) {
			continue
		}
		reports = append(reports, in.run(now, now.Add(step))...)
		if asleep = in.look(now.Add(step)); asleep.After(now.Add(15 * time.Minute)) {
			asleep = now.Add(15 * time.Minute)
		}
	}
	return reports
}

// checkReports checks how many reports there are in eight days with a clock
// that is wrong, and in an hour of them.
func checkReports(t *testing.T, reports []time.Time, skew func(time.Duration) time.Duration, format string, args ...any) {
	t.Helper()
	fail := func(why string) {
		t.Helper()
		t.Errorf(format+": %s: %v", append(args, why, reports)...)
	}
	// With a clock that jumps by years one of its days begins every six
	// hours, and at the slot.
	if n := len(reports); n < skewedDays/2 || n > skewedDays*10 {
		fail("too few or too many reports")
	}
	inAnHour := 0
	for i, at := range reports {
		first, _ := slices.BinarySearchFunc(reports, at.Add(-time.Hour), time.Time.Compare)
		inAnHour = max(inAnHour, i-first+1)
	}
	steady := skew(0) == skew(time.Minute) && skew(0) == skew(time.Hour)
	if steady && (len(reports) > skewedDays+2 || inAnHour > 2) || inAnHour > 4 {
		fail("too many reports")
	}
}

func TestPlausible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1970-01-01T00:00:00Z": false,
		"2025-12-31T23:59:59Z": false,
		"2026-01-01T00:00:00Z": true,
		"2225-12-31T23:59:59Z": true,
		"2226-01-01T00:00:00Z": false,
	} {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := schedule.Plausible(now); got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
