package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// dimensionNames are what the dimensions are called on pages.
var dimensionNames = map[string]string{
	collector.DimVersion: "Version", collector.DimSystem: "System", collector.DimRelease: "Release of the system",
	collector.DimMachine: "Machine", collector.DimDeployment: "Deployment", collector.DimClient: "Client",
	collector.DimCountry: "Country", collector.DimFirstVersion: "First version",
}

func dimensionName(dimension string) string {
	if fact, ok := strings.CutPrefix(dimension, collector.FactDimension); ok {
		return fact
	}
	return cmp.Or(dimensionNames[dimension], dimension)
}

// maxFeaturePanels bounds the dimensions that are shown at once; the others can be chosen.
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
	trend := v.values.Get("trend")
	row := choiceRow{Name: "Trend of"}
	for _, name := range all {
		if len(row.Choices) < maxFeaturePanels {
			row.Choices = append(row.Choices, choice{dimensionName(name), v.with("trend", name), trend == name})
		}
	}
	p.Choices = append(p.Choices, row)
	if trend != "" {
		t, err := d.c.Trend(ctx, v.app.Num, trend, 28, v.span, 7, v.view)
		if err != nil {
			return err
		}
		p.Panels = append(p.Panels, trendPanel("trend", dimensionName(trend)+" of opted-in installations over time", t))
	}
	for _, name := range all[:min(len(all), maxFeaturePanels)] {
		b, err := d.c.Breakdown(ctx, v.app.Num, name, 28, v.closest(), v.view)
		if errors.Is(err, collector.ErrNoDay) {
			p.Notice = fmt.Sprintf("There are no figures of %s.", v.closest())
			break
		}
		if err != nil {
			return err
		}
		p.AsOf = b.AsOf.UTC().Format("2006-01-02 15:04 UTC")
		p.Panels = append(p.Panels, breakdownPanel(strings.ReplaceAll(name, ".", "-"), dimensionName(name)+" of opted-in installations", b, 8))
	}
	return d.pairs(r, v, p, all)
}

// pairs shows the co-occurrence of two dimensions.
func (d *dashboard) pairs(r *http.Request, v view, p *pageData, all []string) error {
	if len(all) < 2 {
		return nil
	}
	first, second := cmp.Or(v.values.Get("row"), all[0]), cmp.Or(v.values.Get("column"), all[1])
	rows, columns := choiceRow{Name: "Pairs: rows"}, choiceRow{Name: "Pairs: columns"}
	for _, name := range all[:min(len(all), maxFeaturePanels)] {
		rows.Choices = append(rows.Choices, choice{dimensionName(name), v.with("row", name), name == first})
		columns.Choices = append(columns.Choices, choice{dimensionName(name), v.with("column", name), name == second})
	}
	p.Choices = append(p.Choices, rows, columns)
	co, err := d.c.CoOccurrence(r.Context(), v.app.Num, first, second, 28, v.view)
	if err != nil {
		return err
	}
	panel := panel{
		ID: "pairs", Title: dimensionName(first) + " and " + dimensionName(second), Wide: true,
		Explain: "How many opted-in installations active in the last 28 days report both. The darker, the larger the share of the row.",
		Table:   table{Head: append([]string{dimensionName(first)}, co.Columns...)},
	}
	heat := chart.Heat{Text: chart.Text{Title: panel.Title, Desc: "Pairs of values."}, Columns: shorten(co.Columns)}
	for i, name := range co.Rows {
		cells := []any{name}
		sum := 0.0
		for _, f := range co.Counts[i] {
			if f != nil {
				sum += float64(*f)
			}
		}
		line := chart.HeatRow{Name: short(name, 12)}
		for j, f := range co.Counts[i] {
			cells = append(cells, f)
			cell := chart.HeatCell{None: f == nil, Text: "–"}
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
		panel.Table.Rows = append(panel.Table.Rows, cells)
	}
	if len(co.Rows) == 0 || len(co.Columns) == 0 {
		panel.Empty = "Nothing is reported."
	} else {
		panel.Chart = heat
	}
	p.Panels = append(p.Panels, panel)
	return nil
}

func short(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func shorten(texts []string) []string {
	all := make([]string, len(texts))
	for i, text := range texts {
		all[i] = short(text, 6)
	}
	return all
}
