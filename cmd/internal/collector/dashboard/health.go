package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// faultStatuses are what a maintainer can say of a fault.
var faultStatuses = []string{string(collector.FaultOpen), string(collector.FaultIgnored), string(collector.FaultFixed)}

func (d *dashboard) health(ctx context.Context, v view, p *pageData) error {
	answer, err := d.c.Faults(ctx, v.app.Num, v.span, v.sees)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	p.shortened("Faults", v.span, answer.Range)
	faults := v.filter(p, answer.Faults)
	p.Panels = []panel{
		faultsPanel(faults, answer), ratesPanel(v, faults, answer.Meta),
		occurrencesPanel("severity", faults, answer.Meta, func(f figures.Fault) string { return f.Severity }),
		occurrencesPanel("component", faults, answer.Meta, func(f figures.Fault) string { return f.Component }),
	}
	if v.admin {
		p.Faults = faults
	}
	return nil
}

func faultName(f figures.Fault) string { return f.Component + ": " + f.Reason }

const (
	// anything is the choice of a filter that leaves nothing out.
	anything = "all"
	// maxFilter bounds the choices of a filter.
	maxFilter = 16
)

// filter offers filters of the faults, and applies those that the address names.
func (v view) filter(p *pageData, all []figures.Fault) []figures.Fault {
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
			slices.Sort(choices)
		}
		if len(choices) > 0 {
			p.Choices = append(p.Choices, v.choices(filter.name, filter.id, current, append([]string{anything}, choices...)...))
		}
		if current != anything {
			rest = slices.DeleteFunc(rest, func(f figures.Fault) bool { return filter.of(f) != current })
		}
	}
	return rest
}

func faultsPanel(faults []figures.Fault, answer figures.Faults) panel {
	p := panel{
		ID: "faults", Title: "Faults by affected installations", Wide: true, Meta: answer.Meta,
		Explain: htmlf("%s installations were active from %s to %s. Only installations that share health reports are counted.",
			answer.Denominator, answer.From, answer.To),
		Table: table.Table{Columns: []string{
			"fault", "affected", "occurrences", "severity", "stage", "source", "first seen", "last seen", "new in", "status", "fixed in", "note",
		}},
	}
	var bars []chart.Bar
	for _, f := range faults {
		p.Table.Add(faultName(f), f.Affected, f.Occurrences, f.Severity, f.Stage, f.Source, f.FirstSeen, f.LastSeen, f.NewIn, f.Status, f.FixedIn, f.Note)
		bar := chart.Bar{Name: faultName(f), Value: value(f.Affected), Note: groupedOr(f.Affected) + " · " + f.Severity}
		if f.NewIn != "" {
			bar.Mark = "new in " + f.NewIn
		}
		bars = append(bars, bar)
	}
	if len(faults) > 0 {
		p.Answer = htmlf("%s faults. Most widespread: %s, on %s installations.", len(faults), faultName(faults[0]), faults[0].Affected)
	}
	p.drawBars(bars, 15, "Most widespread first", "No matching faults in this range.")
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
		Table:   table.Table{Columns: []string{"version", "per 1,000", "affected", "active"}},
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
		p.Table.Add(version.Version, fmt.Sprintf("%.1f", version.PerThousand), version.Affected, version.Active)
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
	return d.c.SetFault(r.Context(), v.app.Num, r.PostFormValue("fault"), collector.FaultStatus(r.PostFormValue("status")),
		r.PostFormValue("fixed_in"), r.PostFormValue("note"))
}
