package engine_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// importing begins an import into the rig's app, and adds the reports of a day.
func (r *rig) importing(name string) *engine.Loader {
	r.t.Helper()
	l, err := r.e.Import(r.t.Context(), r.app.Num, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An import keeps everything that belongs to an app besides its reports.
func TestImportKeeps(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, first := t.Context(), today()
		r.app.Legacy, r.app.ExcludeDevelopment, r.app.K = true, true, 3
		must(t, r.e.UpdateApp(ctx, r.app))
		must(t, r.e.PutSetting(ctx, r.app.Num, "alerts", []byte("kept")))
		for range 3 {
			r.sends(0, 6, "1.0")
			r.nextDay()
		}
		must(t, r.e.RefuseID(ctx, r.app.Num, id(4)))
		_, err := r.e.Forget(ctx, id(5))
		must(t, err)
		r.reports(r.health(1, 4, first.Time(), "timeout"))
		faults, err := r.e.Faults(ctx, r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
		must(t, err)
		must(t, r.e.SetFault(ctx, r.app.Num, faults.Faults[0].ID, collector.Triage{Status: collector.FaultFixed, FixedIn: "2.0", Note: "a note"}))
		must(t, r.e.SetRelease(ctx, r.app.Num, "1.0", first-9))
		declared := collector.Declarations{Releases: []collector.DeclaredRelease{{Version: "3.0", Released: first}}}
		must(t, r.e.Declare(ctx, r.app.Num, declared))
		memory, dev := r.heartbeat(20, "1.0"), r.heartbeat(0, "2.0-dev")
		memory.Heartbeat.IDPersistence = report.InMemory
		r.send(memory)
		r.send(dev)
		legacy := r.heartbeat(2, "1.0")
		legacy.Legacy = true
		legacy.Heartbeat.Client.Name = ""
		legacy.Heartbeat.Facts = report.Facts{{Name: "f", Value: "a"}}
		own := r.heartbeat(2, "1.0")
		own.Heartbeat.Client.Name = "agent"
		r.send(own)
		r.send(legacy)
		r.e.Refuse(r.app.Num, collector.RefusedRate)
		shown := func() string { return figuresOf(t, r, first, today(), 8) }
		before, old := r.point(first), r.app.Num

		l := r.importing("x")
		for day := range collector.Day(2) {
			must(t, l.Day(ctx, first-10+day))
			for _, n := range []int{1, 4, 7} { // 4 is refused
				must(t, l.Heartbeat(ctx, r.heartbeat(n, "0.9")))
			}
		}
		must(t, l.Close(ctx))
		if got, want := l.Merged(), (engine.Merged{Known: 1, New: 1, Refused: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		check := func(what string) {
			t.Helper()
			app, _ := r.e.App("app")
			r.app = app
			if !app.Legacy || !app.ExcludeDevelopment || app.K != 3 || app.MaxNewPerDay != 0 || app.Num == old {
				t.Errorf("%s: settings are %+v", what, app)
			}
			if data, ok, err := r.e.Setting(ctx, app.Num, "alerts"); string(data) != "kept" || !ok || err != nil {
				t.Errorf("%s: setting: got %q, %t, %v", what, data, ok, err)
			}
			if refused, err := r.e.RefusedIDs(app.Num); err != nil || len(refused) != 1 {
				t.Errorf("%s: refused: got %v, %v", what, refused, err)
			}
			h := r.heartbeat(4, "1.0")
			h.App = app.Num
			if _, err := r.e.Heartbeat(ctx, h); !errors.Is(err, collector.ErrRefusedID) {
				t.Errorf("%s: report of a refused ID: got %v", what, err)
			}
			faults, err := r.e.Faults(ctx, app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			must(t, err)
			if f := faults.Faults[0]; len(faults.Faults) != 1 || f.Status != collector.FaultFixed || f.FixedIn != "2.0" || f.Note != "a note" || *f.Occurrences != 4 {
				t.Errorf("%s: faults: got %+v", what, faults.Faults)
			}
			if got, err := r.e.Declared(app.Num); err != nil || !slices.Equal(got.Releases, declared.Releases) {
				t.Errorf("%s: declared: got %+v, %v", what, got, err)
			}
			versions, err := r.e.Versions(ctx, app.Num, collector.Range{From: first, To: today()}, figures.View{})
			must(t, err)
			for _, release := range versions.Releases {
				if release.Version == "1.0" && release.Released != first-9 {
					t.Errorf("%s: 1.0 was released on %s", what, release.Released)
				}
			}
			quality, err := r.e.Quality(ctx, app.Num, collector.Range{From: today(), To: today()})
			must(t, err)
			if *quality.TwoSenders != 1 || quality.RefusedIDs != 1 {
				t.Errorf("%s: quality: got %+v", what, quality)
			}
			for n, want := range map[int]bool{5: false, 1: true, 2: true} {
				if known, err := r.e.Known(ctx, app.Num, id(n)); known != want || err != nil {
					t.Errorf("%s: installation %d: got %t, %v", what, n, known, err)
				}
			}
			for _, id := range []string{id(20), id(0)} { // not counted again today
				held, err := r.e.Describe(ctx, id)
				if err != nil || len(held) != 1 {
					t.Errorf("%s: %s: got %+v, %v", what, id, held, err)
				}
			}
			memory.App, dev.App = app.Num, app.Num
			r.send(memory)
			r.send(dev)
			p := r.point(today())
			r.wants(what+": in memory", p.InMemory, 1)
			r.wants(what+": excluded", p.Excluded, 1)
		}
		check("after the import")
		if after := r.point(first); *after.Active.Day != *before.Active.Day || *after.New != *before.New-1 {
			t.Errorf("the first day: got %+v, it was %+v", after, before)
		}
		was := shown()
		r.restart(time.Second)
		sameFigures(t, "after a restart", shown(), was)
		check("after a restart")
		r.crash()
		check("after a crash")
		// What an import added is deleted like everything else.
		if d, err := r.e.Forget(ctx, id(7)); err != nil || d.Deleted != 1 {
			t.Errorf("forget: got %+v, %v", d, err)
		}
		must(t, r.store.Check(ctx))
	})
}

// What is known of faults here is not counted again, whichever way a report names its
// occurrences.
func TestImportCountsFaultsOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, first := t.Context(), today()
		events := func(n int, ids ...string) collector.ReceivedHealth {
			h := r.health(n, 1, time.Time{}, "timeout")
			h.Events = [][]string{ids}
			return h
		}
		day := func(l *engine.Loader, day collector.Day, reports ...collector.ReceivedHealth) {
			t.Helper()
			must(t, l.Day(ctx, day))
			for _, h := range reports {
				must(t, l.Health(ctx, h))
			}
		}
		since, restart := (first - 20).Time(), (first - 5).Time()
		r.reports(events(1, "a", "b"))
		r.reports(r.health(2, 10, since, "timeout"))
		r.reports(r.health(3, 2, restart, "timeout"))
		r.nextDay()
		l := r.importing("x")
		day(l, first-10, events(1, "b", "c"), r.health(2, 7, since, "timeout"), r.health(3, 5, since, "timeout"))
		day(l, first-9, events(1, "c", "d"), r.health(2, 12, since, "timeout"), r.health(3, 6, since, "timeout"))
		must(t, l.Close(ctx))
		r.app, _ = r.e.App("app")
		total := func(what string, want map[int]uint64, all uint64) {
			t.Helper()
			for n, count := range want {
				held, err := r.e.Describe(ctx, id(n))
				must(t, err)
				if len(held) != 1 || len(held[0].Faults) != 1 || held[0].Faults[0].Count != count {
					t.Errorf("%s: installation %d: got %+v, want %d", what, n, held, count)
				}
			}
			faults, err := r.e.Faults(ctx, r.app.Num, collector.Range{From: first - 20, To: today()}, figures.View{})
			must(t, err)
			if got := *faults.Faults[0].Occurrences; got != all {
				t.Errorf("%s: got %d occurrences, want %d", what, got, all)
			}
		}
		// Of 1, c and d are new. Of 2, 10 of the 12 were counted here. Of 3, the past
		// began to count earlier.
		total("after the import", map[int]uint64{1: 4, 2: 12, 3: 8}, 24)
		for n, h := range map[int]collector.ReceivedHealth{1: events(1, "a", "b", "c", "d"), 2: r.health(2, 12, since, "timeout"), 3: r.health(3, 2, restart, "timeout")} {
			h.App = r.app.Num
			if receipt, err := r.e.Health(ctx, h); err != nil || receipt.Counted != 0 {
				t.Errorf("reported again by %d: got %+v, %v", n, receipt, err)
			}
		}
		total("reported again", map[int]uint64{1: 4, 2: 12, 3: 8}, 24)
		l = r.importing("y")
		day(l, first-10, events(1, "b", "c"), r.health(2, 7, since, "timeout"), r.health(3, 5, since, "timeout"))
		day(l, first-9, events(1, "c", "d"), r.health(2, 12, since, "timeout"), r.health(3, 6, since, "timeout"))
		day(l, first-8, events(1, "e"))
		must(t, l.Close(ctx))
		r.app, _ = r.e.App("app")
		total("imported again, with one more", map[int]uint64{1: 5, 2: 12, 3: 8}, 25)
	})
}

// Days that have totals but no installations cannot be combined with others.
func TestImportOfTotalsOnly(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, first := t.Context(), today()
		r.app.Retention = collector.MinRetention
		must(t, r.e.UpdateApp(ctx, r.app))
		for range 100 {
			r.sends(0, 2, "1.0")
			r.nextDay()
		}
		r.sends(0, 2, "1.0")
		for day, ok := range map[collector.Day]bool{
			first - 40: true, first - 31: false, first: false, first + 30: false, today() - collector.MinRetention + 30: false, today() - 20: true, today(): true,
		} {
			l := r.importing(day.String())
			err := l.Day(ctx, day)
			if (err == nil) != ok || err != nil && !errors.Is(err, collector.ErrTotalsOnly) {
				t.Errorf("%s: got %v, want ok: %t", day, err, ok)
			}
			l.Abort(ctx)
		}
		if p := r.point(today()); *p.Active.Day != 2 {
			t.Errorf("after imports that failed: got %+v", p)
		}
		r.sends(0, 3, "1.0")
	})
}
