package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// dimensionNames are what pages call the dimensions.
var dimensionNames = map[string]string{
	collector.DimVersion: "Version", collector.DimSystem: "Operating system", collector.DimRelease: "OS version",
	collector.DimMachine: "CPU architecture", collector.DimDeployment: "Deployment", collector.DimClient: "Client",
	collector.DimCountry: "Country", collector.DimFirstVersion: "First version",
	collector.DimFirstSeen: "First seen",
}

func dimensionName(dimension string) string {
	if fact, ok := strings.CutPrefix(dimension, collector.FactDimension); ok {
		return visible(fact)
	}
	return cmp.Or(dimensionNames[dimension], dimension)
}

// dimensionTitle is the name of a dimension as a panel's title.
func dimensionTitle(dimension string) string {
	if dimension == collector.DimVersion || dimension == collector.DimClient {
		return dimensionName(dimension) + "s"
	}
	return dimensionName(dimension)
}

var platform = []string{collector.DimSystem, collector.DimMachine, collector.DimRelease, collector.DimDeployment, collector.DimCountry}

const maxFeaturePanels = 64

func (d *dashboard) features(ctx context.Context, v view, p *pageData) error {
	all, err := d.c.Dimensions(ctx, v.app.Num, v.sees)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(name string) bool {
		return name == collector.DimVersion || name == collector.DimFirstVersion || name == collector.DimClient
	})
	place := func(name string) uint { return uint(slices.Index(platform, name)) } // facts last
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	if len(all) == 0 {
		if v.sees.Public {
			return nil // the page says from when on there are figures
		}
		p.Notice = "No installation has reported its platform yet."
		return nil
	}
	first, err := v.part(p, len(all))
	if err != nil {
		return err
	}
	var switches []figures.Breakdown
	for i, name := range all[first:min(len(all), first+maxFeaturePanels)] {
		b, err := d.c.Breakdown(ctx, v.app.Num, name, 28, v.lastDay(), v.sees)
		if errors.Is(err, collector.ErrNoDay) {
			p.Notice = fmt.Sprintf("No figures for %s.", v.lastDay())
			break
		}
		if err != nil {
			return err
		}
		p.asOf(b.Meta)
		switch {
		case isSwitch(b):
			switches = append(switches, b)
		case len(b.Values) > 0: // else it says nothing
			split := breakdownPanel(fmt.Sprintf("split-%d", first+i+1), v.app.VersionOrder, b, 6)
			split.link(v.valueLinks(name))
			p.Panels = append(p.Panels, split)
		}
	}
	if len(switches) > 0 {
		on := switchesPanel(switches)
		on.link(func(name string) string { return v.narrowed(collector.FactDimension+name, "true") })
		p.Panels = append(p.Panels, on)
	}
	name := v.get("trend", all[0])
	if !slices.Contains(all, name) {
		return fmt.Errorf("%w: %s", collector.ErrDimension, name)
	}
	t, err := d.c.Trend(ctx, v.app.Num, name, 28, v.drawn(), trendTop, v.sees)
	if err != nil {
		return err
	}
	trend := trendPanel("trend", v.app.VersionOrder, t)
	list := "#trend-table"
	for _, p := range p.Panels {
		if p.Title == dimensionTitle(name) {
			list = p.table()
		}
	}
	trend.linkSeries(v.valueLinks(name), list)
	if err := d.trendBefore(ctx, v, &trend, name); err != nil {
		return err
	}
	if !v.sees.Public {
		p.Compare = v.comparisons()
	}
	v.choose(&trend, selection{"trend", "Dimension", dimensionOptions(all, name)})
	p.Panels = append(p.Panels, trend)
	if v.sees.Public && !v.sees.Pairs {
		return nil
	}
	row, column := v.get("row", all[0]), v.get("column", all[min(1, len(all)-1)])
	co, err := d.c.CoOccurrence(ctx, v.app.Num, row, column, 28, v.lastDay(), v.sees)
	if err != nil {
		return err
	}
	pairs := pairsPanel(co)
	pairs.linkPairs(v, co)
	v.choose(&pairs, selection{"row", "Rows", dimensionOptions(all, row)},
		selection{"column", "Columns", dimensionOptions(all, column)})
	p.Panels = append(p.Panels, pairs)
	return nil
}

