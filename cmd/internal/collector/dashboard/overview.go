package dashboard

import (
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// overview says how the fleet is doing.
func (d *dashboard) overview(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	// The period before is read as well, to compare with.
	length := v.span.To - v.span.From + 1
	both, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.span.From - length, To: v.span.To}), v.view)
	if err != nil {
		return err
	}
	points, before := cut(both.Points, v.span.From)
	p.asOf(both.Meta)
	var oldAge figures.Count
	if len(before) > 0 {
		then, err := d.c.Series(ctx, v.app.Num, collector.Range{From: v.span.From - 1, To: v.span.From - 1}, v.view)
		if err != nil {
			return err
		}
		oldAge = then.MedianAge
	}
	p.Tiles = tiles(tileRow{now: points, before: before, k: v.hides(), age: both.MedianAge, oldAge: oldAge})
	p.Panels = []panel{activePanel(points, both.Meta), growthPanel(points, both.Meta)}
	for _, split := range []struct{ id, dimension string }{{"by-version", collector.DimVersion}, {"by-system", collector.DimSystem}} {
		b, err := d.c.Breakdown(ctx, v.app.Num, split.dimension, 28, v.closest(), v.view)
		if errors.Is(err, collector.ErrNoDay) || errors.Is(err, collector.ErrDimension) {
			continue
		}
		if err != nil {
			return err
		}
		p.Panels = append(p.Panels, breakdownPanel(split.id, "Opted-in installations by "+lower(split.dimension), b, 6))
	}
	p.Panels = append(p.Panels, asidePanel(points, both.Meta))
	return nil
}

// closest gives the day in the range for which there is a breakdown: its last one, or today.
func (v view) closest() collector.Day { return min(v.span.To, v.today) }

func clamp(r collector.Range) collector.Range {
	if r.To-r.From >= collector.MaxRangeDays {
		r.From = r.To - collector.MaxRangeDays + 1
	}
	return r
}

// cut gives the points from a day on, and those before.
func cut(points []figures.SeriesPoint, from collector.Day) (after, before []figures.SeriesPoint) {
	for i, point := range points {
		if point.Day >= from {
			return points[i:], points[:i]
		}
	}
	return nil, points
}

// A get picks one figure of a day.
type get func(figures.SeriesPoint) figures.Count

// The figures of a day.
var (
	days28      get = func(p figures.SeriesPoint) figures.Count { return p.Active.Days28 }
	week        get = func(p figures.SeriesPoint) figures.Count { return p.Active.Week }
	day         get = func(p figures.SeriesPoint) figures.Count { return p.Active.Day }
	sure28      get = func(p figures.SeriesPoint) figures.Count { return p.Established.Days28 }
	sureWeek    get = func(p figures.SeriesPoint) figures.Count { return p.Established.Week }
	sureDay     get = func(p figures.SeriesPoint) figures.Count { return p.Established.Day }
	newcomers   get = func(p figures.SeriesPoint) figures.Count { return p.New }
	returning   get = func(p figures.SeriesPoint) figures.Count { return p.Returning }
	lost        get = func(p figures.SeriesPoint) figures.Count { return p.Lost }
	forgotten   get = func(p figures.SeriesPoint) figures.Count { return p.Forgotten }
	inMemory    get = func(p figures.SeriesPoint) figures.Count { return p.InMemory }
	excluded    get = func(p figures.SeriesPoint) figures.Count { return p.Excluded }
	growthParts     = []get{newcomers, returning, lost, forgotten}
)

// add adds up a figure. When one of them is hidden from the public, the sum of the others is all that is known.
func add(points []figures.SeriesPoint, of get) (sum uint64, whole bool) {
	whole = true
	for _, point := range points {
		switch f := of(point); {
		case f != nil:
			sum += *f
		case !point.Gap:
			whole = false
		}
	}
	return sum, whole
}

// sumCell gives a sum as a cell.
func sumCell(points []figures.SeriesPoint, of get) any {
	sum, whole := add(points, of)
	if !whole {
		return atLeast(sum)
	}
	return sum
}

// net gives new and returning, less lost and forgotten; ok is false when one of them is hidden.
func net(points []figures.SeriesPoint) (n int64, ok bool) {
	for i, of := range growthParts {
		sum, whole := add(points, of)
		switch {
		case !whole:
			return 0, false
		case i < 2:
			n += int64(sum)
		default:
			n -= int64(sum)
		}
	}
	return n, true
}

func signed(n int64) string {
	if n < 0 {
		return "−" + grouped(uint64(-n))
	}
	return "+" + grouped(uint64(n))
}

// A tileRow is what the tiles at the top are made of.
type tileRow struct {
	now, before []figures.SeriesPoint
	k           int
	age, oldAge figures.Count
}

