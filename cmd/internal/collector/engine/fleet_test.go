package engine

import (
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Numbers are assigned in order of first sight. An installation is established
// once it is active on a second day.
func TestFirstSight(t *testing.T) {
	t.Parallel()
	f := newWarmFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	if got := f.firstDay(0); got != 0 {
		t.Errorf("empty fleet: got first day %d, want 0", got)
	}
	f.assign(2)
	f.startDay(nextDay{day: 20_003, established: f.established})
	f.assign(1)
	f.activate(slices.Values([]collector.Num{1, 2})) // 2 is new today
	for num, want := range []collector.Day{20_000, 20_000, 20_003} {
		if got := f.firstDay(collector.Num(num)); got != want {
			t.Errorf("installation %d: got first day %d, want %d", num, got, want)
		}
		if got, want := f.established.Has(uint32(num)), num == 1; got != want {
			t.Errorf("installation %d: got established: %v, want %v", num, got, want)
		}
	}
	if lo, hi := f.newOn(20_000); lo != 0 || hi != 2 {
		t.Errorf("first day: got new from %d to %d, want 0 to 2", lo, hi)
	}
	if lo, hi := f.newOn(20_001); lo != hi {
		t.Errorf("a day without new installations: got new from %d to %d", lo, hi)
	}
}
