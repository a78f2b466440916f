package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
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
	names, err := r.e.Dimensions(ctx, app.Num, v)
	add(names, err)
	for _, ago := range []collector.Day{0, 1, 7, 28} {
		for _, dimension := range append(names, collector.DimVersion, collector.DimFirstVersion, collector.DimSystem) {
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
			add(series, err)
			versions, err := r.e.Versions(ctx, app.Num, span, v)
			add(versions, err)
			faults, err := r.e.Faults(ctx, app.Num, span, v)
			add(faults, err)
		}
	}
	for _, top := range []int{1, 2, 20} {
		trend, err := r.e.Trend(ctx, app.Num, collector.DimVersion, 28, collector.Range{From: first, To: to}, top, v)
		add(trend, err)
	}
	if v.Pairs {
		pairs, err := r.e.CoOccurrence(ctx, app.Num, collector.DimSystem, collector.DimVersion, 28, app.Created+1000, v)
		add(pairs, err)
	} else if _, err := r.e.CoOccurrence(ctx, app.Num, collector.DimSystem, collector.DimVersion, 28, app.Created+1000, v); !errors.Is(err, collector.ErrNotPublic) {
		t.Fatalf("a table of two dimensions: got %v, want ErrNotPublic", err)
	}
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

// The public sees only multiples of k, and no name that only a small group has.
func TestPublicCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		crowds, k := drawCrowds(rt), rapid.IntRange(2, 12).Draw(rt, "k")
		pairs := rapid.Bool().Draw(rt, "pairs")
		inPast(t, func(t *testing.T, r *rig) { r.publicCounts(rt, crowds, k, pairs) })
	})
	inPast(t, func(t *testing.T, r *rig) {
		if r.publicCounts(t, []crowd{{size: 9, until: crowdDays, version: "1.0", system: "linux"}}, 3, true) == 0 {
			t.Error("the public sees nothing of nine installations where k is 3")
		}
	})
}

// publicCounts checks all public answers about an app with the crowds, and
// returns how many of their counts are not 0.
func (r *rig) publicCounts(t rapid.TB, crowds []crowd, k int, pairs bool) (shown int) {
	app := r.loadCrowds(t, "crowds", crowds)
	answers := r.answers(t, app, figures.View{Public: true, Pairs: pairs, K: k})
	for _, n := range allCounts(reflect.ValueOf(answers)) {
		if n%uint64(k) != 0 {
			t.Fatalf("the public sees %d, not a multiple of %d", n, k)
		}
		if n > 0 {
			shown++
		}
	}
	text := texts(t, answers)
	sizes := map[string]int{}
	for _, c := range crowds {
		for _, name := range []string{c.version, c.upgrade, c.system, c.fault} {
			sizes[name] += c.size
		}
	}
	for name, size := range sizes {
		if name != "" && size < k && strings.Contains(text, `"`+name+`"`) {
			t.Errorf("the public sees %q, the name of %d installations, fewer than %d", name, size, k)
		}
	}
	return shown
}

// A world is an engine with a public app that others are compared with.
type world struct{ *rig }

func newWorld(t *testing.T) world {
	r := &rig{t: t, store: storetest.NewMemory()}
	r.open()
	r.app = r.addApp(collector.App{Key: "app", Public: true})
	return world{r}
}

// public returns all public answers.
func (w world) public() string { return texts(w.t, w.answers(w.t, w.app, figures.PublicView(w.app))) }

