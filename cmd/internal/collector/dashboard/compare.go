package dashboard

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// compareName is the name of the choice of what charts are compared with.
const compareName = "compare"

// errChoice is the error of an address with a choice that does not exist.
var errChoice = errors.New("invalid choice")

// A ghost is the days that charts are compared with: the window before, or the same
// days a year before, with the same weekdays.
type ghost struct {
	name  string
	shift collector.Day   // how many days before
	days  collector.Range // the days of the charts, shifted back
}

// comparisons returns the choices of what to compare with. Pages that have a chart
// to compare offer them.
func (v view) comparisons() *choiceRow {
	row := &choiceRow{Name: "Compare with", Menu: true}
	for _, choice := range [][2]string{{"", "nothing"}, {"previous", "period before"}, {"year", "year before"}} {
		row.Choices = append(row.Choices, link{choice[1], v.with(compareName, choice[0]), v.values.Get(compareName) == choice[0]})
	}
	return row
}

// yearOfWeeks is a year with the same weekdays.
const yearOfWeeks = 52 * week

// readGhost reads which days the address asks to compare with: nil for none, and
// for the public.
func (v view) readGhost() (*ghost, error) {
	g := &ghost{}
	switch choice := v.values.Get(compareName); choice {
	case "":
		return nil, nil
	case "previous":
		g.name, g.shift = "period before", v.span.From-before(v.span).From
	case "year":
		g.name, g.shift = "year before", yearOfWeeks
	default:
		return nil, fmt.Errorf("%w: %s is %q, which must be previous or year", errChoice, compareName, choice)
	}
	if v.sees.Public {
		return nil, nil
	}
	drawn := v.drawn()
	g.days = collector.Range{From: drawn.From - g.shift, To: drawn.To - g.shift}
	return g, nil
}

// seriesBefore returns the days of the ghost; none without one. It does not ask
// again for days in known.
func (d *dashboard) seriesBefore(ctx context.Context, v view, known figures.Series) ([]figures.SeriesPoint, error) {
	if v.ghost == nil {
		return nil, nil
	}
	if days := v.ghost.days; known.From <= days.From && days.To <= known.To {
		return within(known.Points, days), nil
	}
	answer, err := d.c.Series(ctx, v.app.Num, v.ghost.days, v.sees)
	return answer.Points, err
}

// explain says in a panel which days it is compared with.
func (g *ghost) explain(p *panel) {
	p.Explain += htmlf(" Pale lines are the %s: %s days earlier, with the same weekdays.", g.name, int(g.shift))
}

// addBefore adds the days of a ghost, which may be nil, to a chart of days and
// to the table of its panel. Numbers select the figures; none means all.
func addBefore[P any](p *panel, lines *chart.Lines, g *ghost, then []P, rowOf func(P) dayRow, numbers ...int) {
	if g == nil {
		return
	}
	g.explain(p)
	lines.Before = g.name
	rows := make(map[collector.Day]dayRow, len(then))
	for _, point := range then {
		row := rowOf(point)
		rows[row.day] = row
	}
	if numbers == nil {
		for n := range lines.Series {
			numbers = append(numbers, n)
		}
	}
	p.Table.Columns = append(p.Table.Columns, "compared with")
	for _, n := range numbers {
		p.Table.Columns = append(p.Table.Columns, lines.Series[n].Name+" then")
	}
	for i, cells := range p.Table.Rows {
		day := cells[0].(collector.Day) - g.shift
		row, known := rows[day]
		cells = append(cells, day)
		for _, n := range numbers {
			var f figures.Count
			if known && !row.gap {
				f = row.figures[n]
			}
			lines.Series[n].Before = append(lines.Series[n].Before, value(f))
			cells = append(cells, cellOf(f == nil, f))
		}
		p.Table.Rows[i] = cells
	}
}

// sumsBefore returns the sums over the parts of some points, of the days of the
// ghost.
func (g *ghost) sumsBefore(points, then []figures.SeriesPoint, of figureOf) (sums []float64) {
	byDay := make(map[collector.Day]figures.SeriesPoint, len(then))
	for _, point := range then {
		byDay[point.Day] = point
	}
	for part := range parts(points) {
		total, known := 0.0, false
		for _, point := range part {
			if point, ok := byDay[point.Day-g.shift]; ok && !point.Gap && of(point) != nil {
				total, known = total+float64(*of(point)), true
			}
		}
		if !known {
			total = math.NaN()
		}
		sums = append(sums, total)
	}
	return sums
}

// trendBefore adds the bands of the ghost to a trend, under the trend's names.
// Versions have no such bands, because they replace one another.
func (d *dashboard) trendBefore(ctx context.Context, v view, p *panel, dimension string) error {
	bands, ok := p.Chart.(chart.Bands)
	if v.ghost == nil || !ok {
		return nil
	}
	then, err := d.c.Trend(ctx, v.app.Num, dimension, 28, v.ghost.days, trendTop, v.sees)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range bands.Series {
		names = append(names, s.Name)
	}
	shares := sharesUnder(names, then)
	bands.Before = v.ghost.name
	p.Explain += htmlf(" The lines across the bands are where they ended in the %s: %s days earlier, with the same weekdays.", v.ghost.name, int(v.ghost.shift))
	p.Table.Columns = append(p.Table.Columns, "compared with")
	for _, name := range names {
		p.Table.Columns = append(p.Table.Columns, name+" then")
	}
	for i, cells := range p.Table.Rows {
		day := cells[0].(collector.Day) - v.ghost.shift
		cells = append(cells, day)
		for n := range names {
			share := math.NaN()
			if known := shares[day]; known != nil {
				share = known[n]
			}
			bands.Series[n].Before = append(bands.Series[n].Before, share)
			cells = append(cells, share)
		}
		p.Table.Rows[i] = cells
	}
	p.Chart = bands
	return nil
}

// sharesUnder returns the shares of a trend by day, under names that [fold] gave
// another one.
func sharesUnder(names []string, t figures.Trend) map[collector.Day][]float64 {
	place := func(value string) int {
		if n := slices.Index(names, value); n >= 0 {
			return n
		}
		return slices.Index(names, collector.Other)
	}
	shares := make(map[collector.Day][]float64)
	for _, point := range t.Points {
		row, all := make([]float64, len(names)), 0.0
		for i, f := range point.Counts {
			all += float64(orZero(f))
			if n := place(t.Values[i]); n >= 0 {
				row[n] += float64(orZero(f))
			}
		}
		if all == 0 || point.Gap {
			continue
		}
		for n := range row {
			row[n] /= all
		}
		shares[point.Day] = row
	}
	return shares
}