// tiles are the figures at the top. Those of a moment are of the last day that is over.
func tiles(t tileRow) []tile {
	if len(t.now) == 0 {
		return nil
	}
	all := []tile{
		t.at("Active in 28 days", "Different installations in the 28 days to the last whole day", days28),
		t.at("Active in 7 days", "Different installations in the 7 days to the last whole day", week),
		t.at("Active in a day", "Different installations on the last whole day", day),
		t.at("Established", "Of those active in 28 days, the ones seen on two days or more", sure28),
		t.sum("New", "Seen for the first time in the range", newcomers),
		t.sum("Lost", "Last seen 28 days before a day of the range", lost),
		t.net(), t.sticky(), t.median(),
		t.sum("In memory, excluded", "IDs that are not persisted, and development versions, added up over the days; in no other figure",
			func(p figures.SeriesPoint) figures.Count {
				if p.InMemory == nil || p.Excluded == nil {
					return nil
				}
				both := *p.InMemory + *p.Excluded
				return &both
			}),
	}
	return all
}

// closed gives the days of the range that are over; all when none is.
func (t tileRow) closed() []figures.SeriesPoint {
	if n := len(t.now); n > 1 && t.now[n-1].Open {
		return t.now[:n-1]
	}
	return t.now
}

// moments gives the last whole day, and the one that is a range earlier.
func (t tileRow) moments() (now, then figures.SeriesPoint, known bool) {
	closed := t.closed()
	now = closed[len(closed)-1]
	if n := len(t.before); n > 0 && !t.before[n-1].Gap {
		return now, t.before[n-1], true
	}
	return now, figures.SeriesPoint{}, false
}

func (t tileRow) at(name, explain string, of get) tile {
	now, then, known := t.moments()
	one := tile{Name: name, Explain: explain, Value: figure(cellOf(now.Gap, of(now)), t.k)}
	if known {
		one.change(of(now), of(then))
	}
	one.spark(t.closed(), of)
	return one
}

func (t tileRow) sum(name, explain string, of get) tile {
	one := tile{Name: name, Explain: explain, Value: figure(sumCell(t.now, of), t.k)}
	now, whole := add(t.now, of)
	if then, wholeThen := add(t.before, of); whole && wholeThen && len(t.before) >= len(t.now) {
		one.change(&now, &then)
	}
	one.spark(t.closed(), of)
	return one
}

func (t tileRow) net() tile {
	one := tile{Name: "Net", Explain: "New and returning, less lost and forgotten, in the range", Value: missing}
	if n, ok := net(t.now); ok {
		one.Value = template.HTML(signed(n)) //nolint:gosec // a number
		if old, ok := net(t.before); ok && len(t.before) >= len(t.now) {
			one.Change = "from " + signed(old)
		}
	}
	return one
}

func (t tileRow) sticky() tile {
	one := tile{Name: "Stickiness", Explain: "Share of those active in 28 days that are active on the last whole day", Value: missing}
	share := func(p figures.SeriesPoint) float64 {
		if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
			return math.NaN()
		}
		return float64(*p.Active.Day) / float64(*p.Active.Days28)
	}
	now, then, known := t.moments()
	if s := share(now); !math.IsNaN(s) {
		one.Value = template.HTML(fmt.Sprintf("%.0f&nbsp;%%", 100*s)) //nolint:gosec // a number
		if old := share(then); known && !math.IsNaN(old) {
			one.Change = fmt.Sprintf("from %.0f %%", 100*old)
		}
	}
	return one
}

func (t tileRow) median() tile {
	one := tile{Name: "Median age", Explain: "Days since first sight of those active in 28 days", Value: missing}
	if t.age != nil {
		one.Value = number(*t.age) + " <small>days</small>"
		if t.oldAge != nil {
			one.Change = "from " + grouped(*t.oldAge)
		}
	}
	return one
}

func (t *tile) spark(points []figures.SeriesPoint, of get) {
	if len(points) > 2 {
		t.Spark = chart.Spark(pick(points, of))
	}
}

// change says how a figure compares with an earlier one.
func (t *tile) change(now, then figures.Count) {
	if now == nil || then == nil || *then == 0 {
		return
	}
	share := 100 * (float64(*now)/float64(*then) - 1)
	switch {
	case share > 0.05:
		t.Sign = "▲"
	case share < -0.05:
		t.Sign = "▼"
	default:
		t.Change = "unchanged"
		return
	}
	if t.Change = fmt.Sprintf("%.1f %%", math.Abs(share)); share >= 1000 {
		t.Change = fmt.Sprintf("× %.0f", share/100+1)
	}
}

func pick(points []figures.SeriesPoint, of get) []float64 {
	values := make([]float64, len(points))
	for i, point := range points {
		values[i] = value(of(point))
		if point.Gap {
			values[i] = math.NaN()
		}
	}
	return values
}

// axis gives the names of the days, which of them are gaps, and how many at the end are not over.
func axis(points []figures.SeriesPoint) (days []string, gaps []bool, open int) {
	for _, point := range points {
		days = append(days, point.Day.String())
		gaps = append(gaps, point.Gap)
		if point.Open {
			open++
		}
	}
	return days, gaps, open
}

func activePanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	t := table{Head: []string{"day", "28 days", "7 days", "1 day", "28 days, established", "7 days, established", "1 day, established", "state"}}
	for _, p := range points {
		row := []any{p.Day}
		for _, of := range []get{days28, week, day, sure28, sureWeek, sureDay} {
			row = append(row, cellOf(p.Gap, of(p)))
		}
		t.Rows = append(t.Rows, append(row, state(p.Open, p.Gap)))
	}
	days, gaps, open := axis(points)
	lines := chart.Lines{
		Text:   chart.Text{Title: "Active opted-in installations", Desc: "Lines for 28 days, 7 days and a day, each with the established ones beside it"},
		Labels: days, Open: open, Gaps: gaps,
		Series: []chart.Series{
			{Name: "28 days", Values: pick(points, days28)}, {Name: "28 days, established", Values: pick(points, sure28), Beside: true},
			{Name: "7 days", Values: pick(points, week)}, {Name: "7 days, established", Values: pick(points, sureWeek), Beside: true},
			{Name: "1 day", Values: pick(points, day)}, {Name: "1 day, established", Values: pick(points, sureDay), Beside: true},
		},
	}
	return panel{
		ID: "active", Title: "Active opted-in installations", Wide: true, Table: t, Chart: lines, Meta: meta, Answer: grown(points),
		Explain: "Different installations in the 28 days, 7 days and day that end with each day (UTC). Beside each, finely dotted, those that are " +
			"established: seen on two days or more. The end is dashed while its day is not over; a hatched break is a day on which the collector did not run.",
	}
}

// grown says in words how the 28-day figure went.
func grown(points []figures.SeriesPoint) template.HTML {
	var known []figures.SeriesPoint
	for _, p := range points {
		if p.Active.Days28 != nil && !p.Gap && !p.Open {
			known = append(known, p)
		}
	}
	if len(known) < 2 {
		return ""
	}
	first, last := known[0], known[len(known)-1]
	return say("From %s to %s in 28 days, between %s and %s.", first.Active.Days28, last.Active.Days28, first.Day, last.Day)
}

func state(open, gap bool) string {
	switch {
	case gap:
		return "gap"
	case open:
		return "not over"
	}
	return "closed"
}

// weekly is how many days a range has at least for columns to stand for weeks.
const weekly = 45

// growthPanel adds days up to weeks when there are many.
func growthPanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	t := table{Head: []string{"from", "new", "returning", "lost", "forgotten", "net", "state"}}
	step, unit := 1, "day"
	if len(points) > weekly {
		step, unit = 7, "week"
	}
	c := chart.Columns{
		Text:   chart.Text{Title: "Growth of opted-in installations by " + unit, Desc: "New and returning above the line, lost and forgotten below"},
		Series: []chart.Series{{Name: "new"}, {Name: "returning"}, {Name: "lost"}, {Name: "forgotten"}},
	}
	for i := len(points) % step; i < len(points); i += step {
		part := points[i:min(len(points), i+step)]
		gap := !slices.ContainsFunc(part, func(p figures.SeriesPoint) bool { return !p.Gap })
		open := part[len(part)-1].Open
		row := []any{part[0].Day}
		for n, of := range growthParts {
			sum, _ := add(part, of)
			up := float64(sum)
			if n >= 2 {
				up = -up
			}
			if gap {
				row, up = append(row, unknown{}), math.NaN()
			} else {
				row = append(row, sumCell(part, of))
			}
			c.Series[n].Values = append(c.Series[n].Values, up)
		}
		if n, ok := net(part); ok && !gap {
			row = append(row, signed(n))
		} else {
			row = append(row, unknown{})
		}
		t.Rows = append(t.Rows, append(row, state(open, gap)))
		c.Labels, c.Gaps = append(c.Labels, part[0].Day.String()), append(c.Gaps, gap)
		if open {
			c.Open = 1
		}
	}
	p := panel{
		ID: "growth", Title: "Growth of opted-in installations by " + unit, Table: t, Chart: c, Meta: meta,
		Explain: "New were seen for the first time, returning were away for 28 days or more, lost have not been seen for 28 days, forgotten asked to " +
			"be deleted. What is above less what is below is the change of the 28-day figure.",
	}
	if n, ok := net(points); ok {
		p.Answer = say("%s in the range: %s new, %s returning, %s lost, %s forgotten.", signed(n),
			sumCell(points, newcomers), sumCell(points, returning), sumCell(points, lost), sumCell(points, forgotten))
	}
	return p
}

func asidePanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	t := table{Head: []string{"day", "in memory", "excluded", "state"}}
	for _, p := range points {
		t.Rows = append(t.Rows, []any{p.Day, cellOf(p.Gap, p.InMemory), cellOf(p.Gap, p.Excluded), state(p.Open, p.Gap)})
	}
	days, gaps, open := axis(points)
	return panel{
		ID: "aside", Title: "Counted beside: IDs in memory, and excluded ones", Table: t, Meta: meta,
		Explain: "IDs that are not persisted may be others tomorrow, and development versions can be excluded in the settings. Neither is in any other figure.",
		Chart: chart.Lines{
			Text: chart.Text{Title: "IDs in memory, and excluded ones", Desc: "By day"}, Labels: days, Open: open, Gaps: gaps,
			Series: []chart.Series{{Name: "in memory", Values: pick(points, inMemory)}, {Name: "excluded", Values: pick(points, excluded)}},
		},
	}
}
