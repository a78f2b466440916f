package engine_test

import (
	"maps"
	"testing"
	"time"

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

// TestExportOnADayWithFaults: a checkpoint writes the faults of the open day,
// and only closed days leave with an export, so another app can take it at once.
func TestExportOnADayWithFaults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for range 2 {
			r.sends(0, 3, "1.0")
			r.reports(r.health(0, 1, time.Now(), "disk-full"))
			r.nextDay()
		}
		r.sends(0, 3, "1.0")
		r.reports(r.health(0, 1, time.Now(), "disk-full"))
		r.restart(0) // at a checkpoint
		days := map[collector.Day]bool{}
		for record, err := range r.e.ExportTotals(t.Context(), r.app.Num) {
			if err != nil {
				t.Fatal(err)
			}
			if record.Kind == "issueday" {
				days[record.Day] = true
			}
		}
		if want := map[collector.Day]bool{today() - 2: true, today() - 1: true}; !maps.Equal(days, want) {
			t.Errorf("faults of the days %v were exported, want those of %v", days, want)
		}
		to := r.addApp(collector.App{Key: "moved"})
		if _, days, err := r.e.ImportTotals(t.Context(), to.Num, r.e.ExportTotals(t.Context(), r.app.Num)); err != nil || days != 2 {
			t.Errorf("imported %d days, %v", days, err)
		}
	})
}
