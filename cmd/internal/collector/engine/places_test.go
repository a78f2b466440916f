package engine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// values returns the counts by value of a dimension in a window that ends today.
func (r *rig) values(dimension string, window int, v figures.View) map[string]uint64 {
	r.t.Helper()
	b, err := r.e.Breakdown(r.t.Context(), r.app.Num, dimension, window, today(), v)
	if err != nil {
		r.t.Fatal(err)
	}
	counts := make(map[string]uint64)
	for _, v := range b.Values {
		counts[v.Value] = *v.Count
	}
	return counts
}

// shows checks how many of today's installations are shown with a value.
func (r *rig) shows(dimension, value string, want uint64) {
	r.t.Helper()
	if got := r.values(dimension, 1, figures.View{})[value]; got != want {
		r.t.Errorf("%s: got %d installations with %s of %s, want %d", today(), got, value, dimension, want)
	}
}

// facts returns a heartbeat with facts that are true.
func (r *rig) facts(n int, names ...string) collector.Received {
	h := r.heartbeat(n, "1.0")
	slices.Sort(names)
	for _, name := range names {
		h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: name, Value: "true"})
	}
	return h
}

func invented(prefix string, from, to int) (names []string) {
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("%s.x%d", prefix, i))
	}
	return names
}

// S10 in docs/failures.md: the names of facts that were invented and then
// deleted leave their places.
func TestInventedFactsDeleted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 2 {
			r.send(r.facts(n, invented(fmt.Sprintf("a%d", n), 0, 64)...))
		}
		for n := range 2 {
			if d, err := r.e.Forget(t.Context(), id(n)); err != nil || d.Deleted != 1 {
				t.Fatalf("got %+v, %v", d, err)
			}
		}
		check := func() {
			t.Helper()
			names, err := r.e.Dimensions(t.Context(), r.app.Num, figures.View{})
			if err != nil || len(slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "fact.") })) != 2 {
				t.Errorf("got %v, %v, want two facts", names, err)
			}
			r.shows("fact.tls", "true", 1)
			r.shows("fact.store.kind", "true", 1)
		}
		r.send(r.facts(10, "tls", "store.kind"))
		check()
		r.crash()
		check()
	})
}

// The names of facts that somebody invented make way for those of an
// installation that is known for longer, though nobody deleted them.
func TestInventedFactsMakeWay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(r.heartbeat(10, "1.0"))
		r.nextDay()
		for n := range 2 {
			r.send(r.facts(n, invented(fmt.Sprintf("a%d", n), 0, 64)...))
		}
		r.send(r.facts(10, "tls", "store.kind"))
		time.Sleep(2 * time.Minute) // a checkpoint
		for range 2 {
			r.shows("fact.tls", "true", 1)
			r.shows("fact.store.kind", "true", 1)
			q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
			if err != nil || len(q.TurnedAway.Tables) != 1 {
				t.Fatalf("got %+v, %v", q.TurnedAway, err)
			}
			// 28 of 128 found no place, and two lost it.
			if got := q.TurnedAway.Tables[0]; got.Table != "facts" || got.Count != 30 || len(got.Examples) != 5 {
				t.Errorf("got %+v, want 30 facts that were turned away, with 5 examples", got)
			}
			r.crash()
		}
		// A deletion takes the examples along: they may be what was deleted.
		if _, err := r.e.Forget(t.Context(), id(1)); err != nil {
			t.Fatal(err)
		}
		r.crash()
		if got, err := r.e.TurnedAway(r.app.Num); err != nil || got.Tables[0].Count != 30 || len(got.Tables[0].Examples) != 0 {
			t.Errorf("got %+v, %v, want the count alone", got.Tables, err)
		}
	})
}

// Invented faults from one address have few places, and those from many make way.
func TestInventedFaults(t *testing.T) {
	t.Parallel()
	for _, prefixes := range []int{1, 1000} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.send(r.heartbeat(1000, "1.0"))
			r.nextDay()
			for n := range 42 {
				h := r.health(n, 1, time.Now(), "")
				h.Prefix = uint64(7 + n%prefixes)
				h.Report.Faults = slices.Repeat(h.Report.Faults, 25)
				for i := range h.Report.Faults {
					h.Report.Faults[i].Reason = fmt.Sprintf("invented-%d-%d", n, i)
				}
				r.reports(h)
			}
			strangers := []collector.ReceivedHealth{r.health(1000, 1, time.Now(), "disk-full")}
			want := 1
			if prefixes == 1 { // then even a new installation has its fault counted, elsewhere
				strangers = append(strangers, r.health(2000, 1, time.Now(), "disk-full"))
				strangers[1].Prefix = 8
				want = 2
			}
			for _, h := range strangers {
				r.reports(h)
			}
			for range 2 {
				faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, fault := range faults.Faults {
					if fault.Reason == "disk-full" {
						r.wants("affected", fault.Affected, uint64(want))
						found = true
					}
				}
				if !found || len(faults.Faults) > collector.MaxFaults || prefixes == 1 && len(faults.Faults) != collector.MaxNewEntries+1 {
					t.Errorf("%d prefixes: got %d faults, with the real one: %v", prefixes, len(faults.Faults), found)
				}
				r.crash()
			}
		})
	}
}

