package engine

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Of more moves than a day has room for, those by the oldest installations are
// kept, also when the counters have been written and read between.
func TestMovesOfADay(t *testing.T) {
	t.Parallel()
	var day dayCounters
	add := func(age collector.Day, moves ...string) {
		var tx dayCounters
		for _, move := range moves {
			tx.addMove(move, 1, age)
		}
		text, err := json.Marshal(&tx) // as the journal does
		var read dayCounters
		if err != nil || json.Unmarshal(text, &read) != nil {
			t.Fatal(err)
		}
		day.add(&read)
	}
	for n := range maxMovesPerDay + 100 {
		add(collector.Day(n%7), fmt.Sprintf("9.%d\x0010.%d", n, n))
	}
	add(0, "1.0\x001.1")
	if day.Moves["1.0\x001.1"] != 0 {
		t.Error("a move by a new installation displaced one by an older one")
	}
	for range 3 {
		add(40, "1.0\x001.1", "1.0\x002.0")
	}
	if len(day.Moves) != maxMovesPerDay || day.Moves["1.0\x001.1"] != 3 || day.Moves["1.0\x002.0"] != 3 {
		t.Errorf("got %d moves, and %d and %d of the real ones, want %d and 3",
			len(day.Moves), day.Moves["1.0\x001.1"], day.Moves["1.0\x002.0"], maxMovesPerDay)
	}
	for move := range day.MoveAges {
		if day.Moves[move] == 0 {
			t.Fatalf("%q has an age and no count", move)
		}
	}
}

// If too many releases are remembered, those that nobody established ever ran go
// first, and those with a place stay.
func TestForgottenReleases(t *testing.T) {
	t.Parallel()
	f := newWarmFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	f.state([]label{{collector.DimVersion, "1.0"}})
	f.releases["1.0"] = releaseRecord{FirstSeen: 1}
	for n := range maxReleases + 9 {
		f.releases[fmt.Sprintf("9.%d", n)] = releaseRecord{FirstSeen: collector.Day(100 + n), Earned: n%2 == 0}
	}
	gone := f.goneReleases()
	if len(gone) != 10 {
		t.Fatalf("got %d, want 10", len(gone))
	}
	for i := range gone {
		if want := f.releases[fmt.Sprintf("9.%d", 2*i+1)]; want.Earned {
			t.Fatal("wrong setup")
		}
	}
	f.dropReleases(gone)
	for n := range 10 {
		if _, ok := f.releases[fmt.Sprintf("9.%d", 2*n+1)]; ok {
			t.Errorf("9.%d is still remembered", 2*n+1)
		}
	}
}

// Until all rows are read nobody knows who supports what, so nothing is evicted:
// what older installations report is added beyond the limit, and makes way later.
func TestPlacesWhileRowsAreRead(t *testing.T) {
	t.Parallel()
	f := newFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	f.first, f.next = []firstNum{{19_000, 0}, {20_000, 2}}, 3
	ft := newFleetTx(f)
	system := func(text string, by introducer) string {
		p, ok := ft.number(label{collector.DimSystem, text}, by, nil)
		if !ok {
			t.Fatalf("%s has no number", text)
		}
		return f.dims.text(p)
	}
	fact := func(name string, by introducer) bool {
		_, ok := ft.number(label{collector.FactDimension + name, "true"}, by, nil)
		return ok
	}
	for n := range collector.MaxValues {
		system(fmt.Sprint("invented-", n), introducer{})
	}
	for n := range collector.MaxFacts {
		fact(fmt.Sprint("invented", n), introducer{})
	}
	today, old := introducer{num: 2, known: true}, introducer{num: 0, known: true}
	if got := system("new", today); got != collector.Other || fact("new", today) {
		t.Errorf("an installation of today got %s, or a fact", got)
	}
	if got := system("real", old); got != "real" || !fact("real", old) {
		t.Errorf("an old installation got %s, or no fact", got)
	}
	f.warm = true
	if got := system("another", old); got != "another" || !fact("another", old) {
		t.Errorf("once the rows are read, an old installation got %s, or no fact", got)
	}
	if n := f.dims.get(collector.DimSystem).len(); n != collector.MaxValues || f.dims.facts() != collector.MaxFacts {
		t.Errorf("got %d systems and %d facts, want the limits", n, f.dims.facts())
	}
}
