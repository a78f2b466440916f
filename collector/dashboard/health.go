package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/access"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// An issueForm lets the maintainer say something of an issue.
type issueForm struct {
	ID, Name, Status, FixedIn, Note string
}

// health says what goes wrong.
func (d *dashboard) health(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	answer, err := d.c.Issues(ctx, v.app.Num, v.span, v.view)
	if err != nil {
		return err
	}
	p.AsOf = answer.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	which := cmp.Or(v.values.Get("status"), "open")
	row := choiceRow{Name: "Status"}
	for _, status := range []string{"open", "ignored", "fixed", "all"} {
		row.Choices = append(row.Choices, choice{status, v.with("status", status), status == which})
	}
	p.Choices = []choiceRow{row}
	issues := slices.DeleteFunc(slices.Clone(answer.Issues), func(is collector.Issue) bool {
		return which != "all" && string(is.Status) != which
	})
	p.Panels = []panel{faultsPanel(issues, answer), severityPanel(issues), componentPanel(issues), rates(issues)}
	if v.admin {
		for _, is := range issues {
			p.Issues = append(p.Issues, issueForm{is.ID, is.Component + ": " + is.Reason, string(is.Status), is.FixedIn, is.Note})
		}
	}
	return nil
}

func faultsPanel(issues []collector.Issue, answer collector.Issues) panel {
	p := panel{
		ID: "faults", Title: "Faults by affected opted-in installations", Wide: true,
		Explain: fmt.Sprintf("Of %s installations active from %s to %s. Counts are what operators agreed to report; who sends no health reports is not in them.",
			grouped(answer.Denominator), answer.From, answer.To),
		Table: table{Head: []string{"component", "reason", "stage", "source", "severity", "affected", "occurrences", "first seen", "last seen", "new in", "status", "fixed in", "note"}},
	}
	var bars []chart.Bar
	for _, is := range issues {
		p.Table.Rows = append(p.Table.Rows, []any{
			is.Component, is.Reason, is.Stage, is.Source, is.Severity, is.Affected, is.Occurrences, is.FirstSeen, is.LastSeen, is.NewIn, is.Status, is.FixedIn, is.Note,
		})
		if len(bars) < 15 {
			note := chart.Short(value(is.Affected)) + " · " + is.Severity
			name := is.Component + ": " + is.Reason
			if is.NewIn != "" {
				name = "new · " + name
			}
			bars = append(bars, chart.Bar{Name: name, Value: value(is.Affected), Note: note})
		}
	}
	if len(bars) == 0 {
		p.Empty = "No fault of this status is reported in the range."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: fmt.Sprintf("%d faults.", len(issues))}, Bars: bars}
	return p
}

// grouping adds up the faults by a text; an installation with two faults counts for both.
func grouping(id, title, head string, issues []collector.Issue, by func(collector.Issue) string) panel {
	faults, occurrences := map[string]uint64{}, map[string]uint64{}
	for _, is := range issues {
		faults[by(is)]++
		if is.Occurrences != nil {
			occurrences[by(is)] += *is.Occurrences
		}
	}
	names := make([]string, 0, len(faults))
	for name := range faults {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(occurrences[b], occurrences[a]), cmp.Compare(a, b))
	})
	p := panel{ID: id, Title: title, Explain: "How often it happened in the range, over all faults.", Table: table{Head: []string{head, "faults", "occurrences"}}}
	var bars []chart.Bar
	for _, name := range names {
		p.Table.Rows = append(p.Table.Rows, []any{name, faults[name], occurrences[name]})
		bars = append(bars, chart.Bar{Name: name, Value: float64(occurrences[name]), Note: chart.Short(float64(occurrences[name]))})
	}
	if len(bars) == 0 {
		p.Empty = "Nothing is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: title, Desc: "Occurrences."}, Bars: bars[:min(len(bars), 12)]}
	return p
}

func severityPanel(issues []collector.Issue) panel {
	return grouping("severity", "Occurrences by severity", "severity", issues, func(is collector.Issue) string { return is.Severity })
}

func componentPanel(issues []collector.Issue) panel {
	return grouping("component", "Occurrences by component", "component", issues, func(is collector.Issue) string { return is.Component })
}

func rates(issues []collector.Issue) panel {
	p := panel{
		ID: "rates", Title: "Affected for each 1,000 installations of a version", Wide: true,
		Explain: "Versions are those that the installations run now.", Open: true,
		Table: table{Head: []string{"fault", "version", "affected", "active", "per 1,000"}},
	}
	for _, is := range issues {
		for _, version := range is.Versions {
			p.Table.Rows = append(p.Table.Rows, []any{
				is.Component + ": " + is.Reason, version.Version, version.Affected, version.Active, fmt.Sprintf("%.1f", version.PerThousand),
			})
		}
	}
	if len(p.Table.Rows) == 0 {
		p.Empty = "Nothing is reported."
	}
	return p
}

// postIssue sets what the maintainer says of an issue.
func (d *dashboard) postIssue(w http.ResponseWriter, r *http.Request) {
	v, ok := d.viewer(w, r, access.Admin)
	if !ok {
		return
	}
	err := d.c.SetIssue(r.Context(), v.app.Num, r.PostFormValue("issue"), collector.IssueStatus(r.PostFormValue("status")),
		r.PostFormValue("fixed_in"), r.PostFormValue("note"))
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/a/"+v.app.Key+"/health?saved=1&status=all", http.StatusSeeOther)
}