// Invented versions, systems and machines from one address have few places, and
// those from many make way for a new release: the installations that move to it
// are known.
func TestInventedVersions(t *testing.T) {
	t.Parallel()
	for _, prefixes := range []int{1, 1000} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.send(r.heartbeat(1000, "2.0.0"))
			r.nextDay()
			for n := range 50 {
				for i := range 22 {
					h := r.heartbeat(n, fmt.Sprintf("9.%d.%d", n, i))
					h.Prefix = uint64(7 + (22*n+i)%prefixes)
					h.Heartbeat.Platform = report.Platform{
						System: fmt.Sprintf("system-%d-%d", n, i), Machine: fmt.Sprintf("machine-%d-%d", n, i),
					}
					r.send(h)
				}
			}
			h := r.heartbeat(1000, "3.0.0")
			h.Heartbeat.Platform = report.Platform{System: "plan9", Machine: "riscv64"}
			r.send(h)
			for range 2 {
				r.shows(collector.DimVersion, "3.0.0", 1)
				r.shows(collector.DimSystem, "plan9", 1)
				r.shows(collector.DimMachine, "riscv64", 1)
				r.crash()
			}
			v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			if err != nil || !slices.ContainsFunc(v.Releases, func(release figures.Release) bool { return release.Version == "3.0.0" }) {
				t.Errorf("the new release is missing: %v", err)
			}
			for _, release := range v.Releases {
				if release.Doubtful != (release.Version != "3.0.0") || release.Doubtful && len(release.Adoption) > 0 {
					t.Errorf("got %+v", release)
				}
			}
			if !slices.ContainsFunc(v.Moves, func(m figures.Move) bool { return m.From == "2.0.0" && m.To == "3.0.0" }) && len(v.Moves) < figures.MaxMoves {
				t.Errorf("the move to the new release is missing from %d", len(v.Moves))
			}
		})
	}
}

// The maintainer sees at once what an app's first installations report, and the
// public once a window is over.
func TestFirstDay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		public := figures.View{Public: true, K: 2}
		send := func() {
			for n := range 4 {
				r.send(r.facts(n, "tls"))
			}
		}
		check := func(v figures.View, names, version string) {
			t.Helper()
			dimensions, err := r.e.Dimensions(t.Context(), r.app.Num, v)
			if err != nil || strings.Join(dimensions, " ") != names {
				t.Errorf("%s: got dimensions %v, %v, want %s", today(), dimensions, err, names)
			}
			if got := r.values(collector.DimVersion, 1, v); len(got) != 1 || got[version] != 4 {
				t.Errorf("%s: got versions %v, want 4 with %s", today(), got, version)
			}
		}
		const all = "deployment fact.tls first_version machine system version"
		send()
		check(figures.View{}, all, "1.0")
		for range 2 {
			if names, err := r.e.Dimensions(t.Context(), r.app.Num, public); err != nil || len(names) > 0 {
				t.Errorf("%s: the public sees %v, %v", today(), names, err)
			}
			r.nextDay()
			send()
		}
		check(figures.View{}, all, "1.0")
		for collector.LastPublicDay(today()-1) < r.app.Created {
			r.nextDay()
		}
		check(public, all, "1.0")
	})
}

