package engine_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A crowd is a number of installations that differ only in their ID.
type crowd struct {
	size            int
	since, until    int // of the days that are loaded
	version, system string
	upgrade         string // the version from day upOn on, unless empty
	upOn            int
	fault           string
}

const crowdDays = 45

func drawCrowds(t *rapid.T) []crowd {
	crowds := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) crowd {
		c := crowd{
			size: rapid.IntRange(1, 25).Draw(t, "size"), since: rapid.IntRange(0, crowdDays-1).Draw(t, "since"), until: crowdDays,
			version: rapid.SampledFrom(versions).Draw(t, "version"), system: rapid.SampledFrom([]string{"linux", "windows", "darwin"}).Draw(t, "system"),
			fault: rapid.SampledFrom([]string{"", "", "disk-full", "timeout"}).Draw(t, "fault"),
		}
		if rapid.Bool().Draw(t, "ends") {
			c.until = rapid.IntRange(c.since+1, crowdDays).Draw(t, "until")
		}
		if rapid.Bool().Draw(t, "moves") {
			c.upgrade, c.upOn = rapid.SampledFrom(versions).Draw(t, "upgrade"), rapid.IntRange(c.since, c.until).Draw(t, "on")
		}
		return c
	}), 1, 5).Draw(t, "crowds")
	for i := range crowds { // no two crowds share a version
		crowds[i].version += fmt.Sprintf(".%d1", i)
		if crowds[i].upgrade != "" {
			crowds[i].upgrade += fmt.Sprintf(".%d2", i)
		}
	}
	return crowds
}

// loadCrowds adds an app with the crowds, for crowdDays up to today.
func (r *rig) loadCrowds(t rapid.TB, key string, crowds []crowd) collector.App {
	app := r.addApp(collector.App{Key: key})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := r.e.Load(r.t.Context(), app.Num)
	must(err)
	first := today() - crowdDays + 1
	for day := range crowdDays {
		must(l.Day(r.t.Context(), first+collector.Day(day)))
		n := 0
		for _, c := range crowds {
			for range c.size {
				n++
				if day < c.since || day >= c.until {
					continue
				}
				version := c.version
				if c.upgrade != "" && day >= c.upOn {
					version = c.upgrade
				}
				h := r.heartbeat(n, version)
				h.App, h.Heartbeat.App, h.Heartbeat.Platform.System = app.Num, key, c.system
				must(l.Heartbeat(r.t.Context(), h))
				if c.fault != "" {
					f := r.health(n, day+1, first.Time(), c.fault)
					f.App, f.Report.App, f.Report.Version = app.Num, key, version
					must(l.Health(r.t.Context(), f))
				}
			}
		}
	}
	must(l.Close(r.t.Context()))
	return app
}

// answers asks for everything the public can see, over many ranges and days.
func (r *rig) answers(t rapid.TB, app collector.App, v figures.View) []any {
	var all []any
	ctx := r.t.Context()
	add := func(answer any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, answer)
	}
	to := today()
	first := to - crowdDays + 1
	for _, ago := range []collector.Day{0, 1, 7} {
		for _, dimension := range []string{collector.DimVersion, collector.DimFirstVersion, collector.DimSystem} {
			for _, window := range []int{1, 7, 28, 30} {
				answer, err := r.e.Breakdown(ctx, app.Num, dimension, window, to-ago, v)
				add(answer, err)
			}
		}
		floor, err := r.e.Floor(ctx, app.Num, to-ago, v)
		add(floor, err)
		for from := to - ago; from >= first; from -= 11 {
			span := collector.Range{From: from, To: to - ago}
			series, err := r.e.Series(ctx, app.Num, span, v)
			series.MedianAge = nil // not a count
			add(series, err)
			moves, err := r.e.Versions(ctx, app.Num, span, v)
			add(moves, err)
			faults, err := r.e.Faults(ctx, app.Num, span, v)
			add(faults, err)
		}
	}
	for _, top := range []int{1, 2, 20} {
		trend, err := r.e.Trend(ctx, app.Num, collector.DimVersion, 28, collector.Range{From: first, To: to}, top, v)
		add(trend, err)
		survival, err := r.e.Survival(ctx, app.Num, top, v)
		add(survival, err)
	}
	for _, grain := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		retention, err := r.e.Retention(ctx, app.Num, grain, collector.Range{From: first, To: to}, v)
		add(retention, err)
	}
	pairs, err := r.e.CoOccurrence(ctx, app.Num, collector.DimSystem, collector.DimVersion, 28, v)
	add(pairs, err)
	return all
}

// allCounts returns all counts of answers in order, hidden ones as 0.
func allCounts(v reflect.Value) (all []uint64) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type() != reflect.TypeFor[figures.Count]() {
			return nil
		}
		if v.IsNil() {
			return []uint64{0}
		}
		return []uint64{v.Elem().Uint()}
	case reflect.Interface:
		return allCounts(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			all = append(all, allCounts(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Denominator" {
				all = append(all, v.Field(i).Uint())
				continue
			}
			all = append(all, allCounts(v.Field(i))...)
		}
	}
	return all
}

func sameTexts(t rapid.TB, texts [2]string) {
	if texts[0] == texts[1] {
		return
	}
	at := 0
	for at < min(len(texts[0]), len(texts[1])) && texts[0][at] == texts[1][at] {
		at++
	}
	t.Errorf("the public sees a difference: %.80s and %.80s", texts[0][max(0, at-40):], texts[1][max(0, at-40):])
}

