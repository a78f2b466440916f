package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// breakdownPanel shows the values of a dimension; those beyond most are added up, and so are pre-releases.
func breakdownPanel(id, title string, b figures.Breakdown, most int) panel {
	p := panel{
		ID: id, Title: title, Meta: b.Meta, Table: table{Head: []string{dimensionName(b.Dimension), "installations", "share"}},
		Explain: say("Of the installations active in the %s days to %s (UTC), by what they reported last. %s of %s reporting.",
			b.Window, b.To, b.Reporting, b.Active),
	}
	versions := b.Dimension == collector.DimVersion
	pre, rest := bundle{name: preReleases}, bundle{name: "all others"}
	var bars []chart.Bar
	for _, v := range b.Values {
		p.Table.Rows = append(p.Table.Rows, []any{v.Value, v.Count, v.Share})
		switch {
		case versions && isPre(v.Value):
			pre.add(v)
		case len(bars) >= most && len(b.Values) > most+1:
			rest.add(v)
		default:
			bars = append(bars, chart.Bar{Name: v.Value, Value: value(v.Count), Note: note(v.Count, v.Share)})
		}
	}
	for _, all := range []bundle{rest, pre} {
		if all.n > 0 {
			bars = append(bars, chart.Bar{
				Name: fmt.Sprintf("%s (%d)", all.name, all.n), Value: float64(all.count), Note: note(&all.count, all.share), Quiet: true,
			})
		}
	}
	if b.Suppressed > 0 {
		p.Explain += " Small groups are not shown."
	}
	if len(bars) == 0 {
		p.Empty = "Nothing is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: title, Desc: fmt.Sprintf("%d values", len(b.Values))}, Bars: bars}
	return p
}

// A bundle is some values added up.
type bundle struct {
	name  string
	n     int
	count uint64
	share float64
}

func (b *bundle) add(v figures.Value) {
	b.n++
	b.share += v.Share
	if v.Count != nil {
		b.count += *v.Count
	}
}

func note(count figures.Count, share float64) string {
	if count == nil {
		return "–"
	}
	return fmt.Sprintf("%s · %.1f %%", grouped(*count), 100*share)
}

const preReleases = "pre-releases"

// isPre tells whether a version is a pre-release or a development version.
func isPre(version string) bool {
	base, _, _ := strings.Cut(version, "+")
	return strings.Contains(base, "-") || report.IsDevelopment(version)
}

// maxBands is how many values a trend names beside the rest and the pre-releases.
const maxBands = chart.MaxSeries - 2

// trendTop is how many values are asked for, to choose those from which were large once.
const trendTop = 30

// trendPanel shows how a split changes.
func trendPanel(id, title string, t figures.Trend) panel {
	names, rows := fold(t)
	p := panel{
		ID: id, Title: title, Wide: true, Meta: t.Meta, Table: table{Head: []string{"day", "active"}},
		Explain: say("Share of each among the installations active in the %s days to each day (UTC) that report it. The table has the numbers.", t.Window),
	}
	p.Table.Head = append(append(p.Table.Head, names...), "state")
	bands := chart.Bands{Text: chart.Text{Title: title, Desc: "Bands of shares that add up to 100 %, from the bottom: " + strings.Join(names, ", ")}}
	for _, name := range names {
		bands.Series = append(bands.Series, chart.Series{Name: name})
	}
	known := false
	for i, point := range t.Points {
		bands.Labels, bands.Gaps = append(bands.Labels, point.Day.String()), append(bands.Gaps, point.Gap)
		if point.Open {
			bands.Open++
		}
		cells, sum := []any{point.Day, cellOf(point.Gap, point.Active)}, 0.0
		for _, n := range rows[i] {
			sum += n
		}
		for n, count := range rows[i] {
			share := math.NaN()
			if sum > 0 && !point.Gap {
				share, known = count/sum, true
			}
			bands.Series[n].Values = append(bands.Series[n].Values, share)
			if point.Gap {
				cells = append(cells, unknown{})
			} else {
				cells = append(cells, uint64(count))
			}
		}
		p.Table.Rows = append(p.Table.Rows, append(cells, state(point.Open, point.Gap)))
	}
	if !known {
		p.Empty = "Nothing is reported in this range."
		return p
	}
	p.Chart = bands
	return p
}

// fold names the values that were largest on any day, puts versions into their order, and adds up pre-releases and all that
// is left. The rows are the counts by these names, day by day.
func fold(t figures.Trend) (names []string, rows [][]float64) {
	version := t.Dimension == collector.DimVersion || t.Dimension == collector.DimFirstVersion
	largest := make(map[string]float64)
	for _, point := range t.Points {
		for i, f := range point.Counts {
			if f != nil && i < len(t.Values) {
				largest[t.Values[i]] = max(largest[t.Values[i]], float64(*f))
			}
		}
	}
	for _, name := range t.Values {
		if name != collector.Other && !(version && isPre(name)) && largest[name] > 0 {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return int(max(-1, min(1, largest[b]-largest[a]))) })
	names = names[:min(len(names), maxBands)]
	if version {
		slices.SortFunc(names, func(a, b string) int { return report.CompareVersions(b, a) })
	}
	place := make(map[string]int)
	for i, name := range names {
		place[name] = i
	}
	pre, rest := -1, -1
	for _, name := range t.Values {
		_, named := place[name]
		switch {
		case named || largest[name] == 0:
		case version && isPre(name) && name != collector.Other:
			if pre < 0 {
				pre = len(names)
				names = append(names, preReleases)
			}
			place[name] = pre
		}
	}
	for _, name := range t.Values {
		if _, named := place[name]; !named && largest[name] > 0 {
			if rest < 0 {
				rest = len(names)
				names = append(names, collector.Other)
			}
			place[name] = rest
		}
	}
	for _, point := range t.Points {
		row := make([]float64, len(names))
		for i, f := range point.Counts {
			if f != nil && i < len(t.Values) && largest[t.Values[i]] > 0 {
				row[place[t.Values[i]]] += float64(*f)
			}
		}
		rows = append(rows, row)
	}
	return names, rows
}
