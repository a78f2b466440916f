package dashboard

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func (d *dashboard) quality(ctx context.Context, v view, p *pageData) error {
	q, err := d.c.Quality(ctx, v.app.Num, v.drawn())
	if err != nil {
		return err
	}
	p.asOf(q.Meta)
	sums := figures.QualityPoint{Refused: make(map[string]uint64)}
	for _, point := range q.Points {
		sums.Accepted += point.Accepted
		sums.Repeated += point.Repeated
		sums.Skewed += point.Skewed
		for reason, n := range point.Refused {
			sums.Refused[reason] += n
		}
	}
	var then []figures.QualityPoint
	if v.ghost != nil {
		earlier, err := d.c.Quality(ctx, v.app.Num, v.ghost.days)
		if err != nil {
			return err
		}
		then = earlier.Points
	}
	p.Compare = v.comparisons()
	tiles := qualityTiles(v, q, sums)
	p.Tiles, p.More = tiles[:mainTiles], tiles[mainTiles:]
	var reporting uint64
	for _, client := range q.Clients {
		reporting += orZero(client.Count)
	}
	clients := func(name string) string {
		segment, err := new(collector.Segment).And(collector.DimClient, name)
		if err != nil {
			return ""
		}
		return v.to("overview", segment)
	}
	p.Panels = []panel{
		reportsPanel(v, q, then), refusedPanel(sums.Refused, q.Meta),
		breakdownPanel("clients", v.app.VersionOrder, figures.Breakdown{
			Meta: q.Meta, Dimension: collector.DimClient, Window: 28, To: v.today, Values: q.Clients, Active: &q.Denominator, Reporting: &reporting,
		}, 10),
		droppedPanel(v, q, then), turnedAwayPanel(q),
	}
	for i := range p.Panels {
		if p.Panels[i].ID == "clients" {
			p.Panels[i].link(clients)
		}
	}
	p.Clear = v.admin
	return nil
}

// clear empties the list of what was turned away, and the places of what nobody
// supports.
func (d *dashboard) clear(r *http.Request, v viewer) error {
	_, err := d.c.Clear(r.Context(), v.app.Num)
	return err
}

func turnedAwayPanel(q figures.Quality) panel {
	p := panel{
		ID: "turned-away", Title: "Turned away", Wide: true, Meta: q.Meta,
		Explain: htmlf("Names and values that got no place since %s, or lost it: a table was full of better supported ones, or one address "+
			"had brought too many new ones in a day. Values without a place count as “other”. Anyone can have sent the examples.", q.TurnedAway.Since),
		Table: table.Table{Columns: []string{"table", "times", "examples"}},
	}
	var bars []chart.Bar
	for _, t := range q.TurnedAway.Tables {
		name := t.Table
		switch name {
		case "facts":
			name = "Names of facts"
		case "faults":
			name = "Faults"
		default:
			name = dimensionName(name)
		}
		examples := make([]string, 0, len(t.Examples))
		for _, example := range t.Examples {
			examples = append(examples, strconv.QuoteToASCII(example))
		}
		p.Table.Add(name, t.Count, strings.Join(examples, " "))
		bars = append(bars, chart.Bar{Name: name, Value: float64(t.Count), Note: grouped(t.Count)})
	}
	p.Open = len(bars) > 0
	p.drawBars(bars, 12, "By table", "Nothing was turned away.")
	return p
}

func qualityTiles(v view, q figures.Quality, sums figures.QualityPoint) []tile {
	return []tile{
		{Name: "Accepted", URL: "#reports", Explain: "Reports accepted in this range", Value: number(sums.Accepted)},
		{Name: "Repeated", URL: "#reports", Explain: "Accepted reports that changed nothing", Value: number(sums.Repeated)},
		{Name: "Refused", URL: "#refused", Explain: "Reports that were not counted", Value: number(total(sums.Refused))},
		{Name: "Wrong clock", URL: "#dropped", Explain: "Reports from a clock that was off by more than an hour", Value: number(sums.Skewed)},
		{Name: "Probable clones", Explain: "IDs that switched back to an earlier version, operating system, CPU or deployment three times within weeks: probably two installations that share an ID", Value: number(orZero(q.Clones))},
		{Name: "Two senders", URL: "#clients", Explain: "Installations that both a YA-WAMF client and an agent or a library reported within a week; they have the values of both", Value: number(orZero(q.TwoSenders))},
		{Name: "Probable shared IDs", Explain: "IDs that reported from ten or more networks in a day: probably part of an image. Refuse one with “rollcall collector app refuse-id”", Value: number(orZero(q.Shared))},
		{Name: "Refused IDs", Explain: "IDs whose reports this app refuses", Value: number(uint64(q.RefusedIDs))},
		{Name: "Installations on record", URL: v.to("overview", v.sees.Segment), Explain: "Installations of this app in the database", Value: number(q.Stored.Installations)},
		{Name: "Queued writes", Explain: "Journal entries that are not merged yet", Value: number(uint64(max(0, q.Stored.Journal)))},
		{Name: "Database", Explain: "Size on disk, all apps", Value: template.HTML(fmt.Sprintf("%.1f <small>MB</small>", float64(q.Stored.Bytes)/1e6))},                     // a number
		{Name: "Counting since", URL: v.daysFrom(q.Stored.Since), Explain: "First day of this app", Value: template.HTML("<small>" + q.Stored.Since.String() + "</small>")}, // a day
	}
}

func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

func reportsPanel(v view, q figures.Quality, then []figures.QualityPoint) panel {
	p := panel{
		ID: "reports", Title: "Reports by day", Wide: true, Meta: q.Meta,
		Explain: "Heartbeats and health reports received each day. Repeated reports are accepted but change nothing.",
	}
	rowOf := func(d figures.QualityPoint) dayRow {
		refused := total(d.Refused)
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{&d.Accepted, &d.Repeated, &refused}}
	}
	lines := addDays(&p, q.Points, rowOf, "By day: accepted, repeated, refused", "accepted", "repeated", "refused")
	addBefore(&p, &lines, v.ghost, then, rowOf)
	p.draw(lines, len(q.Points) > 0, noDays)
	return p
}

func droppedPanel(v view, q figures.Quality, then []figures.QualityPoint) panel {
	p := panel{
		ID: "dropped", Title: "Dropped from reports, by day", Meta: q.Meta,
		Explain: "Unknown or out-of-range fields, facts and fault context, and reports from a clock that was off by more than an hour.",
	}
	rowOf := func(d figures.QualityPoint) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{&d.DroppedFields, &d.DroppedFacts, &d.DroppedContext, &d.Skewed}}
	}
	lines := addDays(&p, q.Points, rowOf, "By day: fields, facts, context, wrong clock", "fields", "facts", "context", "wrong clock")
	addBefore(&p, &lines, v.ghost, then, rowOf)
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
