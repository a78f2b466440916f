package engine

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Windows of 1, 7, 28 and 30 days end with today, or with another day in memory.
func TestWindows(t *testing.T) {
	t.Parallel()
	f := newFleet(collector.App{Num: 1, Key: "app"}, 100)
	for day := collector.Day(70); day <= 100; day++ { // another installation each day
		daySet(f.days, day).Add(uint32(day))
	}
	for _, tt := range []struct {
		day  collector.Day
		want [4]uint64
	}{{100, [4]uint64{1, 7, 28, 30}}, {99, [4]uint64{1, 7, 28, 30}}, {80, [4]uint64{1, 7, 11, 11}}} {
		for range 2 { // computed, and cached
			var got [4]uint64
			for i, set := range f.windows(tt.day) {
				got[i] = set.Count()
			}
			if got != tt.want {
				t.Errorf("day %d: got %v, want %v", tt.day, got, tt.want)
			}
		}
	}
}
