package dashboard

import (
	"context"
	"errors"
	"html/template"
	"math"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// overview shows how the fleet is doing.
func (d *dashboard) overview(ctx context.Context, v view, p *pageData) error {
	// The tiles compare with a period of the same length before.
	length := v.span.To - v.span.From + 1
	both, err := d.c.Series(ctx, v.app.Num, clamp(collector.Range{From: v.span.From - length, To: v.span.To}), v.sees)
	if err != nil {
		return err
	}
	points, before := splitAt(both.Points, v.span.From)
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

// changeSentence says how the 28-day figure has changed.
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
	switch was, now := first.Active.Days28, last.Active.Days28; {
	case *now > *was:
		return htmlf("28-day active installations grew from %s to %s (%s).", was, now, days)
	case *now < *was:
		return htmlf("28-day active installations fell from %s to %s (%s).", was, now, days)
	default:
		return htmlf("28-day active installations stayed at %s (%s).", now, days)
	}
}

// weekly is the length of a range, in days, from which columns stand for weeks.
const weekly = 45

// growthPanel shows what adds to the 28-day figure and what takes away from it.
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
