//go:build !race

// Nothing here is concurrent, and the race detector is slow.

package schedule_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// fleetSize is how many installations are simulated.
const fleetSize = 20_000

// settledFleet returns installations that have run since the day before and
// reported at their slots.
func settledFleet(size int) []*installation {
	fleet := make([]*installation, size)
	for i := range fleet {
		in := newInstallation(i, size)
		in.start(midnight.Add(-day))
		in.attempt(in.phase.Slot(in.started).Add(in.jitter))
		fleet[i] = in
	}
	return fleet
}

// rates counts attempts by interval.
type rates struct {
	start    time.Time
	interval time.Duration
	counts   []int
}

func newRates(start time.Time, length, interval time.Duration) *rates {
	return &rates{start, interval, make([]int, length/interval)}
}

func (r *rates) add(times []time.Time) {
	for _, t := range times {
		if i := int(t.Sub(r.start) / r.interval); !t.Before(r.start) && i < len(r.counts) {
			r.counts[i]++
		}
	}
}

// busiest returns the largest count as a multiple of the mean of a fleet's
// usual day.
func (r *rates) busiest(fleet int) float64 {
	mean := float64(fleet) * float64(r.interval) / float64(day)
	return float64(slices.Max(r.counts)) / mean
}

// N6: all of a fleet restarts at midnight, every night, and is away for a while.
func TestMidnightRestarts(t *testing.T) {
	t.Parallel()
	for _, away := range []time.Duration{0, time.Minute, 5 * time.Minute} {
		fleet := settledFleet(fleetSize)
		for night := range 3 {
			start := midnight.Add(time.Duration(night) * day)
			minutes := newRates(start, day, time.Minute)
			for _, in := range fleet {
				in.start(start.Add(away))
				minutes.add(in.run(in.started, start.Add(day)))
			}
			got := minutes.busiest(fleetSize)
			t.Logf("night %d, away for %v: busiest minute %.2f x the mean", night+1, away, got)
			if got > 3 {
				t.Errorf("night %d, away for %v: busiest minute %.2f x the mean, want at most 3", night+1, away, got)
			}
		}
	}
}

// A fleet that is new and starts in one instant is spread over a minute once,
// and over the day from then on, even if all of it restarts every midnight.
func TestNewFleet(t *testing.T) {
	t.Parallel()
	fleet := make([]*installation, fleetSize)
	for i := range fleet {
		fleet[i] = newInstallation(i, fleetSize)
	}
	for d := range 3 {
		start := midnight.Add(time.Duration(d) * day)
		seconds, minutes := newRates(start, day, time.Second), newRates(start, day, time.Minute)
		for _, in := range fleet {
			in.start(start)
			attempts := in.run(start, start.Add(day))
			seconds.add(attempts)
			minutes.add(attempts)
		}
		got := minutes.busiest(fleetSize)
		t.Logf("day %d: busiest minute %.2f x the mean", d+1, got)
		switch {
		case d > 0 && got > 3:
			t.Errorf("day %d: busiest minute %.2f x the mean, want at most 3", d+1, got)
		case d == 0 && slices.Max(seconds.counts) > fleetSize/60*3/2:
			t.Errorf("day 1: %d of %d in one second, want them spread over a minute", slices.Max(seconds.counts), fleetSize)
		}
	}
}

// N6: the collector is away for a while, and comes back.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		begins, outage time.Duration
		atMost         float64 // times the usual rate
	}{
		{12 * time.Hour, 6 * time.Hour, 2},
		{21 * time.Hour, 6 * time.Hour, 2}, // over midnight
		{12 * time.Hour, 20 * time.Hour, 3},
		{12 * time.Hour, 3 * day, 3},
		{12 * time.Hour, 16 * day, 3},
	} {
		down := midnight.Add(tt.begins)
		up := down.Add(tt.outage)
		minutes := newRates(up, 2*day, time.Minute)
		windows := newRates(up, 2*day, 10*time.Minute)
		size := fleetSize
		if tt.outage > day {
			size /= 2 // which are many more attempts
		}
		for _, in := range settledFleet(size) {
			in.answer = func(now time.Time) *schedule.Error {
				if now.Before(down) || !now.Before(up) {
					return nil
				}
				return &schedule.Error{Status: 503}
			}
			attempts := in.run(midnight, up.Add(2*day))
			minutes.add(attempts)
			windows.add(attempts)
		}
		got := windows.busiest(size)
		t.Logf("away for %v from %v: busiest minute %.2f x normal, busiest ten minutes %.2f x",
			tt.outage, tt.begins, minutes.busiest(size), got)
		if got > tt.atMost {
			t.Errorf("away for %v from %v: busiest ten minutes %.2f x normal, want at most %v", tt.outage, tt.begins, got, tt.atMost)
		}
	}
}
