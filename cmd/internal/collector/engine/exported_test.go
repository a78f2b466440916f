package engine_test

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// An exported report counts on the day that it was made, within 30 days; a live
// one counts today, whatever its sender's clock reads.
func TestExported(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		report := func(n, daysAgo int, version string, exported bool) collector.Receipt {
			t.Helper()
			h := r.heartbeat(n, version)
			h.Exported = exported
			h.Heartbeat.SentAt = time.Now().Add(time.Duration(-daysAgo) * day)
			return r.send(h)
		}
		r.sends(0, 6, "1.0")
		for range 40 {
			r.nextDay()
		}
		x := today()
		const live, exported = false, true
		report(0, 20, "1.1", live)
		report(1, 20, "1.1", exported)
		report(1, 25, "1.0", exported) // an older one changes no values
		if got := report(1, 20, "1.1", exported); !got.Repeated {
			t.Errorf("got %+v, want a repetition", got)
		}
		report(2, 31, "1.1", exported)  // too old
		report(3, -1, "1.1", exported)  // not made yet
		report(20, 10, "1.1", exported) // not known then
		report(4, 0, "1.1", exported)   // today
		check := func() {
			t.Helper()
			for n, want := range map[int][]collector.Day{
				0: {x - 40, x}, 1: {x - 40, x - 25, x - 20}, 2: {x - 40, x}, 3: {x - 40, x}, 4: {x - 40, x}, 20: {x},
			} {
				held, err := r.e.Describe(t.Context(), id(n))
				if err != nil || len(held) != 1 || len(held[0].Days) != len(want) {
					t.Fatalf("installation %d: got %+v, %v, want %v", n, held, err, want)
				}
				for i, day := range want {
					if held[0].Days[i] != day {
						t.Errorf("installation %d: got %v, want %v", n, held[0].Days, want)
					}
				}
				if got := held[0].Values[collector.DimVersion]; got != "1.1" {
					t.Errorf("installation %d: got version %s, want 1.1", n, got)
				}
				if got := held[0].Established; got != (n != 20) {
					t.Errorf("installation %d: got established: %v", n, got)
				}
			}
			p := r.point(x)
			r.wants("active", p.Active.Day, 5)
			r.wants("28 days", p.Active.Days28, 6)
			r.wants("active on the day of the export", r.point(x-20).Active.Day, 0) // final
			q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: x, To: x})
			if err != nil || q.Points[0].Skewed != 3 { // the live one, the too old one, and that of tomorrow
				t.Errorf("got %d reports with a wrong clock, %v, want 3", q.Points[0].Skewed, err)
			}
		}
		check()
		r.crash()
		check()
		// It says nothing about the clock.
		r.jump(10 * day)
		report(1, -10, "1.1", exported)
		if got := r.e.Clock(); got.Trusted || got.Agree+got.Against != 0 {
			t.Errorf("got %+v, want no votes", got)
		}
	})
}
