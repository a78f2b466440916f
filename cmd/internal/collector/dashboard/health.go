package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// faultStatuses are what a maintainer can say of a fault.
var faultStatuses = []string{string(collector.FaultOpen), string(collector.FaultIgnored), string(collector.FaultFixed)}

func (d *dashboard) health(ctx context.Context, v view, p *pageData) error {
	answer, err := d.c.Faults(ctx, v.app.Num, v.drawn(), v.sees)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	faults, err := v.filter(p, answer.Faults)
	if err != nil {
		return err
	}
	if v.sees.Public {
		p.Panels = []panel{publicFaultsPanel(faults, answer)}
		return nil
	}
	list, by, rates := faultsPanel(faults, answer), affectedPanel(answer), ratesPanel(v, faults, answer.Meta)
	list.linkFaults(v, faults)
	rates.link(v.versionPage)
	group := func(by, name string) string {
		if by == collector.DimCountry {
			return v.narrowed(by, name)
		}
		return v.with(by, name)
	}
	for i, row := range by.Table.Rows {
		by.Table.Rows[i][1] = linked{row[1].(string), group(row[0].(string), row[1].(string))}
	}
	by.link(func(name string) string {
		if of, text, ok := strings.Cut(name, ": "); ok {
			return group(of, text)
		}
		return "" // a cell of the table
	})
	days, err := d.faultDaysPanel(ctx, v, answer)
	if err != nil {
		return err
	}
	p.Compare = v.comparisons()
	p.Panels = []panel{list, days, by, rates}
	if len(answer.Totals.Sums) > 0 {
		p.Panels = append(p.Panels, sumsPanel(answer))
	}
	if v.admin {
		p.Faults = faults
	}
	if !v.sees.Segment.Empty() { // nobody knows how often faults occurred with its members
		return nil
	}
	severity := occurrencesPanel("severity", faults, answer.Meta, func(f figures.Fault) string { return f.Severity })
	component := occurrencesPanel("component", faults, answer.Meta, func(f figures.Fault) string { return f.Component })
	severity.link(func(name string) string { return v.with("severity", name) })
	component.link(func(name string) string { return v.with("component", name) })
	p.Panels = append(p.Panels, severity, component)
	return nil
}

// sumsPanel shows the sums of facts that are numbers.
func sumsPanel(answer figures.Faults) panel {
	p := panel{
		ID: "sums", Title: "Runtimes", Meta: answer.Meta, Open: true,
		Explain: htmlf("What the installations that were active from %s to %s report now, added up.", answer.From, answer.To),
		Table:   table.Table{Columns: []string{"fact", "sum", "installations"}},
	}
	for _, s := range answer.Totals.Sums {
		p.Table.Add(s.Fact, s.Sum, s.Reporting)
	}
	first := answer.Totals.Sums[0]
	p.Answer = htmlf("%s: %s in all, on %s.", first.Fact, first.Sum, some(first.Reporting, "installation"))
	return p
}

func faultName(f figures.Fault) string { return f.Component + ": " + f.Reason }

const (
	// anything is the choice of a filter that leaves nothing out.
	anything = "all"
	// maxFilter bounds the choices of a filter.
	maxFilter = 16
)

// filter offers filters of the faults, and applies those that the address names.
func (v view) filter(p *pageData, all []figures.Fault) ([]figures.Fault, error) {
	filters := []struct {
		id, name, usual string
		of              func(figures.Fault) string
		choices         []string // nil for those that occur
	}{
		{"status", "Status", string(collector.FaultOpen), func(f figures.Fault) string { return string(f.Status) }, faultStatuses},
		{"severity", "Severity", anything, func(f figures.Fault) string { return f.Severity }, nil},
		{"component", "Component", anything, func(f figures.Fault) string { return f.Component }, nil},
		{"new", "New in", anything, func(f figures.Fault) string { return f.NewIn }, nil},
	}
	rest := slices.Clone(all)
	for _, filter := range filters {
		current := v.get(filter.id, filter.usual)
		choices := filter.choices
		if choices == nil {
			for _, f := range all {
				if name := filter.of(f); name != "" && !slices.Contains(choices, name) && len(choices) < maxFilter-1 {
					choices = append(choices, name)
				}
			}
			if current != filter.usual && !slices.Contains(choices, current) {
				choices = append(choices, current) // which these days lack
			}
			slices.Sort(choices)
		} else if current != anything && !slices.Contains(choices, current) {
			return nil, fmt.Errorf("%w: there is no status %q", errChoice, current)
		}
		if len(choices) > 0 {
			row := v.choices(filter.name, filter.id, current, append([]string{anything}, choices...)...)
			row.Menu = true
			p.Choices = append(p.Choices, row)
		}
		if current != anything {
			rest = slices.DeleteFunc(rest, func(f figures.Fault) bool { return filter.of(f) != current })
		}
	}
	return rest, nil
}

