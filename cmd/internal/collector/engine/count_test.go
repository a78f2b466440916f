package engine_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

func TestRepeated(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		if got := r.send(r.heartbeat(1, "1.0")); got != (collector.Receipt{New: true}) {
			t.Errorf("first: got %+v", got)
		}
		commits := r.store.Commits()
		for range 10 { // S3 in docs/failures.md
			if got := r.send(r.heartbeat(1, "1.0")); got != (collector.Receipt{Repeated: true}) {
				t.Errorf("repeat: got %+v", got)
			}
		}
		if n := r.store.Commits() - commits; n != 0 {
			t.Errorf("ten repeats: got %d commits, want none", n)
		}
		if got := r.send(r.heartbeat(1, "1.1")); got != (collector.Receipt{}) {
			t.Errorf("another version: got %+v", got)
		}
		p := r.point(today())
		r.wants("active", p.Active.Day, 1)
		r.wants("new", p.New, 1)
		r.wants("established", p.Established.Day, 0)
	})
}

// What was acknowledged survives a crash at any moment, and counts once.
func TestCrash(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for day := range 5 {
			r.sends(day*10, day*10+30, fmt.Sprintf("1.%d", day))
			r.crash()
			p := r.point(today())
			r.wants("active", p.Active.Day, 30)
			if day > 0 {
				r.wants("new", p.New, 10)
				r.wants("established", p.Established.Day, 20)
			}
			r.sends(day*10, day*10+30, fmt.Sprintf("1.%d", day))
			r.wants("active after repeats", r.point(today()).Active.Day, 30)
			time.Sleep(time.Duration(day) * time.Minute) // some checkpoints
			r.crash()
			r.wants("active after a checkpoint", r.point(today()).Active.Day, 30)
			r.wants("28 days", r.point(today()).Active.Days28, uint64(30+10*day))
			r.nextDay()
			r.crash()
		}
	})
}

// S2 in docs/failures.md: nothing is acknowledged before it is durable, and the
// engine recovers by itself.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 3, "1.0")
		r.store.Fail(collector.ErrUnavailable)
		for range 2 {
			if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(7, "1.0")); !errors.Is(err, collector.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		}
		if err := r.e.Ready(t.Context()); err == nil {
			t.Error("ready although the store fails")
		}
		r.wants("active", r.point(today()).Active.Day, 3)
		r.nextDay() // the day cannot be closed
		if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(7, "1.0")); !errors.Is(err, collector.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		r.store.Fail(nil)
		if got := r.send(r.heartbeat(7, "1.0")); !got.New {
			t.Errorf("got %+v, want a new one", got)
		}
		if err := r.e.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		r.wants("active the day before", r.point(today()-1).Active.Day, 3)
		r.wants("active", r.point(today()).Active.Day, 1)
	})
}

// If the store hangs, callers wait no longer than they want, and what they sent
// counts once.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		release := r.store.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.e.Heartbeat(ctx, r.heartbeat(1, "1.0")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		release()
		r.send(r.heartbeat(1, "1.0"))
		r.wants("active", r.point(today()).Active.Day, 1)
		r.wants("new", r.point(today()).New, 1)
	})
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		h := r.heartbeat(1, "1.0")
		h.Heartbeat.IDPersistence = report.InMemory
		for range 3 {
			r.send(h)
		}
		r.crash()
		r.send(h)
		p := r.point(today())
		r.wants("in memory", p.InMemory, 1)
		r.wants("active", p.Active.Day, 0)
		r.wants("new", p.New, 0)
		r.nextDay()
		r.wants("in memory, closed", r.point(today()-1).InMemory, 1)
		r.wants("in memory, tomorrow", r.point(today()).InMemory, 0)
		// A known ID remains an installation.
		r.send(r.heartbeat(2, "1.0"))
		h = r.heartbeat(2, "1.0")
		h.Heartbeat.IDPersistence = report.InMemory
		r.nextDay()
		r.send(h)
		r.wants("active", r.point(today()).Active.Day, 1)
	})
}

