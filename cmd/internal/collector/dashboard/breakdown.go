package dashboard

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// breakdownPanel shows the values of a dimension. It adds up those beyond most,
// and pre-releases.
func breakdownPanel(id string, b figures.Breakdown, most int) panel {
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
		case b.Dimension == collector.DimVersion && figures.IsPreRelease(v.Value):
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
		p.Explain += " Small groups are hidden."
	}
	p.drawBars(bars, len(bars), fmt.Sprintf("%d values", len(b.Values)), "No data yet.")
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
	return fmt.Sprintf("%s · %.1f%%", grouped(*count), 100*share)
}

// preReleases is the name under which pre-releases are added up.
const preReleases = "pre-releases"