// What is declared always has its place, and Clear frees the places of what only
// strangers said.
func TestDeclare(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		facts, err := report.Declare(report.BoolFact("tls", "why"), report.EnumFact("store.kind", "why", "sqlite", "postgres"))
		if err != nil {
			t.Fatal(err)
		}
		declared := collector.Declarations{Facts: facts, Releases: []collector.DeclaredRelease{{Version: "3.0.0", Released: 10_000}}}
		if err := r.e.Declare(t.Context(), r.app.Num, declared); err != nil {
			t.Fatal(err)
		}
		r.crash()
		if got, err := r.e.Declared(r.app.Num); err != nil || len(got.Facts.Facts()) != 2 || len(got.Releases) != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		for n := range 1200 {
			h := r.facts(n, invented("a", n%100, n%100+2)...)
			h.Heartbeat.Version = fmt.Sprintf("9.%d", n)
			r.send(h)
		}
		h := r.facts(5000, "tls")
		h.Heartbeat.Version = "3.0.0"
		h.Heartbeat.Facts = append(report.Facts{{Name: "store.kind", Value: "sqlite"}}, h.Heartbeat.Facts...)
		r.send(h)
		check := func() {
			t.Helper()
			r.shows("fact.tls", "true", 1)
			r.shows("fact.store.kind", "sqlite", 1)
			r.shows(collector.DimVersion, "3.0.0", 1)
		}
		check()
		v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
		if err != nil || !slices.ContainsFunc(v.Releases, func(release figures.Release) bool {
			return release.Version == "3.0.0" && release.Released == 10_000
		}) {
			t.Errorf("the release date is missing: %v", err)
		}

		freed, err := r.e.Clear(t.Context(), r.app.Num)
		if err != nil || freed < 1000 {
			t.Errorf("got %d freed, %v", freed, err)
		}
		for range 2 {
			check()
			if got := r.values(collector.DimVersion, 1, figures.View{}); len(got) != 2 || got["other"] != 1200 {
				t.Errorf("got versions %v, want the declared one and 1200 others", got)
			}
			q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
			if err != nil || len(q.TurnedAway.Tables) != 0 || q.TurnedAway.Since != today() {
				t.Errorf("got %+v, %v, want an empty list", q.TurnedAway, err)
			}
			r.crash()
		}
	})
	for name, d := range map[string]collector.Declarations{
		"no version": {Releases: []collector.DeclaredRelease{{}}},
		"v1.0":       {Releases: []collector.DeclaredRelease{{Version: "v1.0"}}},
		"too many":   {Releases: slices.Repeat([]collector.DeclaredRelease{{Version: "1.0"}}, collector.MaxDeclaredReleases+1)},
	} {
		if d.Validate() == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
}

// A failed commit leaves the tables as they were.
func TestPlacesOfFailedCommit(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(r.heartbeat(1000, "1.0"))
		r.nextDay()
		for n := range 250 {
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.Platform.System = fmt.Sprintf("system-%d", n)
			r.send(h)
		}
		r.send(r.heartbeat(1000, "1.0")) // linux takes one of the places
		before := r.values(collector.DimSystem, 1, figures.View{})
		r.store.Fail(collector.ErrUnavailable)
		h := r.heartbeat(1000, "2.0")
		h.Heartbeat.Platform.System = "plan9"
		if _, err := r.e.Heartbeat(t.Context(), h); err == nil {
			t.Error("got nil from a store that fails")
		}
		r.store.Fail(nil)
		for range 2 {
			if got := r.values(collector.DimSystem, 1, figures.View{}); fmt.Sprint(got) != fmt.Sprint(before) {
				t.Errorf("got %d systems, want the %d before", len(got), len(before))
			}
			r.crash()
		}
		r.send(h)
		r.shows(collector.DimSystem, "plan9", 1)
		r.shows(collector.DimSystem, "linux", 0)
	})
}

// The tables of a store of version 1 are read, and written in the new form.
func TestTablesOfVersion1(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n, version := range []string{"1.0", "1.1", "1.1"} {
			r.send(r.facts(n, "tls"))
			r.send(r.heartbeat(n, version))
		}
		old := r.store.Clone()
		r.close()
		var records []collector.Record
		for record, err := range old.Records(t.Context(), "dims", r.app.Num, 0, 0) {
			if err != nil {
				t.Fatal(err)
			}
			var is struct {
				Number int            `json:"number"`
				Texts  map[int]string `json:"texts"`
			}
			if err := json.Unmarshal(record.Data, &is); err != nil {
				t.Fatal(err)
			}
			was := map[string]any{"number": is.Number}
			values := make([]string, 4) // with free numbers
			for number, text := range is.Texts {
				values[number] = text
			}
			was["values"] = values
			if record.Data = nil; record.Name != "" {
				record.Data, _ = json.Marshal(was)
			}
			records = append(records, record)
		}
		if _, err := old.Commit(t.Context(), &collector.Batch{Records: records}); err != nil {
			t.Fatal(err)
		}
		r.store = old
		r.open()
		for range 2 {
			r.shows(collector.DimVersion, "1.0", 1)
			r.shows(collector.DimVersion, "1.1", 2)
			r.send(r.heartbeat(3, "2.0"))
			r.shows(collector.DimVersion, "2.0", 1)
			r.shows(collector.DimVersion, "1.1", 2)
			r.crash()
		}
	})
}

