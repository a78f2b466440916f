package dashboard

import (
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A figureOf picks one figure of a day.
type figureOf func(figures.SeriesPoint) figures.Count

var (
	active28      figureOf = func(p figures.SeriesPoint) figures.Count { return p.Active.Days28 }
	active7       figureOf = func(p figures.SeriesPoint) figures.Count { return p.Active.Week }
	active1       figureOf = func(p figures.SeriesPoint) figures.Count { return p.Active.Day }
	established28 figureOf = func(p figures.SeriesPoint) figures.Count { return p.Established.Days28 }
	newcomers     figureOf = func(p figures.SeriesPoint) figures.Count { return p.New }
	returning     figureOf = func(p figures.SeriesPoint) figures.Count { return p.Returning }
	lost          figureOf = func(p figures.SeriesPoint) figures.Count { return p.Lost }
	forgotten     figureOf = func(p figures.SeriesPoint) figures.Count { return p.Forgotten }
	inMemory      figureOf = func(p figures.SeriesPoint) figures.Count { return p.InMemory }
	excluded      figureOf = func(p figures.SeriesPoint) figures.Count { return p.Excluded }
	// growthParts are two figures that add to the 28-day figure, and two that
	// take away from it.
	growthParts = []figureOf{newcomers, returning, lost, forgotten}
)

// sum adds up a figure. whole is false if some days are hidden, and missing
// from the sum.
func sum(points []figures.SeriesPoint, of figureOf) (total uint64, whole bool) {
	whole = true
	for _, point := range points {
		switch f := of(point); {
		case f != nil:
			total += *f
		case !point.Gap:
			whole = false
		}
	}
	return total, whole
}

func sumCell(points []figures.SeriesPoint, of figureOf) any {
	total, whole := sum(points, of)
	if !whole {
		return atLeast(total)
	}
	return total
}

// net returns new and returning minus lost and forgotten. ok is false if one of
// them is hidden.
func net(points []figures.SeriesPoint) (n difference, ok bool) {
	for i, of := range growthParts {
		total, whole := sum(points, of)
		switch {
		case !whole:
			return 0, false
		case i < 2:
			n += difference(total)
		default:
			n -= difference(total)
		}
	}
	return n, true
}

func clamp(r collector.Range) collector.Range {
	r.From = max(r.From, r.To-collector.MaxRangeDays+1)
	return r
}

type dayRow struct {
	day       collector.Day
	open, gap bool
	figures   []figures.Count
}

// addDays fills the table of a panel with a row for each day, and returns a
// chart with a line for each figure.
func addDays[P any](p *panel, points []P, rowOf func(P) dayRow, desc string, names ...string) chart.Lines {
	p.Table.Columns, p.OldestFirst = slices.Concat([]string{"day"}, names, []string{"state"}), true
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: desc}, Series: make([]chart.Series, len(names))}
	for i, name := range names {
		lines.Series[i].Name = name
	}
	for _, point := range points {
		row := rowOf(point)
		cells := []any{row.day}
		for i, f := range row.figures {
			if row.gap {
				f = nil
			}
			cells = append(cells, cellOf(row.gap, f))
			lines.Series[i].Values = append(lines.Series[i].Values, value(f))
		}
		p.Table.Add(append(cells, state(row.open, row.gap))...)
		lines.Add(row.day.String(), row.open, row.gap)
	}
	return lines
}

const (
	noDays   = "No days in this range."
	noWindow = "No public figures in this range."
)
