package simulate

import (
	"context"
	"fmt"
	"maps"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// Answers is what a collector is asked; a [collector.Collector] gives them.
type Answers interface {
	Series(ctx context.Context, app collector.AppNum, r collector.Range, v collector.View) (collector.Series, error)
	Breakdown(ctx context.Context, app collector.AppNum, dimension string, window int, to collector.Day, v collector.View) (collector.Breakdown, error)
	CoOccurrence(ctx context.Context, app collector.AppNum, row, column string, window int, v collector.View) (collector.CoOccurrence, error)
	Retention(ctx context.Context, app collector.AppNum, g collector.Grain, r collector.Range, v collector.View) (collector.Retention, error)
	Versions(ctx context.Context, app collector.AppNum, r collector.Range, v collector.View) (collector.Versions, error)
	Floor(ctx context.Context, app collector.AppNum, to collector.Day, v collector.View) (collector.Floor, error)
	Faults(ctx context.Context, app collector.AppNum, r collector.Range, v collector.View) (collector.Faults, error)
	Survival(ctx context.Context, app collector.AppNum, top int, v collector.View) (collector.Survival, error)
	Quality(ctx context.Context, app collector.AppNum, r collector.Range) (collector.Quality, error)
}

var _ Answers = (*collector.Collector)(nil)

// A Comparison says which figures are not the truth.
type Comparison struct {
	// Compared is how many figures there were, and Wrong has a line for each that is another one.
	Compared int
	Wrong    []string
}

// A comparer asks for answers and keeps the first error.
type comparer struct {
	Comparison
	ctx   context.Context
	from  Answers
	app   collector.AppNum
	truth *Truth
	r     collector.Range
}

// Compare asks a collector for every figure of a range and compares it with the truth: the series of each day, all splits
// on the last day and some days before, pairs of values, retention by day, week and month, survival, versions, moves, the floor,
// faults, and clones. The truth is the whole of what the app was told, and the range all its days. The error is one of the collector.
func Compare(ctx context.Context, from Answers, app collector.AppNum, truth *Truth, r collector.Range) (Comparison, error) {
	c := &comparer{ctx: ctx, from: from, app: app, truth: truth, r: r}
	for _, step := range []func() error{c.series, c.splits, c.pairs, c.retention, c.survival, c.versions, c.floor, c.faults, c.clones} {
		if err := step(); err != nil {
			return c.Comparison, err
		}
	}
	return c.Comparison, nil
}

func (c *comparer) figure(got collector.Figure, want uint64, format string, args ...any) {
	switch {
	case got == nil:
		c.wrong("hidden, want %d", []any{want}, format, args...)
	case *got != want:
		c.wrong("got %d, want %d", []any{*got, want}, format, args...)
	}
	c.Compared++
}

func (c *comparer) wrong(says string, values []any, format string, args ...any) {
	c.Wrong = append(c.Wrong, fmt.Sprintf(format, args...)+": "+fmt.Sprintf(says, values...))
}

func (c *comparer) series() error {
	got, err := c.from.Series(c.ctx, c.app, c.r, collector.View{})
	if err != nil {
		return err
	}
	points := make(map[collector.Day]collector.SeriesPoint)
	for _, p := range got.Points {
		points[p.Day] = p
	}
	begun := false
	for _, want := range c.truth.Series(c.r) {
		p, ok := points[want.Day]
		if !ok && !begun && want.New == 0 {
			continue // a collector's days begin with the first installation, not with IDs that are none
		}
		begun = true
		if !ok || p.Gap {
			c.wrong("is missing", nil, "series of %s", want.Day)
			continue
		}
		c.point(p, want)
		c.figure(p.InMemory, want.InMemory, "%s, in memory", want.Day)
		c.figure(p.Excluded, want.Excluded, "%s, excluded", want.Day)
	}
	if want := c.truth.MedianAge(c.r.To); got.MedianAge != nil || want != 0 {
		c.figure(got.MedianAge, want, "median age")
	}
	return nil
}

func (c *comparer) point(p collector.SeriesPoint, want Day) {
	active := []collector.Figure{p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30}
	established := []collector.Figure{p.Established.Day, p.Established.Week, p.Established.Days28, p.Established.Days30}
	for w, days := range windows {
		c.figure(active[w], want.Active[w], "%s, active in %d days", want.Day, days)
		c.figure(established[w], want.Established[w], "%s, established in %d days", want.Day, days)
	}
	c.figure(p.New, want.New, "%s, new", want.Day)
	c.figure(p.Returning, want.Returning, "%s, returning", want.Day)
	c.figure(p.Lost, want.Lost, "%s, lost", want.Day)
}

// splits compares all dimensions on the last day, and on two days before it.
func (c *comparer) splits() error {
	days := []collector.Day{c.r.To, c.r.To - 1, c.r.From + (c.r.To-c.r.From)/2}
	for _, dimension := range c.truth.Dimensions() {
		for _, day := range days {
			if day < c.r.From {
				continue
			}
			for _, window := range windows {
				got, err := c.from.Breakdown(c.ctx, c.app, dimension, window, day, collector.View{})
				if err != nil {
					return fmt.Errorf("split by %s: %w", dimension, err)
				}
				c.split(got.Values, c.truth.Split(dimension, window, day), fmt.Sprintf("%s, %d days, %s", day, window, dimension))
			}
		}
	}
	return nil
}

func (c *comparer) split(values []collector.Value, want Split, what string) {
	for _, v := range values {
		c.figure(v.Count, want[v.Value], "%s %s", what, v.Value)
		delete(want, v.Value)
	}
	for value, n := range want {
		c.wrong("is missing, want %d", []any{n}, "%s %s", what, value)
	}
}

func (c *comparer) pairs() error {
	dimensions := []string{collector.DimSystem, collector.DimDeployment}
	for _, name := range c.truth.Dimensions() {
		if len(name) > len(collector.FactDimension) && name[:len(collector.FactDimension)] == collector.FactDimension {
			dimensions = append(dimensions, name)
		}
	}
	for i, row := range dimensions {
		for _, column := range dimensions[i+1:] {
			got, err := c.from.CoOccurrence(c.ctx, c.app, row, column, 28, collector.View{})
			if err != nil {
				return fmt.Errorf("pairs of %s and %s: %w", row, column, err)
			}
			want := c.truth.Pairs(row, column, 28, c.r.To)
			for y, a := range got.Rows {
				for x, b := range got.Columns {
					c.figure(got.Counts[y][x], want[[2]string{a, b}], "%s %s with %s %s", row, a, column, b)
					delete(want, [2]string{a, b})
				}
			}
			for pair, n := range want {
				c.wrong("is missing, want %d", []any{n}, "%s %s with %s %s", row, pair[0], column, pair[1])
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

func (c *comparer) cohorts(g collector.Grain, r collector.Range, all []Cohort) error {
	got, err := c.from.Retention(c.ctx, c.app, g, r, collector.View{})
	if err != nil {
		return fmt.Errorf("retention by %s: %w", g, err)
	}
	cohorts := make(map[collector.Day]collector.Cohort)
	for _, cohort := range got.Cohorts {
		cohorts[cohort.From] = cohort
	}
	for _, want := range all {
		cohort := cohorts[want.From]
		if len(cohort.Cells) != len(want.Cells) {
			if want.Size > 0 {
				c.wrong("got %d cells, want %d", []any{len(cohort.Cells), len(want.Cells)}, "retention by %s, %s", g, want.From)
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
	got, err := c.from.Survival(c.ctx, c.app, collector.MaxTop, collector.View{})
	if err != nil {
		return err
	}
	want := c.truth.Survival(c.r.To)
	for _, v := range got.Versions {
		curve := want[v.Version]
		if curve == nil || len(curve.Of) != len(v.Cells) {
			c.wrong("got %d cells, want %+v", []any{len(v.Cells), curve}, "survival of %s", v.Version)
			continue
		}
		c.figure(v.Size, curve.Size, "survival of %s, size", v.Version)
		for age, cell := range v.Cells {
			c.figure(cell.Active, curve.Active[age], "survival of %s, week %d", v.Version, age)
			c.figure(cell.Of, curve.Of[age], "survival of %s, of week %d", v.Version, age)
		}
	}
	if n := min(len(want), collector.MaxTop); len(got.Versions) != n {
		c.wrong("got %d, want %d", []any{len(got.Versions), n}, "versions with a curve")
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
	got, err := c.from.Versions(c.ctx, c.app, c.r, collector.View{})
	if err != nil {
		return err
	}
	moves, up, down := c.truth.Moves(c.r)
	c.figure(got.Upgrades, up, "upgrades")
	c.figure(got.Downgrades, down, "downgrades")
	for _, m := range got.Moves {
		c.figure(m.Count, moves[Move{m.From, m.To}], "move from %s to %s", m.From, m.To)
		if m.Up != (report.CompareVersions(m.From, m.To) < 0) {
			c.wrong("goes the other way", nil, "move from %s to %s", m.From, m.To)
		}
	}
	if want := min(len(moves), collector.MaxMoves); len(got.Moves) != want {
		c.wrong("got %d, want %d", []any{len(got.Moves), want}, "different moves")
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

// adoption compares one day in five, since the truth of each takes a look at all installations.
func (c *comparer) adoption(release *collector.Release, point collector.AdoptionPoint) {
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
	got, err := c.from.Floor(c.ctx, c.app, c.r.To, collector.View{})
	if err != nil {
		return err
	}
	want := c.truth.Floor(c.r.To)
	if len(got.Steps) != len(want) {
		c.wrong("got %d, want %d", []any{len(got.Steps), len(want)}, "steps of the floor")
		return nil
	}
	for i, step := range got.Steps {
		if step.Version != want[i].Version {
			c.wrong("got %s, want %s", []any{step.Version, want[i].Version}, "step %d of the floor", i)
		}
		c.figure(step.Kept, want[i].Kept, "floor %s", step.Version)
	}
	return nil
}

func (c *comparer) faults() error {
	for _, r := range []collector.Range{c.r, {From: max(c.r.From, c.r.To-6), To: c.r.To}} {
		got, err := c.from.Faults(c.ctx, c.app, r, collector.View{})
		if err != nil {
			return err
		}
		faults := make(map[report.FaultKey]collector.Fault)
		for _, fault := range got.Faults {
			faults[report.FaultKey{Source: fault.Source, Component: fault.Component, Reason: fault.Reason, Stage: fault.Stage,
				Severity: report.Severity(fault.Severity)}] = fault
		}
		want := c.truth.Faults(r)
		if len(want) != len(faults) {
			c.wrong("got %d, want %d", []any{len(faults), len(want)}, "faults from %s", r.From)
		}
		for _, fault := range want {
			c.fault(faults[fault.Key], fault)
		}
	}
	return nil
}

func (c *comparer) fault(got collector.Fault, want Fault) {
	what := want.Key.Component + " " + want.Key.Reason
	c.figure(got.Affected, want.Affected, "%s, affected", what)
	c.figure(got.Occurrences, want.Occurrences, "%s, occurrences", what)
	if got.FirstSeen != want.FirstSeen || got.LastSeen != want.LastSeen {
		c.wrong("got %s to %s, want %s to %s", []any{got.FirstSeen, got.LastSeen, want.FirstSeen, want.LastSeen}, "%s, seen", what)
	}
	for _, v := range got.Versions {
		c.figure(v.Affected, want.Versions[v.Version].Affected, "%s, affected with %s", what, v.Version)
		c.figure(v.Active, want.Versions[v.Version].Active, "%s, active with %s", what, v.Version)
	}
	if len(got.Versions) != len(want.Versions) {
		c.wrong("got %d, want %d", []any{len(got.Versions), len(want.Versions)}, "%s, versions", what)
	}
}

// Compare is Compare for what is known of a crowd.
func (t *CrowdTruth) Compare(ctx context.Context, from Answers, app collector.AppNum) (Comparison, error) {
	day := collector.Range{From: t.Day.Day, To: t.Day.Day}
	c := &comparer{ctx: ctx, from: from, app: app, r: day}
	series, err := from.Series(ctx, app, day, collector.View{})
	if err != nil {
		return c.Comparison, err
	}
	if len(series.Points) != 1 {
		return c.Comparison, fmt.Errorf("%d points for one day", len(series.Points))
	}
	c.point(series.Points[0], t.Day)
	versions, err := from.Breakdown(ctx, app, collector.DimVersion, 28, day.To, collector.View{})
	if err != nil {
		return c.Comparison, err
	}
	c.split(versions.Values, maps.Clone(t.Versions), "version")
	all := collector.Range{From: t.Weeks[0].From, To: day.To}
	if err := c.cohorts(collector.GrainWeek, all, t.Weeks); err != nil {
		return c.Comparison, err
	}
	return c.Comparison, c.cohorts(collector.GrainMonth, all, t.Months)
}
