package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func (d *dashboard) overview(ctx context.Context, v view, p *pageData) error {
	// The tiles compare with a period of the same length before.
	length := v.span.To - v.span.From + 1
	both, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.span.From - length, To: v.span.To}), v.sees)
	if err != nil {
		return err
	}
	begins := slices.IndexFunc(both.Points, func(p figures.SeriesPoint) bool { return p.Day >= v.span.From })
	if begins < 0 {
		begins = len(both.Points)
	}
	points, before := both.Points[begins:], both.Points[:begins]
	p.asOf(both.Meta)
	row := tileRow{now: points, before: before, k: v.hides(), age: both.MedianAge}
	if len(before) > 0 {
		then, err := d.c.Series(ctx, v.app.Num, collector.Range{From: v.span.From - 1, To: v.span.From - 1}, v.sees)
		if err != nil {
			return err
		}
		row.oldAge = then.MedianAge
	}
	p.Tiles = row.tiles()
	p.Panels = []panel{activePanel(points, both.Meta), growthPanel(points, both.Meta)}
	for _, dimension := range []string{collector.DimVersion, collector.DimSystem} {
		b, err := d.c.Breakdown(ctx, v.app.Num, dimension, 28, v.lastDay(), v.sees)
		if errors.Is(err, collector.ErrNoDay) || errors.Is(err, collector.ErrDimension) {
			continue
		}
		if err != nil {
			return err
		}
		p.Panels = append(p.Panels, breakdownPanel("by-"+dimension, b, 6))
	}
	p.Panels = append(p.Panels, notCountedPanel(points, both.Meta))
	return nil
}

func activePanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	p := panel{
		ID: "active", Title: "Active installations", Wide: true, Meta: meta, Answer: changeSentence(points),
		Explain: "Installations seen in the 28 days, 7 days and 1 day up to each day. Dotted lines show established installations, which were seen " +
			"on two or more days. A dashed end is a day in progress; a hatched gap is a day on which the collector did not run.",
	}
	rowOf := func(d figures.SeriesPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{
			d.Active.Days28, d.Active.Week, d.Active.Day, d.Established.Days28, d.Established.Week, d.Established.Day,
		}}
	}
	lines := addDays(&p, points, rowOf,
		"Lines for 28 days, 7 days and 1 day, each with a line for established installations",
		"28 days", "7 days", "1 day", "28 days, established", "7 days, established", "1 day, established")
	s := lines.Series
	for i := range s[3:] {
		s[3+i].Beside = true
	}
	lines.Series = []chart.Series{s[0], s[3], s[1], s[4], s[2], s[5]}
	p.draw(lines, len(points) > 0, noDays)
	return p
}

func changeSentence(points []figures.SeriesPoint) template.HTML {
	known := slices.DeleteFunc(slices.Clone(points), func(p figures.SeriesPoint) bool { return p.Active.Days28 == nil || p.Gap || p.Open })
	if len(known) < 2 {
		return ""
	}
	first, last := known[0], known[len(known)-1]
	from, to, layout := first.Day.Time(), last.Day.Time(), "2 Jan"
	if from.Year() != to.Year() {
		layout = "2 Jan 2006"
	}
	days := from.Format(layout) + " – " + to.Format(layout)
	was, now, verb := first.Active.Days28, last.Active.Days28, "grew"
	if *now < *was {
		verb = "fell"
	}
	if *now == *was {
		return htmlf("28-day active installations stayed at %s (%s).", now, days)
	}
	return htmlf("28-day active installations %s from %s to %s (%s).", verb, was, now, days)
}

// A range of at least weekly days has a column per week.
const weekly = 45

func growthPanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	step, unit := 1, "day"
	if len(points) > weekly {
		step, unit = 7, "week"
	}
	p := panel{
		ID: "growth", Title: "Growth by " + unit, Meta: meta,
		Table: table.Table{Columns: []string{"from", "new", "returning", "lost", "forgotten", "net", "state"}},
		Explain: "New: first seen. Returning: back after 28 or more days. Lost: not seen for 28 days. Forgotten: deleted at the operator's request. " +
			"The bars add up to the change in 28-day active installations.",
	}
	c := chart.Columns{
		Text:   chart.Text{Title: p.Title, Desc: "New and returning above the line, lost and forgotten below"},
		Series: []chart.Series{{Name: "new"}, {Name: "returning"}, {Name: "lost"}, {Name: "forgotten"}},
	}
	for i := len(points) % step; i < len(points); i += step {
		part := points[i:min(len(points), i+step)]
		gap := !slices.ContainsFunc(part, func(p figures.SeriesPoint) bool { return !p.Gap })
		open := part[len(part)-1].Open
		row := []any{part[0].Day}
		for n, of := range growthParts {
			total, _ := sum(part, of)
			up, cell := float64(total), sumCell(part, of)
			if n >= 2 {
				up = -up
			}
			if gap {
				up, cell = math.NaN(), unknown{}
			}
			row = append(row, cell)
			c.Series[n].Values = append(c.Series[n].Values, up)
		}
		if n, ok := net(part); ok && !gap {
			row = append(row, n)
		} else {
			row = append(row, unknown{})
		}
		p.Table.Add(append(row, state(open, gap))...)
		c.Add(part[0].Day.String(), open, gap)
	}
	p.draw(c, len(points) > 0, noDays)
	if n, ok := net(points); ok {
		p.Answer = htmlf("%s in this range: %s new, %s returning, %s lost, %s forgotten.", n,
			sumCell(points, newcomers), sumCell(points, returning), sumCell(points, lost), sumCell(points, forgotten))
	}
	return p
}

func notCountedPanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	p := panel{
		ID: "aside", Title: "Not counted above: in-memory IDs and development versions", Meta: meta,
		Explain: "An in-memory ID may change at the next start. Development versions are left out if the settings exclude them. No other figure includes either.",
	}
	rowOf := func(d figures.SeriesPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{d.InMemory, d.Excluded}}
	}
	p.draw(addDays(&p, points, rowOf, "By day", "in-memory", "excluded"), len(points) > 0, noDays)
	return p
}

// A tile is one figure, with its change since the period before.
type tile struct {
	Name, Explain string
	Value         template.HTML
	Change        string
	Sign          string // an arrow for the change, or empty
	Spark         template.HTML
}

// A tileRow is what the tiles of the overview are made of.
type tileRow struct {
	now, before []figures.SeriesPoint // the range, and the one before it
	k           int
	age, oldAge figures.Count
}

// tiles returns the tiles of the overview. Figures of a moment are those of the
// last day that is over.
func (t tileRow) tiles() []tile {
	if len(t.now) == 0 {
		return nil
	}
	closed := t.now // the days that are over, or all if none is
	if n := len(closed); n > 1 && closed[n-1].Open {
		closed = closed[:n-1]
	}
	now := closed[len(closed)-1]
	var then figures.SeriesPoint // the day before the range, if known
	if n := len(t.before); n > 0 && !t.before[n-1].Gap {
		then = t.before[n-1]
	}
	at := func(name, explain string, of figureOf) tile {
		one := tile{Name: name, Explain: explain, Value: figure(cellOf(now.Gap, of(now)), t.k), Spark: spark(closed, of)}
		one.change(of(now), of(then))
		return one
	}
	total := func(name, explain string, of figureOf) tile {
		one := tile{Name: name, Explain: explain, Value: figure(sumCell(t.now, of), t.k), Spark: spark(closed, of)}
		now, whole := sum(t.now, of)
		if then, wholeThen := sum(t.before, of); whole && wholeThen && len(t.before) >= len(t.now) {
			one.change(&now, &then)
		}
		return one
	}
	compared := func(name, explain string, value template.HTML, old string) tile {
		one := tile{Name: name, Explain: explain, Value: cmp.Or(value, missing)}
		if value != "" && old != "" {
			one.Change = "was " + old
		}
		return one
	}
	share := template.HTML(stickiness(now)) // a number
	var growth, age template.HTML
	var oldGrowth, oldAge string
	if n, ok := net(t.now); ok {
		growth = figure(n, 0)
	}
	if n, ok := net(t.before); ok && len(t.before) >= len(t.now) {
		oldGrowth = n.String()
	}
	if t.age != nil {
		age = number(*t.age) + " <small>days</small>"
	}
	if t.oldAge != nil {
		oldAge = grouped(*t.oldAge)
	}
	return []tile{
		at("28-day active", "Installations seen in the 28 days up to the last complete day", active28),
		at("7-day active", "Installations seen in the 7 days up to the last complete day", active7),
		at("1-day active", "Installations seen on the last complete day", active1),
		at("Established", "28-day active installations that were seen on two or more days", established28),
		total("New", "First seen in this range", newcomers),
		total("Lost", "Not seen for 28 days, as of a day in this range", lost),
		compared("Net growth", "New and returning minus lost and forgotten", growth, oldGrowth),
		compared("Stickiness", "1-day active as a share of 28-day active", share, stickiness(then)),
		compared("Median age", "How long ago 28-day active installations were first seen", age, oldAge),
		total("In-memory, excluded", "In-memory IDs and excluded development versions, summed over the days. "+
			"No other figure includes them", inMemoryExcluded),
	}
}

func stickiness(p figures.SeriesPoint) string {
	if p.Active.Day == nil || p.Active.Days28 == nil || *p.Active.Days28 == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 100*float64(*p.Active.Day)/float64(*p.Active.Days28))
}

// spark draws a figure day by day, if there are enough days.
func spark(points []figures.SeriesPoint, of figureOf) template.HTML {
	if len(points) <= 2 {
		return ""
	}
	values := make([]float64, len(points))
	for i, point := range points {
		if values[i] = value(of(point)); point.Gap {
			values[i] = math.NaN()
		}
	}
	return chart.Spark(values)
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
	if t.Change = fmt.Sprintf("%.1f%%", math.Abs(share)); share >= 1000 {
		t.Change = fmt.Sprintf("×%.0f", share/100+1)
	}
}
