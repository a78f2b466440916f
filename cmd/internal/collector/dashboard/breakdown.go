package dashboard

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
	"github.com/rollcall-dev/rollcall/report"
)

// breakdownPanel shows the values of a dimension. It adds up those beyond most,
// and pre-releases.
func breakdownPanel(id string, order report.VersionOrder, b figures.Breakdown, most int) panel {
	p := panel{
		ID: id, Title: dimensionTitle(b.Dimension), Meta: b.Meta, Table: table.Table{Columns: []string{dimensionName(b.Dimension), "installations", "share"}},
		Explain: htmlf("Reported by %s of the %s installations active in the %s days to %s. Each counts by its latest report.",
			b.Reporting, b.Active, b.Window, b.To),
	}
	pre, rest := bundle{name: preReleases}, bundle{name: "all others"}
	var bars []chart.Bar
	for _, v := range b.Values {
		p.Table.Add(v.Value, v.Count, v.Share)
		switch {
		case b.Dimension == collector.DimVersion && figures.IsPreRelease(order, v.Value):
			pre.add(v)
		case len(bars) >= most && len(b.Values) > most+1:
			rest.add(v)
		default:
			bars = append(bars, chart.Bar{Name: v.Value, Value: shareOf(v.Count, v.Share), Note: note(v.Count, v.Share)})
		}
	}
	for _, all := range []bundle{rest, pre} {
		if all.n > 0 {
			bars = append(bars, chart.Bar{
				Name: fmt.Sprintf("%s (%d)", all.name, all.n), Value: all.share, Note: note(&all.count, all.share), Rest: true, URL: p.table(),
			})
		}
	}
	if b.Next != 0 {
		p.Explain += " Small groups count as other."
	}
	p.draw(chart.Bars{Text: chart.Text{Title: p.Title, Desc: fmt.Sprintf("%d values", len(b.Values))}, Bars: bars, Most: 1}, len(bars) > 0, "No data yet.")
	return p
}

type bundle struct {
	name  string
	n     int
	count uint64
	share float64
}

func (b *bundle) add(v figures.Value) {
	b.n++
	b.share += v.Share
	b.count += orZero(v.Count)
}

func note(count figures.Count, share float64) string {
	if count == nil {
		return "–"
	}
	return fmt.Sprintf("%s · %.1f%%", grouped(*count), 100*share)
}

// preReleases is the name under which pre-releases are added up.
const preReleases = "pre-releases"

// maxBands is how many values a trend names, besides the rest and pre-releases.
const maxBands = chart.MaxSeries - 2

// trendTop is how many values a trend reads, to choose the ones that were ever
// large.
const trendTop = 30

func trendPanel(id string, order report.VersionOrder, t figures.Trend) panel {
	names, rows := fold(order, t)
	p := panel{
		ID: id, Title: dimensionTitle(t.Dimension) + " over time", Wide: true, Meta: t.Meta, OldestFirst: true,
		Explain: htmlf("Shares of the %s-day active installations that report it, day by day. The table has the counts.", t.Window),
	}
	if t.Next != 0 {
		p.Explain = htmlf("Shares of the installations that report it, a point for each %s days. The table has the counts.", t.Window)
	}
	p.Table.Columns = append(append([]string{"day", "active"}, names...), "state")
	bands := chart.Bands{Text: chart.Text{Title: p.Title, Desc: "Bands of shares that add up to 100%, from the bottom: " + strings.Join(names, ", ")}}
	for _, name := range names {
		tone := ""
		if name == preReleases || name == collector.Other {
			tone = "rest"
		}
		bands.Series = append(bands.Series, chart.Series{Name: name, Tone: tone})
	}
	known := false
	for i, point := range t.Points {
		bands.Add(point.Day.String(), point.Open, point.Gap)
		cells, all := []any{point.Day, cellOf(point.Gap, point.Active)}, 0.0
		for _, count := range rows[i] {
			all += count
		}
		for n, count := range rows[i] {
			share, cell := math.NaN(), any(uint64(count))
			if all > 0 && !point.Gap {
				share, known = count/all, true
			}
			if point.Gap {
				cell = unknown{}
			}
			bands.Series[n].Values = append(bands.Series[n].Values, share)
			cells = append(cells, cell)
		}
		p.Table.Add(append(cells, state(point.Open, point.Gap))...)
	}
	p.draw(bands, known, "No data in this range.")
	return p
}

// fold names the values that were largest on any day, versions in their order,
// and adds up pre-releases and all other values. The rows are the counts by
// these names, day by day.
func fold(order report.VersionOrder, t figures.Trend) (names []string, rows [][]float64) {
	largest := make([]float64, len(t.Values))
	for _, point := range t.Points {
		for i, f := range point.Counts {
			if f != nil {
				largest[i] = max(largest[i], float64(*f))
			}
		}
	}
	versions := t.Dimension == collector.DimVersion || t.Dimension == collector.DimFirstVersion
	labels := make([]string, len(t.Values)) // the names under which the values count
	var candidates []int
	for i, value := range t.Values {
		labels[i] = collector.Other
		switch {
		case value == collector.Other:
		case versions && figures.IsPreRelease(order, value):
			labels[i] = preReleases
		case largest[i] > 0:
			candidates = append(candidates, i)
		}
	}
	slices.SortStableFunc(candidates, func(a, b int) int { return cmp.Compare(largest[b], largest[a]) })
	for _, i := range candidates[:min(len(candidates), maxBands)] {
		labels[i] = t.Values[i]
		names = append(names, labels[i])
	}
	if versions {
		slices.SortFunc(names, figures.NewestFirst(order))
	}
	for _, bundle := range []string{preReleases, collector.Other} {
		for i := range labels {
			if labels[i] == bundle && largest[i] > 0 {
				names = append(names, bundle)
				break
			}
		}
	}
	for _, point := range t.Points {
		row := make([]float64, len(names))
		for i, f := range point.Counts {
			if f != nil && *f > 0 {
				row[slices.Index(names, labels[i])] += float64(*f)
			}
		}
		rows = append(rows, row)
	}
	return names, rows
}