func faultsPanel(faults []figures.Fault, answer figures.Faults) panel {
	p := panel{
		ID: "faults", Title: "Faults by affected installations", Wide: true, Meta: answer.Meta,
		Explain: htmlf("Of %s active from %s to %s. Only installations that share health reports are counted.",
			some(answer.Denominator, "installation"), answer.From, answer.To),
		Table: table.Table{Columns: []string{
			"fault", "affected", "occurrences", "severity", "stage", "source", "first seen", "last seen", "new in", "status", "fixed in", "note", "sample",
		}},
	}
	var bars []chart.Bar
	for _, f := range faults {
		p.Table.Add(faultName(f), f.Affected, f.Occurrences, f.Severity, f.Stage, f.Source, f.FirstSeen, f.LastSeen, f.NewIn, f.Status, f.FixedIn, f.Note, sampleText(f.Sample))
		bar := chart.Bar{Name: faultName(f), Value: value(f.Affected), Note: groupedOr(f.Affected) + " · " + f.Severity}
		if f.NewIn != "" {
			bar.Mark = "new in " + f.NewIn
		}
		bars = append(bars, bar)
	}
	if len(faults) > 0 {
		p.Answer = htmlf("%s. Most widespread: %s, on %s.", some(len(faults), "fault"), faultName(faults[0]), some(faults[0].Affected, "installation"))
	}
	p.drawBars(bars, 15, "Most widespread first", "No matching faults in this range.")
	return p
}

// sampleText returns the context of a report in one line.
func sampleText(context map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(context)) {
		parts = append(parts, key+"="+context[key])
	}
	return strings.Join(parts, " ")
}

func publicFaultsPanel(faults []figures.Fault, answer figures.Faults) panel {
	p := panel{
		ID: "faults", Title: "Faults by affected installations", Wide: true, Meta: answer.Meta,
		Explain: htmlf("Of %s active from %s to %s. Only installations that share health reports are counted.",
			some(answer.Denominator, "installation"), answer.From, answer.To),
		Table: table.Table{Columns: []string{"fault", "affected", "severity", "stage", "source", "status", "fixed in"}},
	}
	var bars []chart.Bar
	for _, f := range faults {
		p.Table.Add(faultName(f), f.Affected, f.Severity, f.Stage, f.Source, f.Status, f.FixedIn)
		bars = append(bars, chart.Bar{Name: faultName(f), Value: value(f.Affected), Note: groupedOr(f.Affected) + " · " + f.Severity})
	}
	p.drawBars(bars, 15, "Most widespread first", "No matching faults in these 28 days.")
	return p
}

func (d *dashboard) faultDaysPanel(ctx context.Context, v view, answer figures.Faults) (panel, error) {
	p := panel{
		ID: "days", Title: "Faults by day", Meta: answer.Meta,
		Explain: "Installations that reported any fault, by day, and how often faults occurred. All faults count, whatever the filters. " +
			"The figures by day reach back 30 days.",
	}
	rowOf := func(d figures.FaultDay) dayRow {
		return dayRow{d.Day, d.Open, false, []figures.Count{d.Affected, d.Occurrences}}
	}
	lines := addDays(&p, answer.Totals.ByDay, rowOf, "One line for installations, and one for occurrences", "affected", "occurrences")
	then, err := d.faultDaysBefore(ctx, v, "")
	addBefore(&p, &lines, v.ghost, then, rowOf)
	p.draw(lines, len(answer.Totals.ByDay) > 0, noDays)
	return p, err
}

// faultDaysBefore returns the days of the ghost, if there is one, for a fault,
// or for all if id is empty.
func (d *dashboard) faultDaysBefore(ctx context.Context, v view, id string) ([]figures.FaultDay, error) {
	if v.ghost == nil {
		return nil, nil
	}
	return d.c.FaultDays(ctx, v.app.Num, id, v.ghost.days, v.sees)
}

