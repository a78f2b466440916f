package dashboard

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func (d *dashboard) quality(ctx context.Context, v view, p *pageData) error {
	q, err := d.c.Quality(ctx, v.app.Num, v.span)
	if err != nil {
		return err
	}
	p.asOf(q.Meta)
	if len(q.Truncated) > 0 {
		p.Notice = "Too many different values of " + visible(strings.Join(q.Truncated, ", ")) + ". The rest count as “other”."
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
	var reporting uint64
	for _, client := range q.Clients {
		reporting += orZero(client.Count)
	}
	p.Panels = []panel{
		reportsPanel(q), refusedPanel(sums.Refused, q.Meta),
		breakdownPanel("clients", figures.Breakdown{
			Meta: q.Meta, Dimension: collector.DimClient, Window: 28, To: v.today, Values: q.Clients, Active: &q.Denominator, Reporting: &reporting,
		}, 10),
		droppedPanel(q),
	}
	return nil
}

func qualityTiles(q figures.Quality, sums figures.QualityPoint) []tile {
	return []tile{
		{Name: "Accepted", Explain: "Reports accepted in this range", Value: number(sums.Accepted)},
		{Name: "Repeated", Explain: "Accepted reports that changed nothing", Value: number(sums.Repeated)},
		{Name: "Refused", Explain: "Reports that were not counted", Value: number(total(sums.Refused))},
		{Name: "Wrong clock", Explain: "Reports from a clock that was off by more than an hour", Value: number(sums.Skewed)},
		{Name: "Probable clones", Explain: "IDs that switched back to an earlier version, operating system, CPU or deployment three times within weeks: probably two installations that share an ID", Value: number(orZero(q.Clones))},
		{Name: "Installations on record", Explain: "Installations of this app in the database", Value: number(q.Stored.Installations)},
		{Name: "Queued writes", Explain: "Journal entries that are not merged yet", Value: number(uint64(max(0, q.Stored.Journal)))},
		{Name: "Database", Explain: "Size on disk, all apps", Value: template.HTML(fmt.Sprintf("%.1f <small>MB</small>", float64(q.Stored.Bytes)/1e6))}, // a number
		{Name: "Counting since", Explain: "First day of this app", Value: template.HTML("<small>" + q.Stored.Since.String() + "</small>")},              // a day
	}
}

func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func reportsPanel(q figures.Quality) panel {
	p := panel{
		ID: "reports", Title: "Reports by day", Wide: true, Meta: q.Meta,
		Explain: "Heartbeats and health reports received each day. Repeated reports are accepted but change nothing.",
	}
	rowOf := func(d figures.QualityPoint) dayRow {
		refused := total(d.Refused)
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{&d.Accepted, &d.Repeated, &refused}}
	}
	lines := addDays(&p, q.Points, rowOf, "By day: accepted, repeated, refused", "accepted", "repeated", "refused")
	p.draw(lines, len(q.Points) > 0, noDays)
	return p
}

func droppedPanel(q figures.Quality) panel {
	p := panel{
		ID: "dropped", Title: "Dropped from reports, by day", Meta: q.Meta,
		Explain: "Unknown or out-of-range fields, facts and fault context, and reports from a clock that was off by more than an hour.",
	}
	rowOf := func(d figures.QualityPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{&d.DroppedFields, &d.DroppedFacts, &d.DroppedContext, &d.Skewed}}
	}
	lines := addDays(&p, q.Points, rowOf, "By day: fields, facts, context, wrong clock", "fields", "facts", "context", "wrong clock")
	dropped := func(d figures.QualityPoint) bool {
		return d.DroppedFields+d.DroppedFacts+d.DroppedContext+d.Skewed > 0
	}
	p.draw(lines, slices.ContainsFunc(q.Points, dropped), "Nothing was dropped, and no clock was wrong.")
	return p
}

func refusedPanel(refused map[string]uint64, meta figures.Meta) panel {
	p := panel{
		ID: "refused", Title: "Refused reports by reason", Meta: meta, Table: table.Table{Columns: []string{"reason", "reports"}},
		Explain: "Reports that name no app of this collector are counted in the server's metrics instead.",
	}
	var bars []chart.Bar
	for _, reason := range mostFrequent(refused) {
		p.Table.Add(reason, refused[reason])
		bars = append(bars, chart.Bar{Name: reason, Value: float64(refused[reason]), Note: grouped(refused[reason])})
	}
	p.drawBars(bars, 12, "Most frequent first", "No report was refused.")
	return p
}