// isSwitch reports whether a fact is on or off.
func isSwitch(b figures.Breakdown) bool {
	if !strings.HasPrefix(b.Dimension, collector.FactDimension) || len(b.Values) == 0 {
		return false
	}
	for _, v := range b.Values {
		if v.Value != "true" && v.Value != "false" {
			return false
		}
	}
	return true
}

// switchesPanel shows how many have switched on each fact that is on or off, the
// most frequent first.
func switchesPanel(switches []figures.Breakdown) panel {
	p := panel{
		ID: "switches", Title: "Switched on", Wide: len(switches) > 8, Meta: switches[0].Meta,
		Explain: htmlf("Facts that are on or off: the share of the installations that report each one and have it on, in the %s days to %s. Each counts by its latest report.",
			switches[0].Window, switches[0].To),
		Table: table.Table{Columns: []string{"fact", "on", "off", "share", "reported by"}},
	}
	type line struct {
		name    string
		on, off figures.Value
		of      figures.Count
	}
	var lines []line
	for _, b := range switches {
		one := line{name: dimensionName(b.Dimension), of: b.Reporting}
		for _, v := range b.Values {
			if v.Value == "true" {
				one.on = v
			} else {
				one.off = v
			}
		}
		if one.on.Value == "" && one.off.Count != nil { // nobody has it on
			one.on.Count = new(uint64)
		}
		lines = append(lines, one)
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(b.on.Share, a.on.Share), cmp.Compare(a.name, b.name))
	})
	var bars []chart.Bar
	for _, one := range lines {
		p.Table.Add(one.name, one.on.Count, one.off.Count, shareOf(one.on.Count, one.on.Share), one.of)
		bars = append(bars, chart.Bar{Name: one.name, Value: shareOf(one.on.Count, one.on.Share), Note: note(one.on.Count, one.on.Share)})
	}
	p.draw(chart.Bars{Text: chart.Text{Title: p.Title, Desc: "Most frequent first"}, Bars: bars, Most: 1}, true, "")
	return p
}

// errPart is the error of an address with an impossible part.
var errPart = errors.New("invalid part")

// part returns the first of n dimensions to show, and offers the other parts of
// them.
func (v view) part(p *pageData, n int) (first int, err error) {
	parts := (n + maxFeaturePanels - 1) / maxFeaturePanels
	if parts < 2 && v.values.Get("part") == "" {
		return 0, nil
	}
	part, err := strconv.Atoi(v.get("part", "1"))
	if err != nil || part < 1 || part > parts {
		return 0, fmt.Errorf("%w: it must be a number from 1 to %d", errPart, parts)
	}
	var all []string
	for i := range parts {
		all = append(all, strconv.Itoa(i+1))
	}
	p.Choices = append(p.Choices, v.choices("Part", "part", strconv.Itoa(part), all...))
	return (part - 1) * maxFeaturePanels, nil
}

func dimensionOptions(all []string, current string) (options []option) {
	for _, name := range all {
		options = append(options, option{name, visible(dimensionName(name)), name == current})
	}
	return options
}

func pairsPanel(co figures.CoOccurrence) panel {
	p := panel{
		ID: "pairs", Title: dimensionName(co.Row) + " × " + dimensionName(co.Column), Wide: true, Meta: co.Meta,
		Explain: htmlf("Installations active in the 28 days to %s that report both. The stronger the colour, the larger the share of the row.", co.To),
		Table:   table.Table{Columns: append([]string{dimensionName(co.Row)}, co.Columns...)},
	}
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: "A cell for each pair of values"}, Corner: dimensionName(co.Row)}
	for _, name := range co.Columns {
		heat.Columns = append(heat.Columns, chart.Cut(name, 9))
	}
	for i, name := range co.Rows {
		cells, all := []any{name}, 0.0
		for _, f := range co.Counts[i] {
			cells = append(cells, f)
			all += float64(orZero(f))
		}
		p.Table.Add(cells...)
		row := chart.HeatRow{Name: chart.Cut(name, 12)}
		for j, f := range co.Counts[i] {
			cell := chart.HeatCell{None: f == nil}
			if f != nil {
				cell.Text = chart.Short(float64(*f))
				cell.Title = fmt.Sprintf("%s and %s: %s", name, co.Columns[j], grouped(*f))
				cell.Share = float64(*f) / max(all, 1)
			}
			row.Cells = append(row.Cells, cell)
		}
		heat.Rows = append(heat.Rows, row)
	}
	p.draw(heat, len(co.Rows) > 0 && len(co.Columns) > 0, "No data yet.")
	return p
}
