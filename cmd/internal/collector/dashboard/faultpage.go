package dashboard

import (
	"context"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// fault is the page of one fault.
func (d *dashboard) fault(ctx context.Context, v view, p *pageData) error {
	answer, err := d.c.Fault(ctx, v.app.Num, v.values.Get("fault"), v.drawn(), v.sees)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	f := answer.Fault
	p.Title = visible(faultName(f))
	p.Tiles = []tile{
		{Name: "Affected", URL: "#days", Value: figure(f.Affected, 0), Explain: "Installations that reported it: " + v.days(answer.Range)},
		{Name: "Occurrences", URL: "#days", Value: figure(f.Occurrences, 0), Explain: "How often it occurred: " + v.days(answer.Range)},
		{Name: "Severity", URL: v.to("health", v.sees.Segment, "severity", f.Severity, "status", anything), Value: figure(f.Severity, 0), Explain: "As the program reports it"},
		{Name: "Status", URL: "#history", Value: figure(string(f.Status), 0), Explain: "Your triage"},
		{Name: "First seen", URL: v.daysFrom(f.FirstSeen), Value: figure(f.FirstSeen, 0), Explain: "The day of its first report"},
		{Name: "Last seen", URL: v.with("days", "", "from", f.LastSeen.String(), "to", f.LastSeen.String()), Value: figure(f.LastSeen, 0), Explain: "The day of its last report"},
	}
	if f.NewIn != "" {
		p.Tiles = append(p.Tiles, tile{Name: "New in", Value: figure(f.NewIn, 0), Explain: "The version that introduced it", URL: v.versionPage(f.NewIn)})
	}
	versions := ratesPanel(v, []figures.Fault{f}, answer.Meta)
	versions.ID, versions.Title, versions.Selects = "versions", "Versions, affected per 1,000", nil
	versions.link(v.versionPage)
	then, err := d.faultDaysBefore(ctx, v, f.ID)
	if err != nil {
		return err
	}
	p.Compare = v.comparisons()
	p.Panels = []panel{faultTrendPanel(v, answer, then), versions, samplePanel(answer), triagePanel(answer)}
	names := make([]string, 0, len(answer.Dimensions))
	for _, dimension := range answer.Dimensions {
		names = append(names, dimension.Dimension)
	}
	for _, name := range slices.Concat(platform, names) {
		i := slices.IndexFunc(answer.Dimensions, func(d figures.FaultDimension) bool { return d.Dimension == name })
		if i < 0 {
			continue
		}
		dimension := answer.Dimensions[i]
		answer.Dimensions[i].Dimension = "" // the platform comes first
		if len(p.Panels) < maxFaultPanels {
			one := faultDimensionPanel(len(p.Panels), dimension, answer.Meta)
			one.link(v.valueLinks(name))
			p.Panels = append(p.Panels, one)
		}
	}
	if v.admin {
		p.Faults = []figures.Fault{f}
	}
	return nil
}

// maxFaultPanels bounds the panels of a fault's page: an app can have a hundred
// facts.
const maxFaultPanels = 24

func faultTrendPanel(v view, answer figures.FaultDetail, then []figures.FaultDay) panel {
	p := panel{
		ID: "days", Title: "By day", Wide: true, Meta: answer.Meta,
		Explain: "Installations that reported it on each day, and how often it occurred.",
	}
	rowOf := func(d figures.FaultDay) dayRow {
		return dayRow{d.Day, d.Open, false, []figures.Count{d.Affected, d.Occurrences}}
	}
	lines := addDays(&p, answer.Days, rowOf, "One line for installations, and one for occurrences", "affected", "occurrences")
	addBefore(&p, &lines, v.ghost, then, rowOf)
	if answer.Segment != "" {
		lines.Series = lines.Series[:1]
	}
	p.draw(lines, len(answer.Days) > 0, noDays)
	return p
}

func faultDimensionPanel(n int, dimension figures.FaultDimension, meta figures.Meta) panel {
	p := panel{
		ID: fmt.Sprintf("by-%d", n), Title: dimensionTitle(dimension.Dimension), Meta: meta,
		Explain: "Affected installations by what they report now, and how many per 1,000 active ones with the same value that is.",
		Table:   table.Table{Columns: []string{dimensionName(dimension.Dimension), "affected", "active", "per 1,000"}},
	}
	var bars []chart.Bar
	for _, value := range dimension.Values {
		p.Table.Add(value.Value, value.Affected, value.Active, fmt.Sprintf("%.1f", value.PerThousand))
		bars = append(bars, chart.Bar{
			Name: value.Value, Value: float64(orZero(value.Affected)), Note: fmt.Sprintf("%s · %.1f per 1,000", groupedOr(value.Affected), value.PerThousand),
		})
	}
	p.drawBars(bars, 8, "Most affected first", "No data yet.")
	return p
}

func samplePanel(answer figures.FaultDetail) panel {
	p := panel{
		ID: "sample", Title: "Sample context", Meta: answer.Meta, Open: true, Table: table.Table{Columns: []string{"key", "value"}},
		Explain: "The context in the last report that had one. It is of one installation.",
	}
	for _, key := range slices.Sorted(maps.Keys(answer.Fault.Sample)) {
		p.Table.Add(key, answer.Fault.Sample[key])
	}
	p.draw(nil, len(p.Table.Rows) > 0, "No report had a context.")
	return p
}

func triagePanel(answer figures.FaultDetail) panel {
	p := panel{
		ID: "history", Title: "History of the triage", Meta: answer.Meta, Open: true,
		Explain: htmlf("What was said of the fault, the latest first. The last %s are kept.", collector.MaxTriage),
		Table:   table.Table{Columns: []string{"when", "who", "status", "fixed in", "note"}},
	}
	for _, t := range answer.Triage {
		p.Table.Add(t.At.UTC().Format("2006-01-02 15:04"), t.By, string(t.Status), t.FixedIn, t.Note)
	}
	p.draw(nil, len(p.Table.Rows) > 0, "Nobody has said anything of it.")
	return p
}

// postFault triages the fault of a page.
func (d *dashboard) postFault(w http.ResponseWriter, r *http.Request) {
	next := "fault?saved=1&fault=" + url.QueryEscape(r.PostFormValue("fault"))
	d.change(d.setFault, audit.FaultTriaged, "fault", next)(w, r)
}

// lostSentence says whether the version lost more of its new installations than the
// one before.
func lostSentence(answer figures.VersionDetail, week int) template.HTML {
	k := answer.Kept[week]
	if k.OfA == 0 || k.OfB == 0 {
		return ""
	}
	lost, before := 1-float64(k.A)/float64(k.OfA), 1-float64(k.B)/float64(k.OfB)
	verdict := "no significant difference"
	if k.Significant {
		if verdict = "significantly more"; lost < before {
			verdict = "significantly fewer"
		}
	}
	return htmlf("After %s, %s had lost %s of its new installations, and %s %s: %s (p %s).", some(week, "week"), answer.Version, lost, answer.Before, before, verdict, pText(k.P))
}