// A deletion of an ID that is no installation can be repeated until it succeeds.
func TestForgetInMemoryAgain(t *testing.T) {
	t.Parallel()
	for commits := range 2 { // the checkpoint, and the deletion
		inBubble(t, func(t *testing.T, r *rig) {
			h := r.heartbeat(1, "1.0")
			h.Heartbeat.IDPersistence = report.InMemory
			r.send(h)
			r.store.FailAfter(commits, collector.ErrUnavailable)
			if _, err := r.e.Forget(t.Context(), id(1)); err == nil {
				t.Fatal("got no error")
			}
			r.wants("in memory", r.point(today()).InMemory, 1)
			r.store.Fail(nil)
			if d, err := r.e.Forget(t.Context(), id(1)); err != nil || d.Deleted != 1 {
				t.Errorf("got %+v, %v", d, err)
			}
			r.crash()
			if d, err := r.e.Forget(t.Context(), id(1)); err != nil || d.Deleted != 0 {
				t.Errorf("after a crash: got %+v, %v", d, err)
			}
			r.wants("in memory", r.point(today()).InMemory, 1)
		})
	}
}

// Whether anything was ever counted survives restarts and deletions.
func TestReported(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		wants := func(what string, want bool) {
			t.Helper()
			if got, err := r.e.Reported(r.app.Num); err != nil || got != want {
				t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
			}
		}
		h := r.heartbeat(1, "1.0")
		h.Heartbeat.IDPersistence = report.InMemory
		r.send(h)
		wants("in memory", false)
		r.sends(2, 3, "1.0")
		wants("counted", true)
		if _, err := r.e.Forget(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
		wants("forgotten", true)
		r.nextDay()
		r.crash()
		wants("after a crash", true)
		if _, err := r.e.Reported(r.app.Num + 1); err == nil {
			t.Error("unknown app: got nil, want an error")
		}
	})
}

func TestDevelopmentExcluded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.ExcludeDevelopment = true
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		r.sends(0, 2, "1.0-dev")
		r.sends(2, 5, "1.0")
		p := r.point(today())
		r.wants("excluded", p.Excluded, 2)
		r.wants("active", p.Active.Day, 3)
	})
}

func TestNewLimit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.MaxNewPerDay = 3
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		r.sends(0, 3, "1.0")
		if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(3, "1.0")); !errors.Is(err, collector.ErrNewLimit) {
			t.Errorf("got %v, want ErrNewLimit", err)
		}
		r.send(r.heartbeat(0, "1.1")) // known installations are never refused
		r.nextDay()
		r.send(r.heartbeat(3, "1.0"))
	})
}

func TestRefusedApps(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		h := r.heartbeat(1, "1.0")
		h.App = 99
		if _, err := r.e.Heartbeat(t.Context(), h); !errors.Is(err, collector.ErrUnknownApp) {
			t.Errorf("got %v, want ErrUnknownApp", err)
		}
		app := r.app
		app.Gone = true
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(1, "1.0")); !errors.Is(err, collector.ErrGone) {
			t.Errorf("got %v, want ErrGone", err)
		}
		if _, err := r.e.AddApp(t.Context(), collector.App{Key: "app"}); !errors.Is(err, collector.ErrAppExists) {
			t.Errorf("got %v, want ErrAppExists", err)
		}
		for n := 2; n <= 100; n++ {
			r.addApp(collector.App{Key: fmt.Sprintf("app-%d", n)})
		}
		if _, err := r.e.AddApp(t.Context(), collector.App{Key: "one-more"}); !errors.Is(err, collector.ErrTooManyApps) {
			t.Errorf("got %v, want ErrTooManyApps", err)
		}
		r.crash()
		if n := len(r.e.Apps()); n != 100 {
			t.Errorf("after a crash: got %d apps, want 100", n)
		}
	})
}

func TestSecret(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		other := append([]byte("x"), testSecret...)
		if _, err := engine.Open(t.Context(), r.store.Clone(), engine.Options{Secret: other}); !errors.Is(err, engine.ErrSecret) {
			t.Errorf("got %v, want ErrSecret", err)
		}
		if _, err := engine.Open(t.Context(), r.store.Clone(), engine.Options{Secret: testSecret[:31]}); err == nil {
			t.Error("a secret of 31 bytes: got nil, want an error")
		}
	})
}

