package engine_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// An app whose past has totals but no installations answers for segments, on
// each weekday, also while its first period runs.
func TestSegmentAfterTotals(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		old := r.app
		for range 40 {
			r.sends(0, 3, "1.0")
			r.nextDay()
		}
		r.sends(0, 3, "1.0")
		r.app = r.addApp(collector.App{Key: "moved"})
		if _, _, err := r.e.ImportTotals(t.Context(), r.app.Num, r.e.ExportTotals(t.Context(), old.Num)); err != nil {
			t.Fatal(err)
		}
		r.restart(0) // the totals show
		segment, err := collector.ParseSegment("version=1.0")
		if err != nil {
			t.Fatal(err)
		}
		v := figures.View{Segment: segment}
		for day := range 9 {
			span := collector.Range{From: today() - 45, To: today()}
			for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
				if _, err := r.e.Retention(t.Context(), r.app.Num, g, span, v); err != nil {
					t.Errorf("day %d, by %s: %v", day, g, err)
				}
			}
			if _, err := r.e.Series(t.Context(), r.app.Num, span, v); err != nil {
				t.Errorf("day %d: series: %v", day, err)
			}
			r.sends(0, 2, "1.0")
			r.nextDay()
		}
	})
}
