package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// Counts are cumulative since a time, and reports may arrive in any order.
func TestFaultCount(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)
	var c faultCount
	for i, tt := range []struct {
		since         time.Time
		count         int
		more          uint64
		known         int
		count2, total uint64 // afterwards
	}{
		{began, 3, 3, 0, 3, 3},
		{began, 3, 0, 1, 3, 3},
		{began, 5, 2, 0, 5, 5},
		{began, 4, 0, 1, 5, 5},                    // overtaken
		{began.Add(time.Hour), 2, 2, 0, 2, 7},     // the sender began again
		{began, 9, 0, 1, 2, 7},                    // late
		{began.Add(2 * time.Hour), 0, 0, 0, 0, 7}, // began again, with nothing yet
		{began.Add(2 * time.Hour), 10, 10, 0, 10, 17},
	} {
		more, known := c.add(&report.Fault{Since: tt.since, Count: tt.count}, nil)
		if more != tt.more || known != tt.known || c.Count != tt.count2 || c.Total != tt.total {
			t.Errorf("report %d: got %d more, %d known, then %+v, want %+v", i, more, known, c, tt)
		}
	}
}

// Events count once each. The last 500 are remembered.
func TestFaultEvents(t *testing.T) {
	t.Parallel()
	var c faultCount
	events := func(from, to int) (names []string) {
		for n := from; n < to; n++ {
			names = append(names, fmt.Sprint(n))
		}
		return names
	}
	for _, tt := range []struct {
		from, to int
		more     uint64
		known    int
	}{{0, 250, 250, 0}, {0, 250, 0, 250}, {200, 450, 200, 50}, {450, 501, 51, 0}, {0, 2, 1, 1}} {
		// Events replace the count.
		more, known := c.add(&report.Fault{Count: 1000}, events(tt.from, tt.to))
		if more != tt.more || known != tt.known {
			t.Errorf("%d to %d: got %d more, %d known, want %d and %d", tt.from, tt.to, more, known, tt.more, tt.known)
		}
	}
	if c.Total != 502 || len(c.Events) != 500 || c.Count != 0 {
		t.Errorf("got %d in all, %d events and a count of %d, want 502, 500 and 0", c.Total, len(c.Events), c.Count)
	}
}
