package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
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
	p.asOf(answer.Meta)
	row := choiceRow{Name: "Cohorts by"}
	for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		row.Choices = append(row.Choices, choice{string(g), v.with("grain", string(g)), g == grain})
	}
	p.Choices = []choiceRow{row}
	p.Panels = []panel{trianglePanel(answer), survivalPanel(survival)}
	return nil
}

// maxCohorts bounds the cohorts that are shown: the newest of the range.
const maxCohorts = 40

func trianglePanel(answer figures.Retention) panel {
	p := panel{
		ID: "triangle", Title: fmt.Sprintf("Retention of opted-in installations by %s of first sight", answer.Grain), Wide: true, Meta: answer.Meta,
		Explain: say("Of the installations that were new in a %[1]s, how many percent were active in each %[1]s after. A hatched cell's %[1]s is not over; "+
			"an empty one is hidden or unknown.", answer.Grain),
		Table: table{Head: []string{"cohort", "size", string(answer.Grain) + "s after", "active", "share", "state"}},
	}
	rows := answer.Cohorts
	if len(rows) > maxCohorts {
		rows = rows[len(rows)-maxCohorts:]
		p.Explain += say(" The newest %s cohorts of the range are shown.", maxCohorts)
	}
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: fmt.Sprintf("%d cohorts, the oldest first", len(rows))}, SizeHead: "new"}
	longest := 0
	for _, cohort := range rows {
		line := chart.HeatRow{Name: cohort.From.String(), Size: "–"}
		if answer.Grain == collector.GrainMonth {
			line.Name = cohort.From.Time().Format("Jan 2006")
		}
		if cohort.Size != nil {
			line.Size = chart.Short(float64(*cohort.Size))
		}
		cells := cohort.Cells[:min(len(cohort.Cells), maxCohorts)]
		longest = max(longest, len(cells))
		for age, cell := range cells {
			p.Table.Rows = append(p.Table.Rows, []any{
				cohort.From, cohort.Size, uint64(age), cellOf(cell.Gap, cell.Active), share(cell.Active, cell.Share), state(cell.Open, cell.Gap),
			})
			c := chart.HeatCell{Share: cell.Share, Open: cell.Open, None: cell.Active == nil || cell.Gap}
			if !c.None && cohort.Size != nil && *cohort.Size > 0 {
				c.Text = fmt.Sprintf("%.0f", cell.Share*100)
				c.Title = fmt.Sprintf("New from %s, %s %d: %s of %s (%.1f %%)", cohort.From, answer.Grain, age, grouped(*cell.Active), grouped(*cohort.Size), cell.Share*100)
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
	p.Answer = stayed(rows, answer.Grain)
	return p
}

// stayed says in words how many of the cohorts that are old enough were still there after four periods.
func stayed(cohorts []figures.Cohort, grain collector.Grain) template.HTML {
	const after = 4
	var size, active uint64
	for _, cohort := range cohorts {
		if len(cohort.Cells) <= after || cohort.Size == nil {
			continue
		}
		if cell := cohort.Cells[after]; cell.Active != nil && !cell.Open && !cell.Gap {
			size += *cohort.Size
			active += *cell.Active
		}
	}
	if size == 0 {
		return ""
	}
	return say("%s are active %s %ss later.", float64(active)/float64(size), after, grain)
}

func survivalPanel(answer figures.Survival) panel {
	p := panel{
		ID: "survival", Title: "Survival of opted-in installations by version of first install", Wide: true, Meta: answer.Meta,
		Explain: "Of the installations that began with a version, the share that was active that many weeks after, over all weeks that are over.",
		Table:   table{Head: []string{"first version", "weeks after", "active", "of", "share"}},
	}
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: "One line for each first version"}, Percent: true}
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
			at := math.NaN()
			if i < len(version.Cells) {
				cell := version.Cells[i]
				p.Table.Rows = append(p.Table.Rows, []any{version.Version, uint64(i), cell.Active, cell.Of, share(cell.Active, cell.Share)})
				if cell.Active != nil && cell.Of != nil {
					at = cell.Share
				}
			}
			s.Values = append(s.Values, at)
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
