package dashboard

import (
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// What a panel shows leads on: a value to the page of the installations that have
// it, a version and a fault to pages of their own. The public has no such pages.

// link makes the bars of a panel, and the names in the first column of its table,
// lead to the addresses that to returns; empty for none.
func (p *panel) link(to func(name string) string) { p.linkColumn(0, to) }

// linkColumn is link for the names in another column.
func (p *panel) linkColumn(n int, to func(name string) string) {
	if bars, ok := p.Chart.(chart.Bars); ok {
		for i, bar := range bars.Bars {
			if bar.URL == "" && !bar.Rest {
				bars.Bars[i].URL = to(bar.Name)
			}
		}
	}
	for _, row := range p.Table.Rows {
		if name, ok := row[n].(string); ok {
			if url := to(name); url != "" {
				row[n] = linked{name, url}
			}
		}
	}
}

// table is the address of the panel's table.
func (p *panel) table() string { return "#" + p.ID + "-table" }

// linkSeries links the bands or lines of a panel, and those that add up others
// to the list of these others.
func (p *panel) linkSeries(to func(name string) string, list string) {
	var series []chart.Series
	switch c := p.Chart.(type) {
	case chart.Bands:
		series = c.Series
	case chart.Lines:
		series = c.Series
	}
	for i, s := range series {
		if s.Tone == "rest" {
			series[i].URL = list
		} else {
			series[i].URL = to(s.Name)
		}
	}
}

// linkNew makes the columns and rows of new installations lead to those that were
// new then.
func (p *panel) linkNew(v view, points []figures.SeriesPoint) {
	columns, ok := p.Chart.(chart.Columns)
	if !ok {
		return
	}
	to := func(days collector.Range) string {
		segment, err := v.sees.Segment.FirstSeen(days)
		if err != nil {
			return ""
		}
		return v.to("overview", segment)
	}
	var urls []string
	for part := range parts(points) {
		urls = append(urls, to(collector.Range{From: part[0].Day, To: part[len(part)-1].Day}))
	}
	columns.Series[0].URLs = urls
	for i, row := range p.Table.Rows {
		url := ""
		if day, ok := row[0].(collector.Day); ok {
			if url = to(collector.Range{From: day, To: day}); len(p.Table.Rows) == len(urls) {
				url = urls[i] // a row is as long as a column
			}
		}
		if url != "" {
			row[0] = linked{fmt.Sprint(row[0]), url}
		}
	}
}

// valueLinks returns the addresses of the values of a dimension: versions have a
// page, and others narrow this one.
func (v view) valueLinks(dimension string) func(string) string {
	return func(value string) string {
		if dimension == collector.DimVersion && value != collector.Other {
			return v.versionPage(value)
		}
		return v.narrowed(dimension, value)
	}
}

// linkPairs makes the cells of a table of two dimensions lead to the installations
// that have both values.
func (p *panel) linkPairs(v view, co figures.CoOccurrence) {
	heat, ok := p.Chart.(chart.Heat)
	if !ok || v.sees.Public {
		return
	}
	for i, row := range co.Rows {
		heat.Rows[i].URL = v.narrowed(co.Row, row)
		one, err := v.sees.Segment.And(co.Row, row)
		if err != nil {
			continue
		}
		for j, column := range co.Columns {
			if both, err := one.And(co.Column, column); err == nil && orZero(co.Counts[i][j]) > 0 {
				heat.Rows[i].Cells[j].URL = v.to("overview", both)
			}
		}
	}
}

// linkCohorts makes the cells of a triangle lead to the installations of their
// cohort.
func (p *panel) linkCohorts(v view, answer figures.Retention) {
	heat, ok := p.Chart.(chart.Heat)
	if !ok {
		return
	}
	cohorts := answer.Cohorts[max(0, len(answer.Cohorts)-len(heat.Rows)):]
	for i, cohort := range cohorts {
		segment, err := v.sees.Segment.FirstSeen(collector.Range{From: cohort.From, To: answer.Grain.Next(cohort.From) - 1})
		if err != nil {
			continue
		}
		heat.Rows[i].URL = v.to("versions", segment)
		for j, cell := range heat.Rows[i].Cells {
			if cell.Text != "" {
				heat.Rows[i].Cells[j].URL = heat.Rows[i].URL
			}
		}
	}
}

// linkFaults makes faults lead to their pages.
func (p *panel) linkFaults(v view, faults []figures.Fault) {
	urls := make(map[string]string, len(faults))
	for _, f := range faults {
		if name := faultName(f); urls[name] == "" {
			urls[name] = v.faultPage(f.ID)
		}
	}
	p.link(func(name string) string { return urls[name] })
}
