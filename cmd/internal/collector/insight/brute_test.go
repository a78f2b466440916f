package insight_test

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/report"
)

// modelOf returns the fleet as a model. It has no special installations.
func modelOf(f *simulate.Fleet) *model {
	m := &model{last: int(f.Last() - first)}
	known := make(map[string]*inst)
	counts := make(map[string]report.Fault)
	for d, visit := range f.Visits() {
		day := int(d - first)
		for _, sent := range visit {
			if h := sent.Heartbeat; h != nil {
				in := known[h.InstallationID]
				if in == nil {
					in = &inst{values: make(map[string][]change), faults: make(map[string]uint64)}
					known[h.InstallationID] = in
					m.all = append(m.all, in)
				}
				in.days |= 1 << day
				for dimension, value := range simulate.Values(h) {
					if old := in.values[dimension]; dimension != collector.DimRelease && dimension != collector.DimClient &&
						(len(old) == 0 || old[len(old)-1].value != value) {
						in.values[dimension] = append(old, change{day, value})
					}
				}
			}
			if h := sent.Health; h != nil {
				for _, g := range h.Faults {
					name := g.Component + ": " + g.Reason
					old := counts[h.InstallationID+name]
					if g.Since.After(old.Since) || g.Since.Equal(old.Since) && g.Count > old.Count {
						counts[h.InstallationID+name] = g
						known[h.InstallationID].faults[name] |= 1 << day
					}
				}
			}
		}
	}
	return m
}

