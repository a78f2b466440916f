package dashboard

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// retention says how many installations stay.
func (d *dashboard) retention(r *http.Request, v view, p *pageData) error {
	grain := collector.Grain(v.values.Get("grain"))
	if grain == "" {
		grain = collector.GrainWeek
	}
	ctx, cancel := withTimeout(r)
	defer cancel()
	answer, err := d.c.Retention(ctx, v.app.Num, grain, v.span, v.view)
	if err != nil {
		return err
	}
	survival, err := d.c.Survival(ctx, v.app.Num, 6, v.view)
	if err != nil {
		return err
	}
	p.AsOf = answer.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	row := choiceRow{Name: "Cohorts by"}
	for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		row.Choices = append(row.Choices, choice{string(g), v.with("grain", string(g)), g == grain})
	}
	p.Choices = []choiceRow{row}
	p.Panels = []panel{trianglePanel(answer), survivalPanel(survival)}
	return nil
}

// maxCohorts bounds the rows of the drawing; the table has all of them.
const maxCohorts = 40

func trianglePanel(answer collector.Retention) panel {
	p := panel{
		ID: "triangle", Title: fmt.Sprintf("Retention of opted-in installations by %s of first sight", answer.Grain), Wide: true,
		Explain: fmt.Sprintf("Of the installations that were new in a %[1]s, the share that was active in each %[1]s after. A hatched cell's %[1]s is not over; "+
			"a dash is hidden or unknown.", answer.Grain),
		Table: table{Head: []string{"cohort", "size", "age", "active", "share", "state"}},
	}
	longest := 0
	rows := answer.Cohorts[max(0, len(answer.Cohorts)-maxCohorts):]
	for _, cohort := range answer.Cohorts {
		for age, cell := range cohort.Cells {
			share := cell.Share
			if cell.Active == nil {
				share = math.NaN()
			}
			p.Table.Rows = append(p.Table.Rows, []any{cohort.From, cohort.Size, uint64(age), cell.Active, share, state(cell.Open, cell.Gap)})
		}
	}
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: fmt.Sprintf("%d cohorts.", len(rows))}, SizeHead: "new"}
	for _, cohort := range rows {
		line := chart.HeatRow{Name: cohort.From.String(), Size: "–"}
		if cohort.Size != nil {
			line.Size = chart.Short(float64(*cohort.Size))
		}
		longest = max(longest, len(cohort.Cells))
		for age, cell := range cohort.Cells {
			c := chart.HeatCell{Share: cell.Share, Open: cell.Open, None: cell.Active == nil, Text: "–"}
			if cell.Active != nil && cohort.Size != nil && *cohort.Size > 0 {
				c.Text = fmt.Sprintf("%.0f", cell.Share*100)
				c.Title = fmt.Sprintf("%s, %d after: %s of %s (%.1f %%)", cohort.From, age, grouped(*cell.Active), grouped(*cohort.Size), cell.Share*100)
			}
			line.Cells = append(line.Cells, c)
		}
		heat.Rows = append(heat.Rows, line)
	}
	for i := range longest {
		heat.Columns = append(heat.Columns, strconv.Itoa(i))
	}
	if longest == 0 {
		p.Empty = "There are no cohorts in this range."
		return p
	}
	p.Chart = heat
	return p
}

func survivalPanel(answer collector.Survival) panel {
	p := panel{
		ID: "survival", Title: "Survival by version of first install", Wide: true,
		Explain: "Of the opted-in installations that began with a version, the share that was active that many weeks after, over all weeks that are over.",
		Table:   table{Head: []string{"first version", "weeks after", "active", "of", "share"}},
	}
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: "One line for each first version."}, Percent: true}
	longest := 0
	for _, version := range answer.Versions {
		longest = max(longest, len(version.Cells))
	}
	for i := range longest {
		lines.Labels = append(lines.Labels, strconv.Itoa(i)+" w")
	}
	for _, version := range answer.Versions {
		s := chart.Series{Name: version.Version}
		for i := range longest {
			share := math.NaN()
			if i < len(version.Cells) {
				cell := version.Cells[i]
				p.Table.Rows = append(p.Table.Rows, []any{version.Version, uint64(i), cell.Active, cell.Of, cell.Share})
				if cell.Active != nil && cell.Of != nil {
					share = cell.Share
				}
			}
			s.Values = append(s.Values, share)
		}
		lines.Series = append(lines.Series, s)
	}
	if longest == 0 {
		p.Empty = "No week has ended yet."
		return p
	}
	p.Chart = lines
	return p
}
