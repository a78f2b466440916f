package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A faultForm lets the maintainer say something of a fault.
type faultForm struct {
	ID, Name, Status, FixedIn, Note string
}

// health says what goes wrong.
func (d *dashboard) health(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	answer, err := d.c.Faults(ctx, v.app.Num, v.span, v.view)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	v.sayShorter(p, "Faults", answer.Range)
	faults := v.filter(p, answer.Faults)
	p.Panels = []panel{
		faultsPanel(faults, answer), ratesPanel(v, faults, answer.Meta),
		grouping("severity", "severity", faults, answer.Meta, func(is figures.Fault) string { return is.Severity }),
		grouping("component", "component", faults, answer.Meta, func(is figures.Fault) string { return is.Component }),
	}
	if v.admin {
		for _, is := range faults {
			p.Faults = append(p.Faults, faultForm{is.ID, visible(faultName(is)), string(is.Status), visible(is.FixedIn), visible(is.Note)})
		}
	}
	return nil
}

func faultName(is figures.Fault) string { return is.Component + ": " + is.Reason }

// filter offers what can be left out, and does so.
func (v view) filter(p *pageData, all []figures.Fault) []figures.Fault {
	filters := []struct {
		id, name, without string
		of                func(figures.Fault) string
	}{
		{"status", "Status", "open", func(is figures.Fault) string { return string(is.Status) }},
		{"severity", "Severity", anything, func(is figures.Fault) string { return is.Severity }},
		{"component", "Component", anything, func(is figures.Fault) string { return is.Component }},
		{"new", "New in", anything, func(is figures.Fault) string { return is.NewIn }},
	}
	rest := slices.Clone(all)
	for _, f := range filters {
		current := cmp.Or(v.values.Get(f.id), f.without)
		names := []string{anything}
		if f.id == "status" {
			names = append(names, p.Statuses()...)
		} else {
			for _, is := range all {
				if name := f.of(is); name != "" && !slices.Contains(names, name) && len(names) < maxFilter {
					names = append(names, name)
				}
			}
			slices.Sort(names[1:])
		}
		row := choiceRow{Name: f.name}
		for _, name := range names {
			row.Choices = append(row.Choices, choice{visible(name), v.with(f.id, name), name == current})
		}
		if len(names) > 1 {
			p.Choices = append(p.Choices, row)
		}
		if current != anything {
			rest = slices.DeleteFunc(rest, func(is figures.Fault) bool { return f.of(is) != current })
		}
	}
	return rest
}

const (
	// anything is the choice of a filter that leaves nothing out.
	anything = "all"
	// maxFilter bounds the choices of a filter.
	maxFilter = 16
)

func faultsPanel(faults []figures.Fault, answer figures.Faults) panel {
	p := panel{
		ID: "faults", Title: "Faults by affected opted-in installations", Wide: true, Meta: answer.Meta,
		Explain: say("Of %s installations active from %s to %s (UTC). Counts are what operators agreed to report; who sends no health reports is not in them.",
			answer.Denominator, answer.From, answer.To),
		Table: table{Head: []string{"fault", "affected", "occurrences", "severity", "stage", "source", "first seen", "last seen", "new in", "status", "fixed in", "note"}},
	}
	var bars []chart.Bar
	for _, is := range faults {
		p.Table.Rows = append(p.Table.Rows, []any{
			faultName(is), is.Affected, is.Occurrences, is.Severity, is.Stage, is.Source, is.FirstSeen, is.LastSeen, is.NewIn, is.Status, is.FixedIn, is.Note,
		})
		if len(bars) == 15 {
			continue
		}
		bar := chart.Bar{Name: faultName(is), Value: value(is.Affected), Note: groupedOr(is.Affected) + " · " + is.Severity}
		if is.NewIn != "" {
			bar.Mark = "new in " + is.NewIn
		}
		bars = append(bars, bar)
	}
	if len(bars) == 0 {
		p.Empty = "No such fault is reported in the range."
		return p
	}
	p.Answer = say("%s faults; the most widespread is %s, on %s installations.", len(faults), faultName(faults[0]), faults[0].Affected)
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "The most widespread first"}, Bars: bars}
	return p
}

// grouping adds up the occurrences of faults by a text.
func grouping(id, head string, faults []figures.Fault, meta figures.Meta, by func(figures.Fault) string) panel {
	counts, occurrences := map[string]uint64{}, map[string]uint64{}
	for _, is := range faults {
		counts[by(is)]++
		if is.Occurrences != nil {
			occurrences[by(is)] += *is.Occurrences
		}
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(occurrences[b], occurrences[a]), cmp.Compare(a, b))
	})
	p := panel{
		ID: id, Title: "Occurrences of faults by " + head, Meta: meta,
		Explain: "How often they happened on opted-in installations in the range. An installation can have several.",
		Table:   table{Head: []string{head, "faults", "occurrences"}},
	}
	var bars []chart.Bar
	for _, name := range names {
		p.Table.Rows = append(p.Table.Rows, []any{name, counts[name], occurrences[name]})
		bars = append(bars, chart.Bar{Name: name, Value: float64(occurrences[name]), Note: grouped(occurrences[name])})
	}
	if len(bars) == 0 {
		p.Empty = "Nothing is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "The most frequent first"}, Bars: bars[:min(len(bars), 12)]}
	return p
}

// ratesPanel shows one fault by version.
func ratesPanel(v view, faults []figures.Fault, meta figures.Meta) panel {
	p := panel{
		ID: "rates", Title: "Affected for each 1,000 opted-in installations of a version", Wide: true, Meta: meta,
		Explain: "Newest version first. Versions are those that the installations run now.",
		Table:   table{Head: []string{"version", "per 1,000", "affected", "active"}},
	}
	if len(faults) == 0 {
		p.Empty = "Nothing is reported."
		return p
	}
	shown := faults[0]
	choose := selection{Name: "fault", Label: "Fault"}
	for _, is := range faults {
		if is.ID == v.values.Get("fault") {
			shown = is
		}
	}
	for _, is := range faults {
		choose.Options = append(choose.Options, option{is.ID, visible(faultName(is) + " (" + is.Severity + ")"), is.ID == shown.ID})
	}
	p.Form = v.form(p.ID, choose)
	p.Answer = say("%s", faultName(shown))
	if shown.NewIn != "" {
		p.Answer = say("%s, new in %s", faultName(shown), shown.NewIn)
	}
	var bars []chart.Bar
	for _, version := range shown.Versions {
		p.Table.Rows = append(p.Table.Rows, []any{version.Version, fmt.Sprintf("%.1f", version.PerThousand), version.Affected, version.Active})
		if len(bars) < 12 && version.Affected != nil && version.Active != nil {
			bars = append(bars, chart.Bar{
				Name: version.Version, Value: version.PerThousand,
				Note: fmt.Sprintf("%.1f · %s of %s", version.PerThousand, grouped(*version.Affected), grouped(*version.Active)),
			})
		}
	}
	if len(bars) == 0 {
		p.Empty = "No installation that has this fault runs a version now."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: faultName(shown)}, Bars: bars}
	return p
}

// postFault sets what the maintainer says of a fault.
func (d *dashboard) postFault(w http.ResponseWriter, r *http.Request) {
	v, ok := d.viewer(w, r, access.Admin)
	if !ok {
		return
	}
	err := d.c.SetFault(r.Context(), v.app.Num, r.PostFormValue("fault"), collector.FaultStatus(r.PostFormValue("status")),
		r.PostFormValue("fixed_in"), r.PostFormValue("note"))
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/a/"+v.app.Key+"/health?saved=1&status=all", http.StatusSeeOther)
}