// brute finds by counting one installation after the other what a week to a day
// has to say, as sentences in any order. It shares no code with the package but
// the sentences.
func (m *model) brute(to int) (sentences []string) {
	say := func(f insight.Finding) { sentences = append(sentences, f.Sentence()) }
	if to < 13 {
		return nil
	}
	seen := func(in *inst, from, to int) bool { return in.days&window(from, to) != 0 }
	tally := func(from, to int, counts func(*inst) bool) (n float64) {
		for _, in := range m.all {
			if seen(in, from, to) && counts(in) {
				n++
			}
		}
		return n
	}
	any := func(*inst) bool { return true }
	whole := func(x float64) uint64 { return uint64(x) }

	// Everything is silent.
	if tally(to, to, any) == 0 && tally(to-7, to-7, any) >= 10 {
		day := to
		for tally(day-1, day-1, any) == 0 {
			day--
		}
		say(insight.Finding{Kind: insight.Silent, Day: first + collector.Day(day)})
		return sentences
	}
	// Numbers.
	number := func(rose, fell insight.Kind, now, before float64) {
		kind := rose
		if now < before {
			kind = fell
		}
		if d := math.Abs(now - before); max(now, before) >= 30 && d >= 5 && d >= before/10 && d*d >= 16*(now+before) {
			say(insight.Finding{Kind: kind, Now: whole(now), Before: whole(before)})
		}
	}
	twice := func(by int) func(*inst) bool { return func(in *inst) bool { return ones(in.days&window(0, by)) >= 2 } }
	number(insight.ActiveRose, insight.ActiveFell, tally(to-6, to, twice(to)), tally(to-13, to-7, twice(to-7)))
	old := to-7-28+1 >= 0
	if old {
		born := func(from, to int) float64 {
			return tally(from, to, func(in *inst) bool { return firstDay(in.days) >= from && firstDay(in.days) <= to })
		}
		number(insight.NewRose, insight.NewFell, born(to-6, to), born(to-13, to-7))
	}
	// Two shares differ by four standard deviations.
	unlike := func(a, of, b, ofB float64) bool {
		p := (a + b) / (of + ofB)
		return math.Pow(a/of-b/ofB, 2) >= 16*p*(1-p)*(1/of+1/ofB)
	}
	has := func(dimension, value string, by int) func(*inst) bool {
		return func(in *inst) bool { return in.at(dimension, by) == value }
	}
	reporting := func(dimension string, by int) func(*inst) bool {
		return func(in *inst) bool { return in.at(dimension, by) != "" }
	}
	valuesOf := func(dimension string) []string {
		all := make(map[string]bool)
		for _, in := range m.all {
			for _, c := range in.values[dimension] {
				all[c.value] = true
			}
		}
		return slices.Sorted(maps.Keys(all))
	}
	// Releases.
	order := report.VersionOrder("")
	of, ofB := tally(to-6, to, reporting("version", to)), tally(to-13, to-7, reporting("version", to-7))
	firsts := m.seen()
	for _, version := range valuesOf("version") {
		now, before := tally(to-6, to, has("version", version, to)), tally(to-13, to-7, has("version", version, to-7))
		newest := true
		for _, other := range valuesOf("version") {
			if order.Compare(other, version) > 0 && tally(to-13, to-7, has("version", other, to-7)) > 0 {
				newest = false
			}
		}
		switch day := firsts[version]; {
		case order.IsPreRelease(version) || day == 0: // not followed
		case day > to-7 && day <= to && now >= 5 && (old || newest):
			say(insight.Finding{Kind: insight.ReleaseNew, Version: version, Day: first + collector.Day(day), Now: whole(now), Of: whole(of)})
		case of >= 30 && ofB >= 30 && now >= before+5 && now/of >= before/ofB+.1 && unlike(now, of, before, ofB):
			say(insight.Finding{Kind: insight.Adopted, Version: version, Now: whole(now), Of: whole(of), Before: whole(before), OfBefore: whole(ofB)})
		}
	}
	// Values.
	for _, dimension := range []string{"system", "machine", "deployment", "country", "fact.store.kind", "fact.tls", "fact.users"} {
		mute := false
		isFact := strings.HasPrefix(dimension, "fact.")
		if !isFact {
			for _, value := range valuesOf(dimension) {
				on := func(day int) float64 { return tally(day, day, has(dimension, value, day)) }
				if on(to) > 0 || on(to-7) < 10 {
					continue
				}
				day := to
				for day-1 > to-7 && on(day-1) == 0 {
					day--
				}
				if day-1 == to-7 || on(day-1) >= 10 {
					say(insight.Finding{Kind: insight.Silent, Dimension: dimension, Value: value, Day: first + collector.Day(day)})
					mute = true
				}
			}
		}
		of, ofB := tally(to-6, to, reporting(dimension, to)), tally(to-13, to-7, reporting(dimension, to-7))
		if !isFact && old && tally(to-34, to-7, reporting(dimension, to-7)) > 0 {
			for _, value := range valuesOf(dimension) {
				now := tally(to-6, to, has(dimension, value, to))
				if now >= 5 && tally(to-34, to-7, has(dimension, value, to-7)) == 0 {
					say(insight.Finding{Kind: insight.ValueNew, Dimension: dimension, Value: value, Now: whole(now)})
					mute = true
				}
			}
		}
		most, text := 0.0, ""
		for _, value := range valuesOf(dimension) {
			now, before := tally(to-6, to, has(dimension, value, to)), tally(to-13, to-7, has(dimension, value, to-7))
			points := now/of - before/ofB
			if math.Abs(now-before) < 5 || math.Abs(points) < .05 || math.Abs(points) <= most || !unlike(now, of, before, ofB) {
				continue
			}
			f := insight.Finding{Kind: insight.ShareRose, Dimension: dimension, Value: value, Now: whole(now), Of: whole(of), Before: whole(before), OfBefore: whole(ofB)}
			if points < 0 {
				f.Kind = insight.ShareFell
			}
			most, text = math.Abs(points), f.Sentence()
		}
		if !mute && text != "" && of >= 30 && ofB >= 30 {
			sentences = append(sentences, text)
		}
	}
	// Faults.
	names := make(map[string]bool)
	for _, in := range m.all {
		for name := range in.faults {
			names[name] = true
		}
	}
	for name := range names {
		since := 64
		for _, in := range m.all {
			since = min(since, firstDay(in.faults[name]))
		}
		hit := func(from, to int) func(*inst) bool {
			return func(in *inst) bool { return in.faults[name]&window(from, to) != 0 }
		}
		now, before := tally(to-6, to, hit(to-6, to)), tally(to-13, to-7, hit(to-13, to-7))
		of, ofB := tally(to-6, to, any), tally(to-13, to-7, any)
		f := insight.Finding{Component: component(name), Reason: code(name), Now: whole(now), Of: whole(of), Before: whole(before), OfBefore: whole(ofB)}
		if since > to-7 {
			if f.Kind, f.Version = insight.FaultNew, m.newIn(name, since); since <= to && now >= 5 {
				say(f)
			}
			continue
		}
		changed := func(now, of, before, ofB float64) float64 {
			if of < 30 || ofB < 30 || math.Abs(now-before) < 5 || !unlike(now, of, before, ofB) {
				return 1
			}
			return (now / of) / (before / ofB) // perhaps infinite
		}
		switch ratio := changed(now, of, before, ofB); {
		case ratio <= .8:
			f.Kind = insight.FaultFell
			say(f)
		case ratio >= 1.2:
			f.Kind = insight.FaultRose
			text := f.Sentence()
			for _, version := range valuesOf("version") {
				runs := func(and func(*inst) bool) func(*inst) bool {
					return func(in *inst) bool { return in.at("version", m.last) == version && and(in) }
				}
				n, b := tally(to-6, to, runs(hit(to-6, to))), tally(to-13, to-7, runs(hit(to-13, to-7)))
				ofV, ofVB := tally(to-6, to, runs(any)), tally(to-13, to-7, runs(any))
				if b == 0 {
					ofVB = ofV // the figures have no versions without the fault
				}
				if n-b > (now-before)/2 && changed(n, ofV, b, ofVB) >= 1.2 && changed(now-n, of-ofV, max(0, before-b), max(0, ofB-ofVB)) < 1.2 {
					v := f
					v.Version, v.Now, v.Of, v.Before, v.OfBefore = version, whole(n), whole(ofV), whole(b), whole(ofVB)
					text = v.Sentence()
				}
			}
			sentences = append(sentences, text)
		}
	}
	return sentences
}

