package engine_test

import (
	"errors"
	"fmt"
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

// faultyDays passes days with three installations, one of which reports a fault.
func (r *rig) faultyDays(n int) {
	r.t.Helper()
	for range n {
		r.sends(0, 3, "1.0")
		r.reports(r.health(0, 1, time.Now(), "disk-full"))
		r.nextDay()
	}
}

// exported returns the totals of an app.
func (r *rig) exported(app collector.AppNum) (all []collector.Record) {
	r.t.Helper()
	for record, err := range r.e.ExportTotals(r.t.Context(), app) {
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// TestExportOnADayWithFaults: an export leaves out the open day, whose faults a
// checkpoint has written, so that another app can import it at once.
func TestExportOnADayWithFaults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.faultyDays(2)
		r.sends(0, 3, "1.0")
		r.reports(r.health(0, 1, time.Now(), "disk-full"))
		r.restart(0) // at a checkpoint
		days := map[collector.Day]bool{}
		for _, record := range r.exported(r.app.Num) {
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

// TestImportAfterAFailedOne: records of a failed import are neither exported nor
// mixed with those of the next one.
func TestImportAfterAFailedOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.faultyDays(3)
		want := r.exported(r.app.Num)
		failed := errors.New("cut short")
		to := r.addApp(collector.App{Key: "moved"})
		_, _, err := r.e.ImportTotals(t.Context(), to.Num, func(yield func(collector.Record, error) bool) {
			for n := range 2500 { // several batches
				key := collector.RecordKey{Kind: "split", Day: today() - 2, Name: fmt.Sprint("fact.left.", n)}
				if !yield(collector.Record{RecordKey: key, Data: []byte(`{"values":{"x":[1,1,1,1]}}`)}, nil) {
					return
				}
			}
			yield(collector.Record{}, failed)
		})
		if !errors.Is(err, failed) {
			t.Fatalf("got %v", err)
		}
		if got := r.exported(to.Num); len(got) != 0 {
			t.Errorf("after a failed import, %d records are exported, such as %+v", len(got), got[0])
		}
		if _, _, err := r.e.ImportTotals(t.Context(), to.Num, r.e.ExportTotals(t.Context(), r.app.Num)); err != nil {
			t.Fatal(err)
		}
		if got := r.exported(to.Num); len(got) != len(want) {
			t.Errorf("got %d records, want %d", len(got), len(want))
		}
	})
}

// TestImportAfterEmptyDays: an app without reports accepts totals on any later day,
// one import at a time.
func TestImportAfterEmptyDays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 3, "1.0")
		r.nextDay()
		r.sends(0, 1, "1.0")
		old := r.exported(r.app.Num)
		to := r.addApp(collector.App{Key: "moved"})
		for range 3 {
			r.nextDay()
		}
		r.restart(0)
		again := func(yield func(collector.Record, error) bool) {
			if _, _, err := r.e.ImportTotals(t.Context(), to.Num, r.e.ExportTotals(t.Context(), r.app.Num)); !errors.Is(err, collector.ErrBusy) {
				t.Errorf("a second import at the same time: got %v", err)
			}
			for _, record := range old {
				if !yield(record, nil) {
					return
				}
			}
		}
		if _, days, err := r.e.ImportTotals(t.Context(), to.Num, again); err != nil || days != 1 {
			t.Errorf("got %d days, %v", days, err)
		}
		if _, _, err := r.e.ImportTotals(t.Context(), to.Num, r.e.ExportTotals(t.Context(), r.app.Num)); err == nil {
			t.Error("imported twice")
		}
	})
}