func affectedPanel(answer figures.Faults) panel {
	p := panel{
		ID: "affected", Title: "Affected installations", Meta: answer.Meta,
		Explain: "Installations that reported any fault, by its severity, by its component, and by their country. One with several faults " +
			"counts once in each row. All faults count, whatever the filters.",
		Table: table.Table{Columns: []string{"by", "value", "affected", "occurrences"}},
	}
	var bars []chart.Bar
	for _, by := range []struct {
		name   string
		groups []figures.FaultGroup
	}{{"severity", answer.Totals.BySeverity}, {"component", answer.Totals.ByComponent}, {"country", answer.Totals.ByCountry}} {
		for i, g := range by.groups {
			p.Table.Add(by.name, g.Name, g.Affected, g.Occurrences)
			if i < 5 {
				bars = append(bars, chart.Bar{Name: by.name + ": " + g.Name, Value: value(g.Affected), Note: groupedOr(g.Affected)})
			}
		}
	}
	if orZero(answer.Totals.Affected) > 0 {
		p.Answer = htmlf("%s reported a fault.", some(answer.Totals.Affected, "installation"))
	}
	p.drawBars(bars, 15, "The most affected of each", "No faults.")
	return p
}

func occurrencesPanel(by string, faults []figures.Fault, meta figures.Meta, of func(figures.Fault) string) panel {
	counts, occurrences := map[string]uint64{}, map[string]uint64{}
	for _, f := range faults {
		counts[of(f)]++
		occurrences[of(f)] += orZero(f.Occurrences)
	}
	p := panel{
		ID: by, Title: "Occurrences by " + by, Meta: meta,
		Explain: "How often these faults occurred in this range. One installation can report several occurrences.",
		Table:   table.Table{Columns: []string{by, "faults", "occurrences"}},
	}
	var bars []chart.Bar
	for _, name := range mostFrequent(occurrences) {
		p.Table.Add(name, counts[name], occurrences[name])
		bars = append(bars, chart.Bar{Name: name, Value: float64(occurrences[name]), Note: grouped(occurrences[name])})
	}
	p.drawBars(bars, 12, "Most frequent first", "No faults.")
	return p
}

// mostFrequent returns the names of counts, those with the largest first.
func mostFrequent(counts map[string]uint64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

func ratesPanel(v view, faults []figures.Fault, meta figures.Meta) panel {
	p := panel{
		ID: "rates", Title: "Affected per 1,000", Wide: true, Meta: meta,
		Explain: "Affected installations per 1,000 of each version, newest version first. Installations count under the version they run now.",
		Table:   table.Table{Columns: []string{"version", "per 1,000", "affected", "active", "occurrences"}},
	}
	if len(faults) == 0 {
		p.Empty = "No faults."
		return p
	}
	chosen := faults[0]
	for _, f := range faults {
		if f.ID == v.values.Get("fault") {
			chosen = f
		}
	}
	choose := selection{Name: "fault", Label: "Fault"}
	for _, f := range faults {
		choose.Options = append(choose.Options, option{f.ID, visible(faultName(f) + " (" + f.Severity + ")"), f.ID == chosen.ID})
	}
	v.choose(&p, choose)
	p.Answer = htmlf("%s", faultName(chosen))
	if chosen.NewIn != "" {
		p.Answer = htmlf("%s, new in %s", faultName(chosen), chosen.NewIn)
	}
	var bars []chart.Bar
	for _, version := range chosen.Versions {
		p.Table.Add(version.Version, fmt.Sprintf("%.1f", version.PerThousand), version.Affected, version.Active, version.Occurrences)
		if version.Affected != nil && version.Active != nil {
			bars = append(bars, chart.Bar{
				Name: version.Version, Value: version.PerThousand,
				Note: fmt.Sprintf("%.1f · %s of %s", version.PerThousand, grouped(*version.Affected), grouped(*version.Active)),
			})
		}
	}
	p.drawBars(bars, 12, faultName(chosen), "No affected installation reports a version now.")
	return p
}

func (d *dashboard) setFault(r *http.Request, v viewer) error {
	return d.c.SetFault(r.Context(), v.app.Num, r.PostFormValue("fault"), collector.Triage{
		Status: collector.FaultStatus(r.PostFormValue("status")), FixedIn: r.PostFormValue("fixed_in"), Note: r.PostFormValue("note"), By: v.grant.Name,
	})
}
