// Package groundtruth compares the answers of a collector with what is
// known to be true of the fleets that it counted. A [Crowd] is a fleet
// of ten or a hundred million installations, of a few bytes each.
package groundtruth

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/report"
)

// The windows that every figure of active installations comes in, in
// days.
var windows = [4]int{1, 7, 28, 30}

type comparer struct {
	ctx   context.Context
	from  *engine.Engine
	app   collector.AppNum
	truth *simulate.Truth // of the members, if view has a segment
	view  figures.View
	r     collector.Range

	compared int      // figures
	wrong    []string // a line for each figure that is not the truth
}

// Compare asks a collector for every figure of an app and compares
// each with the truth of a fleet: the series of each day, all
// breakdowns on three days, pairs of values, retention by day, week and
// month, survival, versions, moves, the floor, faults, and clones; and
// for several segments all of these that segments have. The fleet's
// reports have to be all that the app was sent.
func Compare(t testing.TB, from *engine.Engine, app collector.AppNum, fleet *simulate.Fleet) {
	t.Helper()
	c := &comparer{ctx: t.Context(), from: from, app: app, truth: fleet.Truth(), r: fleet.Range()}
	if err := cmp.Or(c.all(), c.clones()); err != nil {
		t.Fatal(err)
	}
	for _, s := range segments(c.truth, c.r) {
		segment, err := collector.ParseSegment(s.text)
		if err != nil {
			t.Fatal(err)
		}
		in := &comparer{ctx: c.ctx, from: from, app: app, truth: c.truth.Members(s.match), view: figures.View{Segment: segment}, r: c.r}
		if err := in.all(); err != nil {
			t.Fatalf("%s: %v", s.text, err)
		}
		c.compared += in.compared
		for _, line := range in.wrong {
			c.wrongf("%s: %s", s.text, line)
		}
	}
	c.report(t)
	if c.compared < 100 {
		t.Errorf("compared only %d figures, want at least 100", c.compared)
	}
}