// Days on which the collector did not run are gaps, and nothing is lost.
func TestGap(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 5, "1.0")
		first := today()
		r.restart(3 * 24 * time.Hour)
		r.sends(0, 2, "1.0")
		for day, want := range map[collector.Day]bool{first: false, first + 1: true, first + 2: true, first + 3: false} {
			if got := r.point(day).Gap; got != want {
				t.Errorf("%s: got gap: %v, want %v", day, got, want)
			}
		}
		r.wants("28 days", r.point(today()).Active.Days28, 5)
		r.wants("established", r.point(today()).Established.Days28, 2)
	})
}

// Values beyond the limit, 250, count as other.
func TestManyValues(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 260 {
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.Facts = report.Facts{{Name: "f", Value: fmt.Sprintf("v%d", n)}}
			r.send(h)
		}
		b, err := r.e.Breakdown(t.Context(), r.app.Num, collector.FactDimension+"f", 28, today(), figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Values); n != 251 {
			t.Errorf("got %d values, want 250 and other", n)
		}
		for _, v := range b.Values {
			if v.Value == collector.Other {
				r.wants("other", v.Count, 10)
			}
		}
		q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
		if err != nil {
			t.Fatal(err)
		}
		want := figures.TurnedTable{Table: collector.FactDimension + "f", Count: 10, Examples: []string{"v250", "v251", "v252", "v253", "v254"}}
		if got := q.TurnedAway.Tables; len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("got turned away: %+v, want %+v", got, want)
		}
	})
}

func TestClones(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		r.sends(0, 3, "1.0")
		for n := range 8 {
			h := r.heartbeat(0, "1.0")
			h.Heartbeat.Platform.System = []string{"windows", "linux"}[n%2]
			r.send(h)
			r.send(r.heartbeat(1, fmt.Sprintf("1.%d", n+1))) // upgrades are no flips
		}
		for range 4 { // nor does an operator who tries a release each month make a clone
			r.send(r.heartbeat(2, "2.0"))
			r.send(r.heartbeat(2, "1.0"))
			for range 30 {
				r.nextDay()
			}
		}
		q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
		if err != nil {
			t.Fatal(err)
		}
		r.wants("clones", q.Clones, 1)
		v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: first, To: first}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		r.wants("upgrades", v.Upgrades, 8+1)
		r.wants("downgrades", v.Downgrades, 1)
	})
}

// Installations that are inactive for the retention are purged; totals remain.
func TestPurge(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.Retention = 60
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		first := today()
		r.sends(0, 10, "1.0")
		for range 60 {
			r.nextDay()
			r.sends(0, 4, "1.0")
		}
		if held, _ := r.e.Describe(t.Context(), id(9)); len(held) != 1 {
			t.Errorf("purged too early: got %+v, want one", held)
		}
		r.nextDay()
		r.sends(0, 4, "1.0")
		if held, _ := r.e.Describe(t.Context(), id(9)); len(held) != 0 {
			t.Errorf("not purged: got %+v, want none", held)
		}
		if held, _ := r.e.Describe(t.Context(), id(0)); len(held) != 1 || len(held[0].Days) != 61 {
			t.Errorf("got %+v", held)
		}
		r.crash()
		if held, _ := r.e.Describe(t.Context(), id(9)); len(held) != 0 {
			t.Errorf("after a crash: got %+v, want none", held)
		}
		r.wants("active on the first day", r.point(first).Active.Day, 10)
		if got := r.send(r.heartbeat(9, "1.0")); !got.New {
			t.Errorf("got %+v, want a new one", got)
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for range 40 {
			r.sends(0, 5, "1.0")
			r.nextDay()
		}
		r.sends(0, 6, "1.0")
		held, err := r.e.Describe(t.Context(), id(3))
		if err != nil || len(held) != 1 || len(held[0].Days) != 41 || !held[0].Established || held[0].Values[collector.DimVersion] != "1.0" {
			t.Fatalf("got %+v, %v", held, err)
		}
		for i, want := range []int{1, 0, 0} {
			got, err := r.e.Forget(t.Context(), id(3))
			if err != nil || got.Deleted != want {
				t.Errorf("call %d: got %+v, %v", i, got, err)
			}
		}
		for range 2 {
			if held, err := r.e.Describe(t.Context(), id(3)); err != nil || len(held) != 0 {
				t.Errorf("got %+v, %v", held, err)
			}
			r.wants("active", r.point(today()).Active.Day, 5)
			r.wants("28 days", r.point(today()).Active.Days28, 5)
			r.wants("forgotten", r.point(today()).Forgotten, 1)
			r.wants("the day before", r.point(today()-1).Active.Day, 5)
			r.crash()
		}
		if got := r.send(r.heartbeat(3, "1.0")); !got.New {
			t.Errorf("got %+v, want a new one", got)
		}
		h := r.heartbeat(50, "1.0")
		h.Heartbeat.IDPersistence = report.InMemory
		r.send(h)
		if got, err := r.e.Forget(t.Context(), id(50)); err != nil || got.Deleted != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		r.wants("in memory", r.point(today()).InMemory, 1)
	})
}

