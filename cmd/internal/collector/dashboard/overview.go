package dashboard

import (
	"context"
	"errors"
	"html/template"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func (d *dashboard) overview(ctx context.Context, v view, p *pageData) error {
	past := before(v.span)
	all, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: past.From, To: v.drawn().To}), v.sees)
	if err != nil {
		return err
	}
	p.asOf(all.Meta)
	if v.reads && v.sees.Segment.Empty() {
		if p.Changed, err = d.changes(ctx, v); err != nil {
			return err
		}
	}
	row := tileRow{now: within(all.Points, v.span), then: within(all.Points, past), span: v.span, past: past, k: v.hides()}
	if !v.sees.Public {
		if row.age, err = d.c.MedianAge(ctx, v.app.Num, v.span.To, v.sees); err != nil {
			return err
		}
		if row.oldAge, err = d.c.MedianAge(ctx, v.app.Num, past.To, v.sees); err != nil {
			return err
		}
	}
	points := within(all.Points, v.drawn())
	then, err := d.seriesBefore(ctx, v, all)
	if err != nil {
		return err
	}
	tiles := row.tiles(v)
	p.Picks = true
	if v.sees.Public {
		p.Tiles, p.Panels = tiles, []panel{publicActivePanel(points, all.Meta)}
	} else {
		chosen, err := row.choose(v, tiles)
		if err != nil {
			return err
		}
		p.Tiles, p.More, p.MoreOpen = tiles[:mainTiles], tiles[mainTiles:], chosen >= mainTiles
		p.Compare = v.comparisons()
		figure, growth := figurePanel(v, points, then, all.Meta, tiles[chosen]), growthPanel(v, points, then, all.Meta)
		if tiles[chosen].id == "new" {
			figure.linkNew(v, points)
		}
		growth.linkNew(v, points)
		p.Panels = []panel{figure, growth}
	}
	for _, dimension := range []string{collector.DimVersion, collector.DimSystem} {
		b, err := d.c.Breakdown(ctx, v.app.Num, dimension, 28, v.lastDay(), v.sees)
		if errors.Is(err, collector.ErrNoDay) || errors.Is(err, collector.ErrDimension) {
			continue
		}
		if err != nil {
			return err
		}
		split := breakdownPanel("by-"+dimension, v.app.VersionOrder, b, 7)
		split.link(v.valueLinks(dimension))
		p.Panels = append(p.Panels, split)
	}
	if out := within(all.Points, v.span); !v.sees.Public && notCounted(out) {
		p.Panels = append(p.Panels, notCountedPanel(v, points, then, all.Meta))
	}
	return nil
}

// dayColumns are the figures of a day.
var dayColumns = []struct {
	name string
	of   figureOf
}{
	{"28 days", active28}, {"7 days", active7}, {"1 day", active1},
	{"28 days, established", established28},
	{"7 days, established", func(p figures.SeriesPoint) figures.Count { return p.Established.Week }},
	{"1 day, established", func(p figures.SeriesPoint) figures.Count { return p.Established.Day }},
	{"new", newcomers}, {"returning", returning}, {"lost", lost}, {"forgotten", forgotten},
	{"in-memory", inMemory}, {"excluded", excluded},
}

// figurePanel draws the figure of a tile, day by day. Its table has all figures.
func figurePanel(v view, points, then []figures.SeriesPoint, meta figures.Meta, chosen tile) panel {
	p := panel{
		ID: "active", Title: chosen.title, Wide: true, Meta: meta, Answer: changeSentence(points),
		Explain: template.HTML(template.HTMLEscapeString(chosen.Explain)) + ". A dashed end or pale column is a day or week in progress; in a hatched gap, the collector did not run.",
	}
	var names []string
	for _, column := range dayColumns {
		names = append(names, column.name)
	}
	rowOf := func(d figures.SeriesPoint) dayRow {
		row := dayRow{d.Day, d.Open, d.Gap, nil}
		for _, column := range dayColumns {
			row.figures = append(row.figures, column.of(d))
		}
		return row
	}
	lines := addDays(&p, points, rowOf, chosen.title+", day by day", names...)
	addBefore(&p, &lines, v.ghost, then, rowOf, chosen.columns...)
	var c drawer
	switch series := lines.Series; {
	case chosen.sums:
		c = columnsOf(v, p.Title, points, then, chosen)
	case chosen.ratio:
		one, of := series[chosen.columns[0]], series[chosen.columns[1]]
		lines.Percent, lines.Series = true, []chart.Series{{Name: chosen.Name, Values: quotients(one.Values, of.Values), Before: quotients(one.Before, of.Before)}}
		c = lines
	default:
		lines.Series = []chart.Series{series[chosen.columns[0]]}
		lines.Series[0].Name = "all"
		if chosen.beside > 0 {
			lines.Series = append(lines.Series, series[chosen.beside])
			lines.Series[1].Name, lines.Series[1].Beside = "established", true
		} else {
			lines.Series[0].Name = strings.ToLower(chosen.Name)
		}
		c = lines
	}
	p.draw(c, len(points) > 0, noDays)
	return p
}

// quotients divides the values of two figures of equal length.
func quotients(of, by []float64) (all []float64) {
	for i, n := range of {
		all = append(all, n/by[i]) // of zero it is NaN, which is unknown
	}
	return all
}

