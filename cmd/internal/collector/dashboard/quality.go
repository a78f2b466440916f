package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// quality says how far the figures can be trusted.
func (d *dashboard) quality(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	q, err := d.c.Quality(ctx, v.app.Num, v.span)
	if err != nil {
		return err
	}
	p.asOf(q.Meta)
	if len(q.Truncated) > 0 {
		p.Notice = "More different values than are kept: " + visible(strings.Join(q.Truncated, ", ")) + ". The rest is counted as other."
	}
	sums := figures.QualityPoint{Refused: make(map[string]uint64)}
	for _, point := range q.Points {
		sums.Accepted += point.Accepted
		sums.Repeated += point.Repeated
		sums.Skewed += point.Skewed
		for reason, n := range point.Refused {
			sums.Refused[reason] += n
		}
	}
	p.Tiles = qualityTiles(q, sums)
	clients := breakdownPanel("clients", "Clients of opted-in installations", figures.Breakdown{
		Meta: q.Meta, Dimension: collector.DimClient, Window: 28, To: v.today, Values: q.Clients, Active: &q.Denominator, Reporting: reporting(q.Clients),
	}, 10)
	p.Panels = []panel{reportsPanel(q), refusedPanel(sums.Refused, q.Meta), clients, droppedPanel(q)}
	return nil
}

func qualityTiles(q figures.Quality, sums figures.QualityPoint) []tile {
	clones := uint64(0)
	if q.Clones != nil {
		clones = *q.Clones
	}
	return []tile{
		{Name: "Accepted", Explain: "Reports in the range", Value: number(sums.Accepted)},
		{Name: "Repeated", Explain: "Of these, reports that changed nothing", Value: number(sums.Repeated)},
		{Name: "Refused", Explain: "Reports that are not counted", Value: number(total(sums.Refused))},
		{Name: "Clock off", Explain: "Reports whose sender's clock was an hour off or more", Value: number(sums.Skewed)},
		{Name: "Probable clones", Explain: "IDs that went back to the version, system, machine or deployment before three times within weeks: two installations with one ID", Value: number(clones)},
		{Name: "Held", Explain: "Installations of this app in the database", Value: number(q.Stored.Installations)},
		{Name: "Journal", Explain: "Entries that wait to be worked into the rest", Value: number(uint64(max(0, q.Stored.Journal)))},
		{Name: "Database", Explain: "On disk, over all apps", Value: template.HTML(fmt.Sprintf("%.1f <small>MB</small>", float64(q.Stored.Bytes)/1e6))}, //nolint:gosec // a number
		{Name: "Counting since", Explain: "The first day of this app", Value: template.HTML("<small>" + q.Stored.Since.String() + "</small>")},          //nolint:gosec // a day
	}
}

func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// daily makes a panel of lines of what is counted on each day.
func daily(p panel, points []figures.QualityPoint, names []string, of func(figures.QualityPoint) []uint64) panel {
	p.Table.Head = append(append([]string{"day"}, names...), "state")
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: "By day: " + strings.Join(names, ", ")}, Series: make([]chart.Series, len(names))}
	for i, name := range names {
		lines.Series[i].Name = name
	}
	for _, point := range points {
		row := []any{point.Day}
		for i, n := range of(point) {
			if point.Gap {
				row = append(row, unknown{})
				lines.Series[i].Values = append(lines.Series[i].Values, math.NaN())
				continue
			}
			row = append(row, n)
			lines.Series[i].Values = append(lines.Series[i].Values, float64(n))
		}
		p.Table.Rows = append(p.Table.Rows, append(row, state(point.Open, point.Gap)))
		lines.Labels, lines.Gaps = append(lines.Labels, point.Day.String()), append(lines.Gaps, point.Gap)
		if point.Open {
			lines.Open++
		}
	}
	if len(points) == 0 {
		p.Empty = "There are no days in this range."
		return p
	}
	p.Chart = lines
	return p
}

func reportsPanel(q figures.Quality) panel {
	return daily(panel{
		ID: "reports", Title: "Reports of opted-in installations by day", Wide: true, Meta: q.Meta,
		Explain: "Heartbeats and health reports that arrived on each day (UTC). Repeated ones are accepted too and change nothing.",
	}, q.Points, []string{"accepted", "repeated", "refused"}, func(p figures.QualityPoint) []uint64 {
		return []uint64{p.Accepted, p.Repeated, total(p.Refused)}
	})
}

func droppedPanel(q figures.Quality) panel {
	p := daily(panel{
		ID: "dropped", Title: "What was left out of reports, by day", Meta: q.Meta,
		Explain: "Fields and facts that the collector does not know or that are out of their bounds, context of faults, and reports whose sender's clock was an hour off or more.",
	}, q.Points, []string{"fields", "facts", "context", "clock off"}, func(p figures.QualityPoint) []uint64 {
		return []uint64{p.DroppedFields, p.DroppedFacts, p.DroppedContext, p.Skewed}
	})
	if !slices.ContainsFunc(q.Points, func(p figures.QualityPoint) bool {
		return p.DroppedFields+p.DroppedFacts+p.DroppedContext+p.Skewed > 0
	}) {
		p.Empty = "Nothing was left out, and no clock was off."
	}
	return p
}

func refusedPanel(refused map[string]uint64, meta figures.Meta) panel {
	p := panel{
		ID: "refused", Title: "Refused reports by reason", Meta: meta, Table: table{Head: []string{"reason", "reports"}},
		Explain: "In the range. Those that name no app of this collector are in the server's metrics.",
	}
	var bars []chart.Bar
	for _, reason := range slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(refused[b], refused[a]), strings.Compare(a, b))
	}) {
		p.Table.Rows = append(p.Table.Rows, []any{reason, refused[reason]})
		bars = append(bars, chart.Bar{Name: reason, Value: float64(refused[reason]), Note: grouped(refused[reason])})
	}
	if len(bars) == 0 {
		p.Empty = "Nothing was refused."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "The most frequent first"}, Bars: bars[:min(len(bars), 12)]}
	return p
}

func reporting(values []figures.Value) figures.Count {
	var sum uint64
	for _, v := range values {
		if v.Count != nil {
			sum += *v.Count
		}
	}
	return &sum
}