// Cached spans follow deletions, and days that end.
func TestForgetUpdatesSpans(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		r.sends(0, 6, "1.0")
		r.reports(r.health(2, 1, time.Now(), "disk-full"))
		for range 50 {
			r.nextDay()
			r.sends(5, 6, "1.0")
			r.reports(r.health(5, 1, time.Now(), "disk-full"))
		}
		wants := func(what string, since collector.Day, want, faulty uint64) {
			t.Helper()
			faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: since, To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			if faults.Denominator != want {
				t.Errorf("%s: active since %s: got %d, want %d", what, since, faults.Denominator, want)
			}
			var affected uint64
			for _, fault := range faults.Faults {
				affected += *fault.Affected
			}
			if affected != faulty {
				t.Errorf("%s: with a fault since %s: got %d, want %d", what, since, affected, faulty)
			}
		}
		for range 2 {
			wants("before", first, 6, 2)
			wants("before", first+1, 1, 1)
		}
		if _, err := r.e.Forget(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
		wants("after", first, 5, 1)
		r.wants("28 days", r.point(today()).Active.Days28, 1)
		if _, err := r.e.Forget(t.Context(), id(5)); err != nil {
			t.Fatal(err)
		}
		wants("after another", first, 4, 0)
		r.wants("28 days", r.point(today()).Active.Days28, 0)
		r.nextDay()
		r.sends(0, 1, "1.0")
		r.wants("the next day", r.point(today()).Active.Days28, 1)
		r.wants("returning", r.point(today()).Returning, 1)
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 5, "1.0")
		r.close()
		if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(9, "1.0")); !errors.Is(err, collector.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		r.open()
		r.wants("active", r.point(today()).Active.Day, 5)
	})
}

// The app's order of versions decides what an upgrade is.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	for order, want := range map[report.VersionOrder][2]uint64{"": {3, 0}, report.SemVerOrder: {1, 2}} {
		inBubble(t, func(t *testing.T, r *rig) {
			app := r.app
			app.VersionOrder = order
			if err := r.e.UpdateApp(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			for _, version := range []string{"2.0.0-rc9", "2.0.0-rc10", "2.0.0", "2.0.0-ls201"} {
				r.sends(0, 1, version)
			}
			v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			r.wants("upgrades", v.Upgrades, want[0])
			r.wants("downgrades", v.Downgrades, want[1])
		})
	}
}

// Languages and tools name systems and machines differently.
func TestSynonyms(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n, machine := range []string{"x86_64", "AMD64", "x64", "amd64", "aarch64", "arm64"} {
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.Platform.Machine, h.Heartbeat.Platform.System = machine, []string{"Darwin", "macOS"}[n%2]
			r.send(h)
		}
		for dimension, want := range map[string]string{
			collector.DimMachine: "[amd64 4 arm64 2]", collector.DimSystem: "[darwin 6]",
		} {
			b, err := r.e.Breakdown(t.Context(), r.app.Num, dimension, 1, today(), figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			var got []any
			for _, v := range b.Values {
				got = append(got, v.Value, *v.Count)
			}
			if fmt.Sprint(got) != want {
				t.Errorf("%s: got %v, want %s", dimension, got, want)
			}
		}
	})
}