// columnsOf has a column for each day, or week of a long range.
func columnsOf(v view, title string, points, then []figures.SeriesPoint, chosen tile) chart.Columns {
	c := chart.Columns{Text: chart.Text{Title: title, Desc: "A column for each " + unitOf(points)}, Series: []chart.Series{{Name: chosen.Name, Tone: chosen.tone}}}
	for part := range parts(points) {
		n, gap := sumOf(part, chosen.of)
		if gap {
			n = math.NaN()
		}
		c.Series[0].Values = append(c.Series[0].Values, n)
		c.Add(part[0].Day.String(), part[len(part)-1].Open, gap)
	}
	if v.ghost != nil {
		c.Before, c.Series[0].Before = v.ghost.name, v.ghost.sumsBefore(points, then, chosen.of)
	}
	return c
}

// publicActivePanel has a point for each window.
func publicActivePanel(points []figures.SeriesPoint, meta figures.Meta) panel {
	p := panel{
		ID: "active", Title: "Active installations", Wide: true, Meta: meta, Answer: changeSentence(points),
		Explain: "Installations seen in the 28 days to each day shown, and on two or more days in all. What is hatched is hidden.",
	}
	rowOf := func(d figures.SeriesPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{d.Active.Days28}}
	}
	p.draw(addDays(&p, points, rowOf, "One point for each window of 28 days", "28 days"), len(points) > 0, noWindow)
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

func unitOf(points []figures.SeriesPoint) string {
	if len(points) > weekly {
		return "week"
	}
	return "day"
}

// parts yields the days of a short range, or the weeks of a long one. A week ends
// with the last closed day; the days after it are a part of their own.
func parts(points []figures.SeriesPoint) iter.Seq[[]figures.SeriesPoint] {
	return func(yield func([]figures.SeriesPoint) bool) {
		step := 1
		if len(points) > weekly {
			step = week
		}
		closed := len(points)
		for closed > 0 && points[closed-1].Open {
			closed--
		}
		for begin, end := 0, closed%step; begin < closed; begin, end = end, end+step {
			if end > begin && !yield(points[begin:end]) {
				return
			}
		}
		if closed < len(points) {
			yield(points[closed:])
		}
	}
}

// sumOf adds up a figure. gap means that it is not known on any day.
func sumOf(points []figures.SeriesPoint, of figureOf) (n float64, gap bool) {
	total, _ := sum(points, of)
	return float64(total), !slices.ContainsFunc(points, func(p figures.SeriesPoint) bool { return !p.Gap })
}

func growthPanel(v view, points, then []figures.SeriesPoint, meta figures.Meta) panel {
	p := panel{
		ID: "growth", Title: "Growth by " + unitOf(points), Meta: meta, OldestFirst: true,
		Table: table.Table{Columns: []string{"from", "new", "returning", "lost", "forgotten", "net", "state"}},
		Explain: "New: first seen. Returning: back after 28 or more days. Lost: not seen for 28 days. Forgotten: deleted at the operator's request. " +
			"The bars add up to the change in 28-day active installations.",
	}
	c := chart.Columns{
		Text: chart.Text{Title: p.Title, Desc: "New and returning above the line, lost and forgotten below"},
		Series: []chart.Series{
			{Name: "new", Tone: "s0"}, {Name: "returning", Tone: "back"}, {Name: "lost", Tone: "lost"}, {Name: "forgotten", Tone: "gone"},
		},
	}
	for part := range parts(points) {
		open, row := part[len(part)-1].Open, []any{part[0].Day}
		_, gap := sumOf(part, newcomers)
		for n, of := range growthParts {
			up, _ := sumOf(part, of)
			cell := sumCell(part, of)
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
	if v.ghost != nil {
		v.ghost.explain(&p)
		c.Before = v.ghost.name
		for n, of := range growthParts {
			sums := v.ghost.sumsBefore(points, then, of)
			for i := range sums {
				if n >= 2 {
					sums[i] = -sums[i]
				}
			}
			c.Series[n].Before = sums
		}
	}
	p.draw(c, len(points) > 0, noDays)
	closed := within(points, v.span)
	if n, ok := net(closed); ok {
		p.Answer = htmlf("%s: %s new, %s returning, %s lost, %s forgotten.", n,
			sumCell(closed, newcomers), sumCell(closed, returning), sumCell(closed, lost), sumCell(closed, forgotten))
	}
	return p
}

// notCounted reports whether there is anything that no other figure includes.
func notCounted(points []figures.SeriesPoint) bool {
	return slices.ContainsFunc(points, func(p figures.SeriesPoint) bool { return orZero(p.InMemory)+orZero(p.Excluded) > 0 })
}

func notCountedPanel(v view, points, then []figures.SeriesPoint, meta figures.Meta) panel {
	p := panel{
		ID: "aside", Title: "Not counted above", Meta: meta,
		Explain: "In-memory IDs, which may change at the next start, and development versions if the settings exclude them, by day. No other figure includes either.",
	}
	rowOf := func(d figures.SeriesPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{d.InMemory, d.Excluded}}
	}
	lines := addDays(&p, points, rowOf, "By day", "in-memory", "excluded")
	addBefore(&p, &lines, v.ghost, then, rowOf)
	lines.Series = slices.DeleteFunc(lines.Series, func(s chart.Series) bool {
		return !slices.ContainsFunc(s.Values, func(n float64) bool { return n > 0 }) // it says nothing
	})
	p.draw(lines, len(lines.Series) > 0, noDays)
	return p
}
