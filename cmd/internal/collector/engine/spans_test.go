package engine_test

import (
	"testing"
	"testing/synctest"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Cached spans of days that have left the memory contain nothing that is
// forgotten or purged.
func TestOlderSpans(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.app.Retention = 90
		if err := r.e.UpdateApp(t.Context(), r.app); err != nil {
			t.Fatal(err)
		}
		first := today()
		r.sends(0, 5, "1.0")
		for n := range 3 {
			r.reports(r.health(n, 2, first.Time(), "disk-full"))
		}
		for n := range 50 {
			r.nextDay()
			r.sends(3, 5, "1.0")
			if n == 20 {
				r.sends(2, 3, "1.0")
			}
		}
		wants := func(what string, from collector.Day, affected, active uint64) {
			t.Helper()
			synctest.Wait() // for the preloaded spans
			faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: from, To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			if affected == 0 && len(faults.Faults) == 0 && faults.Denominator == active {
				return
			}
			if len(faults.Faults) != 1 || *faults.Faults[0].Affected != affected || *faults.Faults[0].Occurrences != 6 || faults.Denominator != active {
				t.Errorf("%s: got %+v of %d, want %d of %d", what, faults.Faults, faults.Denominator, affected, active)
			}
		}
		year, quarter := today()-399, today()-89
		for range 2 {
			wants("own range", first, 3, 5)
			wants("400 days", year, 3, 5)
			wants("90 days", quarter, 3, 5)
		}
		if _, err := r.e.Forget(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
		wants("own range, one forgotten", first, 2, 4)
		wants("400 days, one forgotten", year, 2, 4)
		wants("90 days, one forgotten", quarter, 2, 4)
		r.crash()
		wants("400 days, after a crash", year, 2, 4)
		for range 50 {
			r.nextDay()
			r.sends(3, 5, "1.0")
		}
		wants("400 days, what was reported purged", today()-399, 0, 3)
		wants("own range, what was reported purged", first, 0, 3)
		for n, held := range []int{0, 0, 1, 1, 1} { // 2 was active on one of the days that are kept
			got, err := r.e.Describe(r.t.Context(), id(n))
			if err != nil || len(got) != held {
				t.Errorf("installation %d: got %+v, %v", n, got, err)
			}
		}
	})
}

// The settings of an app may change while its days are read; see the race
// detector.
func TestSettingsChangeDuringAnswers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		for range 50 {
			r.sends(0, 1, "1.0")
			r.nextDay()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for n := range 20 {
				app := r.app
				app.Retention = 400 + n
				if err := r.e.UpdateApp(t.Context(), app); err != nil {
					t.Error(err)
				}
			}
		}()
		for n := range collector.Day(20) {
			// Each range is a new one, so nothing is cached.
			asked := collector.Range{From: first, To: first + n}
			if _, err := r.e.Faults(t.Context(), r.app.Num, asked, figures.View{}); err != nil {
				t.Error(err)
			}
			if _, err := r.e.Retention(t.Context(), r.app.Num, collector.GrainWeek, asked, figures.View{}); err != nil {
				t.Error(err)
			}
			if _, err := r.e.Trend(t.Context(), r.app.Num, collector.DimVersion, 28, asked, 3, figures.View{}); err != nil {
				t.Error(err)
			}
		}
		<-done
	})
}