func (c *comparer) all() error {
	for _, step := range []func() error{
		c.series, c.breakdowns, c.pairs, c.retention, c.survival, c.versions, c.floor, c.faults,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparer) report(t testing.TB) {
	t.Helper()
	for _, line := range c.wrong[:min(len(c.wrong), 20)] {
		t.Error(line)
	}
	t.Logf("%d figures compared, %d wrong", c.compared, len(c.wrong))
}

// figure compares one figure. The rest names it, as for fmt.Sprintf.
func (c *comparer) figure(got figures.Count, want uint64, format string, args ...any) {
	c.compared++
	switch name := fmt.Sprintf(format, args...); {
	case got == nil:
		c.wrongf("%s: hidden, want %d", name, want)
	case *got != want:
		c.wrongf("%s: got %d, want %d", name, *got, want)
	}
}

func (c *comparer) wrongf(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

func (c *comparer) series() error {
	got, err := c.from.Series(c.ctx, c.app, c.r, c.view)
	if err != nil {
		return err
	}
	points := make(map[collector.Day]figures.SeriesPoint)
	for _, p := range got.Points {
		points[p.Day] = p
	}
	begun := false
	for _, want := range c.truth.Series(c.r) {
		p, ok := points[want.Day]
		if !ok && !begun && want.New == 0 {
			continue // a collector's days begin with the first installation, not with IDs that do not count
		}
		begun = true
		if !ok || p.Gap {
			c.wrongf("series of %s: missing", want.Day)
			continue
		}
		c.point(p, want)
		if !c.view.Segment.Empty() {
			continue // its members are installations
		}
		c.figure(p.InMemory, want.InMemory, "%s, in memory", want.Day)
		c.figure(p.Excluded, want.Excluded, "%s, excluded", want.Day)
	}
	if want := c.truth.MedianAge(c.r.To); got.MedianAge != nil || want != 0 {
		c.figure(got.MedianAge, want, "median age")
	}
	return nil
}

func (c *comparer) point(p figures.SeriesPoint, want simulate.Day) {
	active := []figures.Count{p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30}
	established := []figures.Count{p.Established.Day, p.Established.Week, p.Established.Days28, p.Established.Days30}
	for w, days := range windows {
		c.figure(active[w], want.Active[w], "%s, active in %d days", want.Day, days)
		c.figure(established[w], want.Established[w], "%s, established in %d days", want.Day, days)
	}
	c.figure(p.New, want.New, "%s, new", want.Day)
	c.figure(p.Returning, want.Returning, "%s, returning", want.Day)
	c.figure(p.Lost, want.Lost, "%s, lost", want.Day)
}

// breakdowns compares all dimensions on the last day, the day before,
// and one in the middle.
func (c *comparer) breakdowns() error {
	days := []collector.Day{c.r.To, c.r.To - 1, c.r.From + (c.r.To-c.r.From)/2}
	for _, dimension := range c.truth.Dimensions() {
		for _, day := range days {
			if day < c.r.From {
				continue
			}
			for _, window := range windows {
				got, err := c.from.Breakdown(c.ctx, c.app, dimension, window, day, c.view)
				if err != nil {
					return fmt.Errorf("breakdown by %s: %w", dimension, err)
				}
				c.breakdown(got.Values, c.truth.Split(dimension, window, day), fmt.Sprintf("%s, %d days, %s", day, window, dimension))
			}
		}
	}
	return nil
}

func (c *comparer) breakdown(values []figures.Value, want simulate.Split, what string) {
	for _, v := range values {
		c.figure(v.Count, want[v.Value], "%s %s", what, v.Value)
		delete(want, v.Value)
	}
	for value, n := range want {
		c.wrongf("%s %s: missing, want %d", what, value, n)
	}
}

func (c *comparer) pairs() error {
	dimensions := []string{collector.DimSystem, collector.DimDeployment}
	for _, name := range c.truth.Dimensions() {
		if strings.HasPrefix(name, collector.FactDimension) {
			dimensions = append(dimensions, name)
		}
	}
	for i, row := range dimensions {
		for _, column := range dimensions[i+1:] {
			got, err := c.from.CoOccurrence(c.ctx, c.app, row, column, 28, c.r.To, c.view)
			if err != nil {
				return fmt.Errorf("pairs of %s and %s: %w", row, column, err)
			}
			want := make(map[[2]string]uint64)
			for value := range c.truth.Active(28, c.r.To) {
				if a, b := value(row), value(column); a != "" && b != "" {
					want[[2]string{a, b}]++
				}
			}
			for y, a := range got.Rows {
				for x, b := range got.Columns {
					c.figure(got.Counts[y][x], want[[2]string{a, b}], "%s %s with %s %s", row, a, column, b)
					delete(want, [2]string{a, b})
				}
			}
			for pair, n := range want {
				c.wrongf("%s %s with %s %s: missing, want %d", row, pair[0], column, pair[1], n)
			}
		}
	}
	return nil
}

func (c *comparer) retention() error {
	for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		if err := c.cohorts(g, c.r, c.truth.Retention(g, c.r)); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparer) cohorts(g collector.Grain, r collector.Range, all []simulate.Cohort) error {
	got, err := c.from.Retention(c.ctx, c.app, g, r, c.view)
	if err != nil {
		return fmt.Errorf("retention by %s: %w", g, err)
	}
	cohorts := make(map[collector.Day]figures.Cohort)
	for _, cohort := range got.Cohorts {
		cohorts[cohort.From] = cohort
	}
	for _, want := range all {
		cohort := cohorts[want.From]
		if len(cohort.Cells) != len(want.Cells) {
			if want.Size > 0 {
				c.wrongf("retention by %s, %s: got %d cells, want %d", g, want.From, len(cohort.Cells), len(want.Cells))
			}
			continue
		}
		c.figure(cohort.Size, want.Size, "retention by %s, %s, size", g, want.From)
		for age, n := range want.Cells {
			c.figure(cohort.Cells[age].Active, n, "retention by %s, %s, age %d", g, want.From, age)
		}
	}
	return nil
}

func (c *comparer) survival() error {
	got, err := c.from.Survival(c.ctx, c.app, figures.MaxTop, c.view)
	if err != nil {
		return err
	}
	want := c.truth.Survival(c.r.To)
	for _, v := range got.Versions {
		curve := want[v.Version]
		if curve == nil && !c.view.Segment.Empty() && *v.Size == 0 {
			continue // all began this week
		}
		if curve == nil || len(curve.Of) != len(v.Cells) {
			c.wrongf("survival of %s: got %d cells, want %+v", v.Version, len(v.Cells), curve)
			continue
		}
		c.figure(v.Size, curve.Size, "survival of %s, size", v.Version)
		for age, cell := range v.Cells {
			c.figure(cell.Active, curve.Active[age], "survival of %s, week %d", v.Version, age)
			c.figure(cell.Of, curve.Of[age], "survival of %s, of week %d", v.Version, age)
		}
	}
	if n := min(len(want), figures.MaxTop); len(got.Versions) != n && c.view.Segment.Empty() {
		c.wrongf("versions with a curve: got %d, want %d", len(got.Versions), n)
	}
	return nil
}

func (c *comparer) clones() error {
	got, err := c.from.Quality(c.ctx, c.app, collector.Range{From: c.r.To, To: c.r.To})
	if err != nil {
		return err
	}
	c.figure(got.Clones, uint64(c.truth.Clones()), "clones")
	return nil
}

func (c *comparer) versions() error {
	got, err := c.from.Versions(c.ctx, c.app, c.r, c.view)
	if err != nil {
		return err
	}
	moves, up, down := c.truth.Moves(c.r)
	if c.view.Segment.Empty() {
		c.figure(got.Upgrades, up, "upgrades")
		c.figure(got.Downgrades, down, "downgrades")
	}
	for _, m := range got.Moves {
		c.figure(m.Count, moves[simulate.Move{From: m.From, To: m.To}], "move from %s to %s", m.From, m.To)
		if m.Up != (report.CompareVersions(m.From, m.To) < 0) {
			c.wrongf("move from %s to %s: got the other direction", m.From, m.To)
		}
	}
	if want := min(len(moves), figures.MaxMoves); len(got.Moves) != want {
		c.wrongf("different moves: got %d, want %d", len(got.Moves), want)
	}
	active := c.truth.Split(collector.DimVersion, 28, c.r.To)
	for _, release := range got.Releases {
		c.figure(release.Active, active[release.Version], "active with version %s", release.Version)
		for _, point := range release.Adoption {
			c.adoption(&release, point)
		}
	}
	return nil
}

// adoption compares one day in five, since the truth of each reads all
// installations.
func (c *comparer) adoption(release *figures.Release, point figures.AdoptionPoint) {
	if point.Days%5 != 0 {
		return
	}
	var of, n uint64
	for version, count := range c.truth.Split(collector.DimVersion, 1, release.Released+collector.Day(point.Days)) {
		of += count
		if report.CompareVersions(version, release.Version) >= 0 {
			n += count
		}
	}
	c.figure(point.Active, n, "version %s or newer after %d days", release.Version, point.Days)
	c.figure(point.Of, of, "active %d days after version %s", point.Days, release.Version)
}

func (c *comparer) floor() error {
	got, err := c.from.Floor(c.ctx, c.app, c.r.To, c.view)
	if err != nil {
		return err
	}
	want := c.truth.Floor(c.r.To)
	if len(got.Steps) != len(want) {
		c.wrongf("steps of the floor: got %d, want %d", len(got.Steps), len(want))
		return nil
	}
	for i, step := range got.Steps {
		if step.Version != want[i].Version {
			c.wrongf("step %d of the floor: got %s, want %s", i, step.Version, want[i].Version)
		}
		c.figure(step.Kept, want[i].Kept, "floor %s", step.Version)
	}
	return nil
}

func (c *comparer) faults() error {
	for _, r := range []collector.Range{c.r, {From: max(c.r.From, c.r.To-6), To: c.r.To}} {
		got, err := c.from.Faults(c.ctx, c.app, r, c.view)
		if err != nil {
			return err
		}
		faults := make(map[report.FaultKey]figures.Fault)
		for _, fault := range got.Faults {
			faults[report.FaultKey{Source: fault.Source, Component: fault.Component, Reason: fault.Reason, Stage: fault.Stage,
				Severity: report.Severity(fault.Severity)}] = fault
		}
		want := c.truth.Faults(r)
		if len(want) != len(faults) {
			c.wrongf("faults from %s: got %d, want %d", r.From, len(faults), len(want))
		}
		for _, fault := range want {
			c.fault(faults[fault.Key], fault)
		}
	}
	return nil
}

func (c *comparer) fault(got figures.Fault, want simulate.Fault) {
	what := want.Key.Component + " " + want.Key.Reason
	c.figure(got.Affected, want.Affected, "%s, affected", what)
	if c.view.Segment.Empty() {
		c.figure(got.Occurrences, want.Occurrences, "%s, occurrences", what)
	}
	if c.view.Segment.Empty() && (got.FirstSeen != want.FirstSeen || got.LastSeen != want.LastSeen) {
		c.wrongf("%s, seen: got %s to %s, want %s to %s", what, got.FirstSeen, got.LastSeen, want.FirstSeen, want.LastSeen)
	}
	for _, v := range got.Versions {
		c.figure(v.Affected, want.Versions[v.Version].Affected, "%s, affected with %s", what, v.Version)
		c.figure(v.Active, want.Versions[v.Version].Active, "%s, active with %s", what, v.Version)
	}
	if len(got.Versions) != len(want.Versions) {
		c.wrongf("%s, versions: got %d, want %d", what, len(got.Versions), len(want.Versions))
	}
}
