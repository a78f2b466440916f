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

const maxFeaturePanels = 24

func (d *dashboard) features(ctx context.Context, v view, p *pageData) error {
	all, err := d.c.Dimensions(ctx, v.app.Num)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(name string) bool {
		return name == collector.DimVersion || name == collector.DimFirstVersion || name == collector.DimClient
	})
	place := func(name string) uint { return uint(slices.Index(platform, name)) } // facts last
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	if len(all) == 0 {
		p.Notice = "No installation has reported its platform yet."
		return nil
	}
	first, err := v.part(p, len(all))
	if err != nil {
		return err
	}
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
		p.Panels = append(p.Panels, breakdownPanel(fmt.Sprintf("split-%d", first+i+1), b, 8))
	}
	name := v.get("trend", all[0])
	row, column := v.get("row", all[0]), v.get("column", all[min(1, len(all)-1)])
	t, errTrend := d.c.Trend(ctx, v.app.Num, name, 28, v.span, trendTop, v.sees)
	co, errPairs := d.c.CoOccurrence(ctx, v.app.Num, row, column, 28, v.sees)
	if err := cmp.Or(errTrend, errPairs); err != nil {
		return err
	}
	trend, pairs := trendPanel("trend", t), pairsPanel(co)
	v.choose(&trend, selection{"trend", "Dimension", dimensionOptions(all, name)})
	v.choose(&pairs, selection{"row", "Rows", dimensionOptions(all, row)},
		selection{"column", "Columns", dimensionOptions(all, column)})
	p.Panels = append(p.Panels, trend, pairs)
	return nil
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
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: "A cell for each pair of values"}}
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