// A flood of forged installations from a thousand networks, over 30 days, hides
// nothing that three installations known for long report. With ROLLCALL_SOAK it
// has a million, as S10 in docs/failures.md promises.
func TestFlood(t *testing.T) {
	t.Parallel()
	forged := 6000
	if os.Getenv("ROLLCALL_SOAK") != "" {
		forged = 1_000_000
	}
	inBubble(t, func(t *testing.T, r *rig) {
		f := &flood{rig: r, perDay: forged / 30}
		for range 30 { // known for 30 days when the flood begins
			for n := range 30 {
				r.send(f.honest(n, 0))
			}
			r.nextDay()
		}
		for day := range 30 {
			f.day(day)
			if day%10 == 9 {
				r.crash()
				f.check(day)
			}
			r.nextDay()
		}
	})
}

// A flood is thirty honest installations, three for each of ten values, and many
// forged ones.
type flood struct {
	*rig
	perDay, next int
	// counts are today's installations by dimension and value.
	counts map[string]map[string]uint64
}

// honest returns today's heartbeat of an honest installation. On day 10 they
// move to a new release, which has a new fact.
func (f *flood) honest(n, day int) collector.Received {
	h := f.heartbeat(1_000_000_000+n, "1.0")
	names := []string{fmt.Sprintf("feature.f%d", n/3), "tls"}
	if day >= 10 {
		h.Heartbeat.Version = fmt.Sprintf("2.0.%d", n/3)
		names = append(names, "zstd")
	}
	for _, name := range names {
		h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: name, Value: "true"})
	}
	h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: "users", Value: fmt.Sprintf("u%d", n/3)})
	slices.SortFunc(h.Heartbeat.Facts, func(a, b report.FactValue) int { return strings.Compare(a.Name, b.Name) })
	h.Heartbeat.Platform = report.Platform{System: fmt.Sprintf("honest-%d", n/3), Machine: "amd64"}
	h.Country = "CH"
	return h
}

// forge returns the heartbeat of a forged installation. Some of them share what
// they invent, or say what the honest ones say.
func (f *flood) forge(n int) collector.Received {
	h := f.heartbeat(n, fmt.Sprintf("99.%d", n))
	for i := range 6 {
		h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: fmt.Sprintf("a%d.x%d", i, n/4), Value: fmt.Sprintf("v%d", n)})
	}
	switch n % 4 {
	case 1:
		h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: "tls", Value: "true"})
	case 2:
		h.Heartbeat.Facts = append(h.Heartbeat.Facts, report.FactValue{Name: "users", Value: fmt.Sprintf("w%d", n)})
	}
	h.Heartbeat.Platform = report.Platform{System: fmt.Sprintf("s%d", n), Machine: fmt.Sprintf("m%d", n/4), Release: fmt.Sprintf("r%d", n)}
	h.Country = fmt.Sprintf("%c%c", 'A'+n%26, 'A'+n/26%26)
	h.Prefix = uint64(1 + n%1000)
	return h
}

func (f *flood) day(day int) {
	f.counts = make(map[string]map[string]uint64)
	var wg sync.WaitGroup
	send := func(h collector.Received, health *collector.ReceivedHealth) {
		wg.Go(func() {
			if _, err := f.e.Heartbeat(f.t.Context(), h); err != nil {
				f.t.Error(err)
			}
			if health == nil {
				return
			}
			if _, err := f.e.Health(f.t.Context(), *health); err != nil {
				f.t.Error(err)
			}
		})
	}
	sent := 0
	forge := func(n int) {
		h := f.forge(n)
		f.count(h)
		var health *collector.ReceivedHealth
		if n%2 == 0 {
			report := f.health(n, 1, time.Now(), fmt.Sprintf("invented-%d", n))
			report.Prefix = h.Prefix
			health = &report
		}
		send(h, health)
		if sent++; sent%500 == 0 {
			wg.Wait()
		}
	}
	first := f.next
	for ; f.next < first+f.perDay; f.next++ {
		forge(f.next)
	}
	for n := 0; n < first; n += 20 { // some of the earlier ones stay, and are established
		forge(n)
	}
	wg.Wait()
	for n := range 30 {
		h := f.honest(n, day)
		f.count(h)
		health := f.health(1_000_000_000+n, day+1, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), fmt.Sprintf("real-%d", n/3))
		send(h, &health)
	}
	wg.Wait()
	f.check(day)
}