func texts(t rapid.TB, answers []any) string {
	data, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// inPast runs a test in a bubble that has room for crowdDays before today.
func inPast(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	inBubble(t, func(t *testing.T, r *rig) {
		time.Sleep((crowdDays + 10) * 24 * time.Hour)
		test(t, r)
	})
}

// The public sees only multiples of k, so that no two counts differ by a small
// group, and no name that only a small group has.
func TestPublicCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		crowds, k := drawCrowds(rt), rapid.IntRange(2, 12).Draw(rt, "k")
		inPast(t, func(t *testing.T, r *rig) {
			app := r.loadCrowds(rt, "crowds", crowds)
			answers := r.answers(rt, app, figures.View{Public: true, K: k})
			for _, n := range allCounts(reflect.ValueOf(answers)) {
				if n%uint64(k) != 0 {
					rt.Fatalf("the public sees %d, not a multiple of %d", n, k)
				}
			}
			text := texts(rt, answers)
			sizes := map[string]int{}
			for _, c := range crowds {
				for _, name := range []string{c.version, c.upgrade, c.system, c.fault} {
					sizes[name] += c.size
				}
			}
			for name, size := range sizes {
				if name != "" && size < k && strings.Contains(text, `"`+name+`"`) {
					rt.Errorf("the public sees %q, the name of %d installations, fewer than %d", name, size, k)
				}
			}
		})
	})
}

// The public cannot see a few additional installations, unless a count reaches
// the next multiple of k. Nor can it see when one of them reports.
func TestPublicTwins(t *testing.T) {
	t.Parallel()
	compared := 0
	rapid.Check(t, func(rt *rapid.T) {
		crowds, k := drawCrowds(rt), rapid.IntRange(5, 12).Draw(rt, "k")
		more := append([]crowd(nil), crowds...)
		for i := range more {
			more[i].size += rapid.IntRange(0, 3).Draw(rt, "more")
		}
		inPast(t, func(t *testing.T, r *rig) {
			apps := []collector.App{r.loadCrowds(rt, "crowds", crowds), r.loadCrowds(rt, "more", more)}
			time.Sleep(90 * time.Minute)
			for n := 1; n <= more[0].size && more[0].until == crowdDays; n++ {
				h := r.heartbeat(n, cmp.Or(more[0].upgrade, more[0].version))
				if more[0].upgrade != "" && more[0].upOn >= crowdDays {
					h.Heartbeat.Version = more[0].version
				}
				h.App, h.Heartbeat.App, h.Heartbeat.Platform.System = apps[1].Num, apps[1].Key, more[0].system
				r.send(h)
			}
			var exact [2][]uint64
			var public [2]string
			for i, app := range apps {
				exact[i] = allCounts(reflect.ValueOf(r.answers(rt, app, figures.View{})))
				public[i] = texts(rt, r.answers(rt, app, figures.View{Public: true, K: k}))
			}
			if len(exact[0]) != len(exact[1]) {
				return
			}
			for i, n := range exact[0] {
				if n/uint64(k) != exact[1][i]/uint64(k) {
					return
				}
			}
			compared++
			sameTexts(rt, public)
		})
	})
	if compared == 0 && !testing.Short() { // short tests have a fifth of the fleets
		t.Error("nothing was compared")
	}
}

// The order of groups reveals nothing that is rounded away.
func TestPublicOrder(t *testing.T) {
	t.Parallel()
	inPast(t, func(t *testing.T, r *rig) {
		var public [2]string
		for i, sizes := range [][]int{{11, 12, 14}, {12, 11, 14}} { // with equal rounded sums
			var crowds []crowd
			for n, size := range sizes {
				crowds = append(crowds, crowd{
					size: size, until: crowdDays, version: fmt.Sprintf("1.%d", n), upgrade: fmt.Sprintf("2.%d", n), upOn: 40,
					system: []string{"linux", "windows", "darwin"}[n],
				})
			}
			app := r.loadCrowds(t, fmt.Sprintf("order-%d", i), crowds)
			public[i] = texts(t, r.answers(t, app, figures.View{Public: true, K: 10}))
		}
		sameTexts(t, public)
	})
}

// Sums over arbitrary ranges would reveal which of two remainders is larger, so
// the public gets only those of windows.
func TestPublicRanges(t *testing.T) {
	t.Parallel()
	inPast(t, func(t *testing.T, r *rig) {
		for range 3 {
			r.sends(0, 20, "1.0")
			r.nextDay()
			r.sends(0, 20, "1.1")
		}
		public := figures.View{Public: true, K: 10}
		for _, tt := range []struct{ from, to, wantFrom, wantTo collector.Day }{
			{-400, 0, -29, 0}, {-29, 0, -29, 0}, {-28, 0, -27, 0}, {-20, 0, -6, 0}, {-1, 0, 0, 0}, {0, 0, 0, 0},
			{-6, 25, -6, 0}, {-45, -3, -32, -3},
		} {
			asked := collector.Range{From: today() + tt.from, To: today() + tt.to}
			want := collector.Range{From: today() + tt.wantFrom, To: today() + tt.wantTo}
			for name, ask := range map[string]func(v figures.View) (collector.Range, error){
				"versions": func(v figures.View) (collector.Range, error) {
					answer, err := r.e.Versions(t.Context(), r.app.Num, asked, v)
					return answer.Range, err
				},
				"faults": func(v figures.View) (collector.Range, error) {
					answer, err := r.e.Faults(t.Context(), r.app.Num, asked, v)
					return answer.Range, err
				},
			} {
				if got, err := ask(public); err != nil || got != want {
					t.Errorf("%s of %v: got %v, %v; want %v", name, asked, got, err, want)
				}
				if got, err := ask(figures.View{}); err != nil || got != asked {
					t.Errorf("%s of %v for the maintainer: got %v, %v", name, asked, got, err)
				}
			}
		}
		v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: today() - 29, To: today()}, public)
		if err != nil {
			t.Fatal(err)
		}
		r.wants("upgrades", v.Upgrades, 60)
	})
}
