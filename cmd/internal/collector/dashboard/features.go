package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
)

// dimensionNames are what the dimensions are called on pages.
var dimensionNames = map[string]string{
	collector.DimVersion: "Version", collector.DimSystem: "System", collector.DimRelease: "Release of the system",
	collector.DimMachine: "Machine", collector.DimDeployment: "Deployment", collector.DimClient: "Client",
	collector.DimCountry: "Country", collector.DimFirstVersion: "First version",
}

func dimensionName(dimension string) string {
	if fact, ok := strings.CutPrefix(dimension, collector.FactDimension); ok {
		return visible(fact)
	}
	return cmp.Or(dimensionNames[dimension], dimension)
}

// maxFeaturePanels bounds the dimensions that are shown at once; the others are further parts.
const maxFeaturePanels = 24

// features says what installations run on and use.
func (d *dashboard) features(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	all, err := d.c.Dimensions(ctx, v.app.Num)
	if err != nil {
		return err
	}
	order := []string{collector.DimSystem, collector.DimMachine, collector.DimRelease, collector.DimDeployment, collector.DimCountry}
	all = slices.DeleteFunc(all, func(name string) bool {
		return name == collector.DimVersion || name == collector.DimFirstVersion || name == collector.DimClient
	})
	slices.SortStableFunc(all, func(a, b string) int {
		place := func(name string) int {
			if i := slices.Index(order, name); i >= 0 {
				return i
			}
			return len(order)
		}
		return cmp.Compare(place(a), place(b))
	})
	if len(all) == 0 {
		p.Notice = "No installation has reported what it runs on yet."
		return nil
	}
	part, err := v.part(p, len(all))
	if err != nil {
		return err
	}
	for i, name := range all[part*maxFeaturePanels : min(len(all), (part+1)*maxFeaturePanels)] {
		b, err := d.c.Breakdown(ctx, v.app.Num, name, 28, v.closest(), v.view)
		if errors.Is(err, collector.ErrNoDay) {
			p.Notice = fmt.Sprintf("There are no figures of %s.", v.closest())
			break
		}
		if err != nil {
			return err
		}
		p.asOf(b.Meta)
		p.Panels = append(p.Panels, breakdownPanel(fmt.Sprintf("split-%d", part*maxFeaturePanels+i+1), "Opted-in installations by "+lower(name), b, 8))
	}
	trend, err := d.trendOf(ctx, v, all)
	if err != nil {
		return err
	}
	pairs, err := d.pairs(ctx, v, all)
	if err != nil {
		return err
	}
	p.Panels = append(p.Panels, trend, pairs)
	return nil
}

// part reads which part of the dimensions is shown, and offers the others.
func (v view) part(p *pageData, n int) (int, error) {
	parts := (n + maxFeaturePanels - 1) / maxFeaturePanels
	if parts < 2 && v.values.Get("part") == "" {
		return 0, nil
	}
	part, err := strconv.Atoi(cmp.Or(v.values.Get("part"), "1"))
	if err != nil || part < 1 || part > parts {
		return 0, fmt.Errorf("%w: part has to be a number from 1 to %d", errView, parts)
	}
	row := choiceRow{Name: "Part"}
	for i := range parts {
		row.Choices = append(row.Choices, choice{strconv.Itoa(i + 1), v.with("part", strconv.Itoa(i+1)), i+1 == part})
	}
	p.Choices = append(p.Choices, row)
	return part - 1, nil
}

// lower is the name of a dimension within a title.
func lower(dimension string) string {
	if fact, ok := strings.CutPrefix(dimension, collector.FactDimension); ok {
		return "fact " + visible(fact)
	}
	return strings.ToLower(dimensionName(dimension))
}

func dimensionOptions(all []string, current string) (options []option) {
	for _, name := range all {
		options = append(options, option{name, visible(dimensionName(name)), name == current})
	}
	return options
}

// trendOf shows how the split by one dimension changes.
func (d *dashboard) trendOf(ctx context.Context, v view, all []string) (panel, error) {
	name := cmp.Or(v.values.Get("trend"), all[0])
	t, err := d.c.Trend(ctx, v.app.Num, name, 28, v.span, trendTop, v.view)
	if err != nil {
		return panel{}, err
	}
	p := trendPanel("trend", "Opted-in installations by "+lower(name)+" over time", t)
	p.Form = v.form(p.ID, selection{"trend", "Trend of", dimensionOptions(all, name)})
	return p, nil
}

// pairs shows the co-occurrence of two dimensions.
func (d *dashboard) pairs(ctx context.Context, v view, all []string) (panel, error) {
	first, second := cmp.Or(v.values.Get("row"), all[0]), cmp.Or(v.values.Get("column"), all[min(1, len(all)-1)])
	co, err := d.c.CoOccurrence(ctx, v.app.Num, first, second, 28, v.view)
	if err != nil {
		return panel{}, err
	}
	p := panel{
		ID: "pairs", Title: "Opted-in installations by " + lower(first) + " and " + lower(second), Wide: true, Meta: co.Meta,
		Explain: say("How many of those active in the 28 days to %s (UTC) report both. The darker a cell, the larger its share of the row.", co.To),
		Table:   table{Head: append([]string{dimensionName(first) + " and " + dimensionName(second)}, co.Columns...)},
		Form: v.form("pairs", selection{"row", "Rows", dimensionOptions(all, first)},
			selection{"column", "Columns", dimensionOptions(all, second)}),
	}
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: "A cell for each pair of values"}}
	for _, name := range co.Columns {
		heat.Columns = append(heat.Columns, chart.Cut(name, 9))
	}
	for i, name := range co.Rows {
		cells, sum := []any{name}, 0.0
		for _, f := range co.Counts[i] {
			if f != nil {
				sum += float64(*f)
			}
		}
		line := chart.HeatRow{Name: chart.Cut(name, 12)}
		for j, f := range co.Counts[i] {
			cells = append(cells, f)
			cell := chart.HeatCell{None: f == nil}
			if f != nil {
				cell.Text = chart.Short(float64(*f))
				cell.Title = fmt.Sprintf("%s and %s: %s", name, co.Columns[j], grouped(*f))
				if sum > 0 {
					cell.Share = float64(*f) / sum
				}
			}
			line.Cells = append(line.Cells, cell)
		}
		heat.Rows = append(heat.Rows, line)
		p.Table.Rows = append(p.Table.Rows, cells)
	}
	if len(co.Rows) == 0 || len(co.Columns) == 0 {
		p.Empty = "Nothing is reported."
		return p, nil
	}
	p.Chart = heat
	return p, nil
}