// count adds what a heartbeat says to today's truth.
func (f *flood) count(h collector.Received) {
	add := func(dimension, value string) {
		if f.counts[dimension] == nil {
			f.counts[dimension] = make(map[string]uint64)
		}
		f.counts[dimension][value]++
	}
	add(collector.DimVersion, h.Heartbeat.Version)
	add(collector.DimSystem, h.Heartbeat.Platform.System)
	add(collector.DimMachine, h.Heartbeat.Platform.Machine)
	for _, fact := range h.Heartbeat.Facts {
		add(collector.FactDimension+fact.Name, fact.Value)
	}
}

// check checks that everything that honest installations said today is shown,
// and how many they are.
func (f *flood) check(day int) {
	f.t.Helper()
	want := make(map[string]map[string]bool)
	for n := range 30 {
		h := f.honest(n, day)
		for dimension, value := range map[string]string{
			collector.DimVersion: h.Heartbeat.Version, collector.DimSystem: h.Heartbeat.Platform.System, collector.DimMachine: "amd64",
		} {
			if want[dimension] == nil {
				want[dimension] = make(map[string]bool)
			}
			want[dimension][value] = true
		}
		for _, fact := range h.Heartbeat.Facts {
			dimension := collector.FactDimension + fact.Name
			if want[dimension] == nil {
				want[dimension] = make(map[string]bool)
			}
			want[dimension][fact.Value] = true
		}
	}
	for dimension, values := range want {
		got := f.values(dimension, 1, figures.View{})
		for value := range values {
			if n := f.counts[dimension][value]; got[value] != n {
				f.t.Errorf("day %d: got %d with %s of %s, want %d", day, got[value], value, dimension, n)
			}
		}
	}
	faults, err := f.e.Faults(f.t.Context(), f.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
	if err != nil {
		f.t.Fatal(err)
	}
	real := 0
	for _, fault := range faults.Faults {
		if strings.HasPrefix(fault.Reason, "real-") && *fault.Affected == 3 {
			real++
		}
	}
	if real != 10 {
		f.t.Errorf("day %d: got %d of 10 real faults on 3 installations each", day, real)
	}
	versions, err := f.e.Versions(f.t.Context(), f.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
	if err != nil {
		f.t.Fatal(err)
	}
	for version := range want[collector.DimVersion] {
		if !slices.ContainsFunc(versions.Releases, func(release figures.Release) bool { return release.Version == version && *release.Active >= 3 }) {
			f.t.Errorf("day %d: release %s is missing", day, version)
		}
	}
}

// What an app's first installations report keeps its place against what is
// invented later on the same day, also after a restart.
func TestFirstDayUnderAttack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n := range 9 {
			r.send(r.facts(n, "tls", "store.kind"))
		}
		r.crash()
		for n := range 2 {
			r.send(r.facts(100+n, invented(fmt.Sprintf("a%d", n), 0, 64)...))
		}
		r.shows("fact.tls", "true", 9)
		r.shows("fact.store.kind", "true", 9)
	})
}

// A purge frees the places of what only purged installations had.
func TestPurgeFreesPlaces(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.Retention = collector.MinRetention
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		for n := range 250 {
			h := r.facts(n, invented("a", n%100, n%100+1)...)
			h.Heartbeat.Platform.System = fmt.Sprintf("system-%d", n)
			r.send(h)
		}
		for range collector.MinRetention + 2 {
			r.nextDay()
			r.send(r.facts(1000, "tls"))
		}
		names, err := r.e.Dimensions(t.Context(), r.app.Num, figures.View{})
		if err != nil || len(slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "fact.") })) != 1 {
			t.Errorf("got dimensions %v, %v, want one fact", names, err)
		}
		for n := range 250 { // all of them find a place, so all of them were freed
			h := r.heartbeat(2000+n, "1.0")
			h.Heartbeat.Platform.System = fmt.Sprintf("new-%d", n)
			r.send(h)
		}
		if got := r.values(collector.DimSystem, 1, figures.View{}); got["other"] != 1 { // linux has the last place
			t.Errorf("got %d systems, and %d others, want one other", len(got), got["other"])
		}
	})
}
