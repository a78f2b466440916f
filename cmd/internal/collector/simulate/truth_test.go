package simulate_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
	"github.com/rollcall-dev/rollcall/report"
)

// rare makes every kind of installation frequent enough for a small
// fleet.
var rare = simulate.Shares{Once: 0.1, Memory: 0.08, Late: 0.08, Clones: 0.04, Development: 0.08}

// Fleets are loaded into the real collector: every figure is the truth.
func TestFiguresAreTheTruth(t *testing.T) {
	for name, config := range map[string]simulate.Config{
		"all counted":  {Seed: 1, Installations: 600, Days: 120, Shares: &rare, Forged: 50},
		"dev excluded": {Seed: 2, Installations: 400, Days: 75, Shares: &rare, ExcludeDevelopment: true},
		"one day":      {Seed: 3, Installations: 200, Days: 1, Shares: &rare},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := simulate.New(config)
			if err != nil {
				t.Fatal(err)
			}
			c, app := groundtruth.NewCollector(t, collector.App{Key: "demo", ExcludeDevelopment: config.ExcludeDevelopment})
			groundtruth.Load(t, c, app, func(l *engine.Loader) error { return f.Load(t.Context(), l, 0, nil) })
			groundtruth.Compare(t, c, app, f)
		})
	}
}

// Equal seeds make equal fleets, and a larger fleet contains the smaller
// one.
func TestSameSeed(t *testing.T) {
	t.Parallel()
	ids := func(installations int, seed uint64) map[string]int {
		f, err := simulate.New(simulate.Config{Seed: seed, Installations: installations, Days: 40, Last: 20000})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]int)
		for day, visit := range f.Visits() {
			for _, sent := range visit {
				if sent.Heartbeat != nil {
					seen[sent.Heartbeat.InstallationID+day.String()]++
				}
			}
		}
		return seen
	}
	small := ids(100, 7)
	if !reflect.DeepEqual(small, ids(100, 7)) {
		t.Error("got two different fleets from one seed")
	}
	large := ids(300, 7)
	for visit, n := range small {
		if large[visit] != n {
			t.Errorf("%s: got %d times in the larger fleet, want %d as in the smaller one", visit, large[visit], n)
		}
	}
	for visit := range ids(100, 8) {
		if small[visit] != 0 {
			t.Error("got the same installation from another seed")
		}
	}
}

// A collector would accept every report, and every kind of installation
// occurs.
func TestReportsAreValid(t *testing.T) {
	t.Parallel()
	f, err := simulate.New(simulate.Config{Seed: 4, Installations: 800, Days: 150, Shares: &rare, Forged: 20})
	if err != nil {
		t.Fatal(err)
	}
	health, memory, dev, pre := 0, 0, 0, 0
	for _, visit := range f.Visits() {
		for _, sent := range visit {
			if h := sent.Health; h != nil {
				health++
				if err := h.Validate(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			h := sent.Heartbeat
			if err := h.Validate(); err != nil {
				t.Fatal(err)
			}
			if h.IDPersistence == report.InMemory {
				memory++
			}
			if report.IsDevelopment(h.Version) {
				dev++
			} else if bytes.Contains([]byte(h.Version), []byte("-rc.")) {
				pre++
			}
		}
	}
	truth := f.Truth()
	_, up, down := truth.Moves(f.Range())
	var returning, lost uint64
	for _, d := range truth.Series(f.Range()) {
		returning, lost = returning+d.Returning, lost+d.Lost
	}
	for what, n := range map[string]int{
		"health reports": health, "in-memory IDs": memory, "development versions": dev, "pre-releases": pre,
		"clones": truth.Clones(), "upgrades": int(up), "downgrades": int(down), "returning": int(returning), "lost": int(lost),
		"faults": len(truth.Faults(f.Range())),
	} {
		if n == 0 {
			t.Errorf("no %s", what)
		}
	}
}

// The brute force agrees with a case worked out by hand.
func TestTruth(t *testing.T) {
	t.Parallel()
	truth := simulate.NewTruth(false)
	beat := func(day collector.Day, id, version string) {
		truth.Add(day, simulate.Sent{Heartbeat: &report.Heartbeat{
			InstallationID: id, IDPersistence: report.Persisted, Version: version,
		}})
	}
	beat(100, "a", "1.0")
	beat(100, "b", "1.0")
	truth.Add(100, simulate.Sent{Heartbeat: &report.Heartbeat{InstallationID: "m", IDPersistence: report.InMemory, Version: "1.0"}})
	beat(101, "a", "1.1")
	beat(101, "a", "1.1")
	beat(130, "b", "1.0")
	days := truth.Series(collector.Range{From: 100, To: 130})
	for _, want := range []simulate.Day{
		{Day: 100, Active: [4]uint64{2, 2, 2, 2}, New: 2, InMemory: 1},
		{Day: 101, Active: [4]uint64{1, 2, 2, 2}, Established: [4]uint64{1, 1, 1, 1}},
		{Day: 128, Active: [4]uint64{0, 0, 1, 2}, Established: [4]uint64{0, 0, 1, 1}, Lost: 1},
		{Day: 129, Active: [4]uint64{0, 0, 0, 2}, Established: [4]uint64{0, 0, 0, 1}, Lost: 1},
		{Day: 130, Active: [4]uint64{1, 1, 1, 2}, Established: [4]uint64{1, 1, 1, 2}, Returning: 1},
	} {
		if got := days[want.Day-100]; got != want {
			t.Errorf("%d: got %+v, want %+v", want.Day, got, want)
		}
	}
	moves, up, down := truth.Moves(collector.Range{From: 100, To: 130})
	if up != 1 || down != 0 || moves[simulate.Move{From: "1.0", To: "1.1"}] != 1 {
		t.Errorf("got %v, %d up, %d down, want one upgrade", moves, up, down)
	}
	if got, want := truth.Floor(128), []simulate.Step{{Version: "1.1", Kept: 1}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	weeks := truth.Retention(collector.GrainWeek, collector.Range{From: 100, To: 130})
	if got := weeks[0]; got.Size != 2 || got.Cells[0] != 2 || got.Cells[5] != 1 || got.Cells[1] != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]simulate.Config{
		"app":           {App: "No App"},
		"installations": {Installations: -1},
		"too many":      {Installations: simulate.MaxInstallations + 1},
		"days":          {Days: simulate.MaxDays + 1},
		"forged":        {Forged: -1},
		"shares":        {Shares: &simulate.Shares{Once: 0.6, Clones: 0.6}},
		"negative":      {Shares: &simulate.Shares{Once: -0.1}},
	} {
		if _, err := simulate.New(config); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
