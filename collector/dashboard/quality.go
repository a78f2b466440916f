package dashboard

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// quality says how far the figures can be trusted.
func (d *dashboard) quality(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	q, err := d.c.Quality(ctx, v.app.Num, v.span)
	if err != nil {
		return err
	}
	p.AsOf = q.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	var accepted, repeated, refused, skewed uint64
	reasons := map[string]uint64{}
	reports := table{Head: []string{"day", "accepted", "of these repeated", "refused", "clock off", "dropped fields", "dropped facts", "dropped context", "state"}}
	lines := []chart.Series{{Name: "accepted"}, {Name: "repeated"}, {Name: "refused"}}
	var days []string
	open := 0
	for _, point := range q.Points {
		sum := uint64(0)
		for reason, n := range point.Refused {
			reasons[reason] += n
			sum += n
		}
		accepted, repeated, refused, skewed = accepted+point.Accepted, repeated+point.Repeated, refused+sum, skewed+point.Skewed
		reports.Rows = append(reports.Rows, []any{
			point.Day, point.Accepted, point.Repeated, sum, point.Skewed, point.DroppedFields, point.DroppedFacts, point.DroppedContext, state(point.Open, point.Gap),
		})
		days = append(days, point.Day.String())
		for i, n := range []uint64{point.Accepted, point.Repeated, sum} {
			lines[i].Values = append(lines[i].Values, float64(n))
		}
		if point.Open {
			open++
		}
	}
	clones := uint64(0)
	if q.Clones != nil {
		clones = *q.Clones
	}
	p.Tiles = []tile{
		{Name: "Accepted", Explain: "Reports in the range", Value: grouped(accepted)},
		{Name: "Repeated", Explain: "Of these, reports that changed nothing", Value: grouped(repeated)},
		{Name: "Refused", Explain: "Reports that are not counted", Value: grouped(refused)},
		{Name: "Clock off", Explain: "Reports whose sender's clock was an hour off or more", Value: grouped(skewed)},
		{Name: "Probable clones", Explain: "IDs that alternate between states which one installation does not have", Value: grouped(clones)},
		{Name: "Held", Explain: "Installations of this app in the database", Value: grouped(q.Stored.Installations)},
		{Name: "Database", Explain: "On disk, over all apps", Value: fmt.Sprintf("%.1f MB", float64(q.Stored.Bytes)/1e6)},
		{Name: "Counting since", Explain: "The first day of this app", Value: q.Stored.Since.String()},
	}
	if len(q.Truncated) > 0 {
		p.Notice = "More different values than are kept: " + strings.Join(q.Truncated, ", ") + ". The rest is counted as other."
	}
	refusals := table{Head: []string{"reason", "reports"}}
	var bars []chart.Bar
	for _, reason := range slices.SortedFunc(maps.Keys(reasons), func(a, b string) int {
		if reasons[a] != reasons[b] {
			return int(min(1, max(-1, int64(reasons[b])-int64(reasons[a]))))
		}
		return strings.Compare(a, b)
	}) {
		refusals.Rows = append(refusals.Rows, []any{reason, reasons[reason]})
		bars = append(bars, chart.Bar{Name: reason, Value: float64(reasons[reason]), Note: chart.Short(float64(reasons[reason]))})
	}
	reasonsPanel := panel{ID: "refused", Title: "Refused reports by reason", Explain: "Those that name no app of this collector are in the server's metrics.", Table: refusals}
	if len(bars) > 0 {
		reasonsPanel.Chart = chart.Bars{Text: chart.Text{Title: "Refused reports by reason", Desc: fmt.Sprintf("%d reasons.", len(bars))}, Bars: bars}
	} else {
		reasonsPanel.Empty = "Nothing was refused."
	}
	clients := breakdownPanel("clients", "Clients of opted-in installations", collector.Breakdown{
		Dimension: "client", Window: 28, To: v.today, Values: q.Clients, Active: &q.Denominator, Reporting: reporting(q.Clients),
	}, 10)
	p.Panels = []panel{
		{
			ID: "reports", Title: "Reports by day", Wide: true, Table: reports, Explain: "Heartbeats and health reports that arrived on each day (UTC).",
			Chart: chart.Lines{Text: chart.Text{Title: "Reports by day", Desc: "Accepted, repeated and refused."}, Labels: days, Open: open, Series: lines},
		},
		reasonsPanel, clients,
	}
	return nil
}

func reporting(values []collector.Value) collector.Figure {
	var sum uint64
	for _, v := range values {
		if v.Count != nil {
			sum += *v.Count
		}
	}
	return &sum
}
