package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"math"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

func (d *dashboard) retention(ctx context.Context, v view, p *pageData) error {
	grain := v.get("grain", string(collector.GrainWeek))
	answer, errRetention := d.c.Retention(ctx, v.app.Num, collector.Grain(grain), v.span, v.sees)
	survival, errSurvival := d.c.Survival(ctx, v.app.Num, 6, v.sees)
	if err := cmp.Or(errRetention, errSurvival); err != nil {
		return err
	}
	p.asOf(answer.Meta)
	p.Choices = []choiceRow{v.choices("Cohorts by", "grain", grain,
		string(collector.GrainDay), string(collector.GrainWeek), string(collector.GrainMonth))}
	cohorts := cohortsPanel(answer)
	cohorts.linkCohorts(v, answer)
	curves := survivalPanel(survival)
	began := func(version string) string { return v.narrowed(collector.DimFirstVersion, version) }
	curves.linkSeries(began, "")
	curves.link(began)
	p.Panels = []panel{cohorts, curves}
	return nil
}

const maxCohorts = 40

func cohortsPanel(answer figures.Retention) panel {
	p := panel{
		ID: "triangle", Title: fmt.Sprintf("Installations still active, by the %s they were first seen", answer.Grain), Wide: true, Meta: answer.Meta,
		Explain: htmlf("Percentage of the new installations of a %[1]s that were active in each later %[1]s. A hatched cell is a %[1]s in progress; "+
			"an empty cell is hidden or unknown.", answer.Grain),
		Table: table.Table{Columns: []string{"cohort", "size", string(answer.Grain) + "s after", "active", "share", "state"}},
	}
	cohorts := answer.Cohorts
	if len(cohorts) > maxCohorts {
		cohorts = cohorts[len(cohorts)-maxCohorts:]
		p.Explain += htmlf(" Only the newest %s cohorts are shown.", maxCohorts)
	}
	heat := chart.Heat{Text: chart.Text{Title: p.Title, Desc: fmt.Sprintf("%d cohorts, oldest first", len(cohorts))}, Corner: "first seen", SizeHead: "new"}
	for _, cohort := range cohorts {
		row := chart.HeatRow{Name: cohort.From.String(), Day: cohort.From.String(), Size: "–"}
		if answer.Grain == collector.GrainMonth {
			row.Name = cohort.From.Time().Format("Jan 2006")
		}
		if cohort.Size != nil {
			row.Size = chart.Short(float64(*cohort.Size))
		}
		for age, cell := range cohort.Cells[:min(len(cohort.Cells), maxCohorts)] {
			p.Table.Add(cohort.From, cohort.Size, uint64(age), cellOf(cell.Gap, cell.Active), shareOf(cell.Active, cell.Share), state(cell.Open, cell.Gap))
			c := chart.HeatCell{Share: cell.Share, Open: cell.Open, None: cell.Active == nil || cell.Gap}
			if !c.None && cohort.Size != nil && *cohort.Size > 0 {
				c.Text = fmt.Sprintf("%.0f", cell.Share*100)
				c.Title = fmt.Sprintf("First seen %s, %s %d: %s of %s active (%.1f%%)", cohort.From, answer.Grain, age, grouped(*cell.Active), grouped(*cohort.Size), cell.Share*100)
			}
			row.Cells = append(row.Cells, c)
		}
		for i := len(heat.Columns); i < len(row.Cells); i++ {
			heat.Columns = append(heat.Columns, strconv.Itoa(i))
		}
		heat.Rows = append(heat.Rows, row)
	}
	p.Answer = retainedSentence(cohorts, answer.Grain)
	p.draw(heat, len(heat.Columns) > 0, "No cohorts in this range.")
	return p
}

// retainedSentence says how many were still active after four periods, of the
// cohorts that are old enough.
func retainedSentence(cohorts []figures.Cohort, grain collector.Grain) template.HTML {
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
	return htmlf("%s were still active %s %ss later.", float64(active)/float64(size), after, grain)
}

func survivalPanel(answer figures.Survival) panel {
	p := panel{
		ID: "survival", Title: "Survival by first version", Wide: true, Meta: answer.Meta,
		Explain: "How many of the installations that started with a version were active so many weeks later. Only complete weeks count.",
		Table:   table.Table{Columns: []string{"first version", "weeks after", "active", "of", "share"}},
	}
	var curves []chart.Series
	for _, version := range answer.Versions {
		c := chart.Series{Name: version.Version}
		for week, cell := range version.Cells {
			p.Table.Add(version.Version, uint64(week), cell.Active, cell.Of, shareOf(cell.Active, cell.Share))
			setShare(&c, week, cell.Active, cell.Of, cell.Share)
		}
		curves = append(curves, c)
	}
	lines := linesOf(curves, " w")
	lines.Text = chart.Text{Title: p.Title, Desc: "One line for each first version"}
	p.draw(lines, len(lines.Labels) > 0, "No complete week yet.")
	return p
}

// setShare sets the value of a curve at an age. It is unknown if one of its
// figures is hidden.
func setShare(c *chart.Series, age int, active, of figures.Count, share float64) {
	for len(c.Values) <= age {
		c.Values = append(c.Values, math.NaN())
	}
	if active != nil && of != nil && *of > 0 {
		c.Values[age] = share
	}
}

// linesOf returns a chart of curves, whose ages have a unit.
func linesOf(curves []chart.Series, unit string) chart.Lines {
	lines := chart.Lines{Percent: true, Series: curves}
	for _, c := range curves {
		for i := len(lines.Labels); i < len(c.Values); i++ {
			lines.Labels = append(lines.Labels, strconv.Itoa(i)+unit)
		}
	}
	for i := range curves {
		setShare(&curves[i], len(lines.Labels)-1, nil, nil, 0)
	}
	return lines
}