// An acmeFleet has installations with two values each. The victim is the first:
// the only one that runs its version.
func (w world) acmeFleet(systems []string, fault map[int]bool) {
	for n, system := range systems {
		h := w.heartbeat(n, []string{"1.0", "1.1"}[n%2])
		if n == 0 {
			h.Heartbeat.Version = "1.1.0-acme"
		}
		h.Heartbeat.Platform.System = system
		w.send(h)
		if fault[n] {
			f := w.health(n, 1, time.Now().Add(-time.Hour), "disk-full")
			f.Report.Version = h.Heartbeat.Version
			if _, err := w.e.Health(w.t.Context(), f); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// Somebody who knows the version of an installation sends a thousand forged
// reports over 30 days, and reads every public answer each day. Two worlds differ
// in the system and the fault of that installation, which it has exchanged with
// another one, and in what was reported once: the answers are the same, byte by
// byte.
func TestForgerLearnsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		worlds := []world{newWorld(t), newWorld(t)}
		var systems [2][]string
		for n := range 23 {
			system := []string{"linux", "linux", "windows", "darwin", "linux"}[n%5]
			systems[0], systems[1] = append(systems[0], system), append(systems[1], system)
		}
		systems[1][0], systems[1][2] = systems[1][2], systems[1][0]
		faults := []map[int]bool{{0: true, 4: true, 6: true, 8: true, 10: true, 12: true}, {2: true, 4: true, 6: true, 8: true, 10: true, 12: true}}
		seen := make(map[string]bool)
		for day := range 60 {
			for i, w := range worlds {
				w.acmeFleet(systems[i], faults[i])
				for n := range 33 { // with each guess k-1, so that the victim makes k, and others
					if day < 30 {
						continue
					}
					h := w.heartbeat(1000+n, "1.1.0-acme")
					h.Heartbeat.Platform.System = []string{"linux", "windows", "darwin", "plan9", "plan9", "plan9", "plan9", "plan9", "plan9"}[n/4]
					w.send(h)
				}
				once := w.heartbeat(10_000*(i+1)+day, fmt.Sprintf("9.%d.%d", i, day)) // never again
				w.send(once)
			}
			public := [2]string{worlds[0].public(), worlds[1].public()}
			sameTexts(t, public)
			seen[public[0]] = true
			worlds[0].nextDay()
		}
		if len(seen) < 3 {
			t.Errorf("the answers changed %d times in 60 days", len(seen))
		}
		if pairs := worlds[0].answers(t, worlds[0].app, figures.View{Public: true, Pairs: true}); texts(t, pairs) ==
			texts(t, worlds[1].answers(t, worlds[1].app, figures.View{Public: true, Pairs: true})) {
			t.Error("the worlds do not differ in the table of two dimensions either: nothing was compared")
		}
		for _, w := range worlds {
			w.close()
		}
	})
}

// No report changes a public answer on its day, whatever it has.
func TestPublicIgnoresToday(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		w := newWorld(t)
		defer w.close()
		for range 40 {
			w.sends(0, 13, "1.0")
			w.nextDay()
		}
		before := w.public()
		w.sends(0, 13, "2.0")
		w.sends(100, 150, "3.0")
		sameTexts(t, [2]string{before, w.public()})
	})
}

// A small fleet has public figures from the end of the first window on, which are
// of use.
func TestPublicSmallFleet(t *testing.T) {
	t.Parallel()
	for _, size := range []int{13, 50} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(12 * time.Hour)
			w := newWorld(t)
			defer w.close()
			view := figures.PublicView(w.app)
			begins := collector.LastPublicDay(today()-1) + collector.PublicDays + 1
			for {
				for n := range size {
					h := w.heartbeat(n, []string{"2.0", "2.0", "1.9"}[n%3])
					h.Heartbeat.Platform.System = []string{"linux", "linux", "linux", "windows"}[n%4]
					w.send(h)
				}
				series, err := w.e.Series(t.Context(), w.app.Num, collector.Range{From: today() - 89, To: today()}, view)
				if err != nil {
					t.Fatal(err)
				}
				if has := len(series.Points) > 0; has != (today() >= begins) {
					t.Fatalf("figures on %s, which begin on %s: %v", today(), begins, has)
				}
				if today() < begins && series.Next != begins {
					t.Fatalf("the next figures are from %s, want %s", series.Next, begins)
				}
				if today() == begins {
					near(t, "active", series.Points[0].Established.Days28, size)
					break
				}
				w.nextDay()
			}
			for dimension, want := range map[string]map[string]int{
				collector.DimVersion: {"2.0": (2*size + 2) / 3, "1.9": size / 3}, collector.DimSystem: {"linux": size - size/4},
			} {
				b, err := w.e.Breakdown(t.Context(), w.app.Num, dimension, 28, today(), view)
				if err != nil {
					t.Fatal(err)
				}
				got := make(map[string]figures.Count)
				for _, v := range b.Values {
					got[v.Value] = v.Count
				}
				for text, n := range want {
					if n >= collector.DefaultK {
						near(t, dimension+" "+text, got[text], n)
					}
				}
			}
		})
	}
}

// near expects a count to be shown, and off by less than k.
func near(t *testing.T, what string, got figures.Count, want int) {
	t.Helper()
	if got == nil || int(*got) <= want-collector.DefaultK || int(*got) >= want+collector.DefaultK {
		t.Errorf("%s: got %v, want about %d", what, got, want)
	}
}