// The sentences about a simulated fleet are those that brute force finds, as of
// each day of eight weeks, and in the first hour, day, and week of the app.
func TestSimulatedFleet(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, m *model, from, to int) (said int) {
		t.Helper()
		e, app := m.load(t)
		for day := from; day <= to; day++ {
			got, want := sentences(t, e, app, day), m.brute(day)
			said += len(got)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("day %d: got\n%s\nwant\n%s", day, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		return said
	}
	kinds := make(map[string]int)
	for seed := range uint64(2) {
		f, err := simulate.New(simulate.Config{
			Seed: seed, App: "app", Installations: 150 + 300*int(seed), Days: 57, Last: first + 56, Shares: &simulate.Shares{},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := modelOf(f)
		said := check(t, m, 13, 55)
		if said < 10 {
			t.Errorf("the fleet of seed %d has only %d sentences", seed, said)
		}
		kinds[fmt.Sprint(seed)] = said
	}
	t.Log(kinds)
	// Young apps: all of it, up to a day.
	f, err := simulate.New(simulate.Config{Seed: 9, App: "app", Installations: 800, Days: 57, Last: first + 56, Shares: &simulate.Shares{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []int{0, 1, 2, 6, 7, 8, 12, 13, 14, 15, 20, 21} {
		m := modelOf(f)
		m.last = age
		m.all = slices.DeleteFunc(m.all, func(in *inst) bool { return in.days&window(0, age) == 0 })
		for _, in := range m.all {
			in.days &= window(0, age)
			for name := range in.faults {
				if in.faults[name] &= in.days; in.faults[name] == 0 {
					delete(in.faults, name)
				}
			}
			for dimension, all := range in.values {
				in.values[dimension] = slices.DeleteFunc(all, func(c change) bool { return c.day > age })
			}
		}
		e, app := m.load(t)
		r, err := insight.Compute(t.Context(), e, app, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if early := cmp.Compare(r.Early, 0) > 0; early != (age < 14) || early && (len(r.Findings) > 0 || r.Early != first+14) {
			t.Errorf("day %d of the app: got early %s and %d findings", age, r.Early, len(r.Findings))
		}
		if age >= 14 {
			check(t, m, age-1, age-1)
		}
	}
}
