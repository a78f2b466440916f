package dashboard

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/access"
	"github.com/rollcall-dev/rollcall/collector/dashboard/chart"
)

// versions says how releases are taken up.
func (d *dashboard) versions(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	trend, err := d.c.Trend(ctx, v.app.Num, collector.DimVersion, 28, v.span, 7, v.view)
	if err != nil {
		return err
	}
	answer, err := d.c.Versions(ctx, v.app.Num, v.span, v.view)
	if err != nil {
		return err
	}
	floor, err := d.c.Floor(ctx, v.app.Num, v.closest(), v.view)
	if err != nil && !errors.Is(err, collector.ErrNoDay) {
		return err
	}
	issues, err := d.c.Issues(ctx, v.app.Num, v.span, v.view)
	if err != nil {
		return err
	}
	p.AsOf = answer.AsOf.UTC().Format("2006-01-02 15:04 UTC")
	if v.admin {
		for _, release := range answer.Releases {
			p.Release = append(p.Release, release.Version)
		}
	}
	p.Panels = []panel{
		trendPanel("share", "Versions of opted-in installations over time", trend), adoptionPanel(answer), floorPanel(floor),
		releasesPanel(answer), movesPanel(answer), newestPanel(answer, issues),
	}
	return nil
}

// trendPanel shows how a split changes.
func trendPanel(id, title string, t collector.Trend) panel {
	tab := table{Head: append([]string{"day", "active"}, t.Values...)}
	series := make([]chart.Series, len(t.Values))
	for i, name := range t.Values {
		series[i] = chart.Series{Name: name}
	}
	var days []string
	open := 0
	for _, point := range t.Points {
		row := []any{point.Day, point.Active}
		days = append(days, point.Day.String())
		if point.Open {
			open++
		}
		sum := 0.0
		for _, f := range point.Counts {
			if f != nil {
				sum += float64(*f)
			}
		}
		for i, f := range point.Counts {
			row = append(row, f)
			share := math.NaN()
			if sum > 0 && !point.Gap {
				share = 0
				if f != nil {
					share = float64(*f) / sum
				}
			}
			series[i].Values = append(series[i].Values, share)
		}
		tab.Rows = append(tab.Rows, row)
	}
	p := panel{
		ID: id, Title: title, Table: tab, Wide: true,
		Explain: fmt.Sprintf("Share of the installations active in the %d days to each day (UTC) that report it. The rest is added up as %q.", t.Window, collector.Other),
	}
	if len(series) == 0 || len(days) == 0 || len(t.Values) == 1 {
		p.Empty = "Nothing is reported in this range."
		return p
	}
	p.Chart = chart.Lines{Text: chart.Text{Title: title, Desc: "Bands of shares that add up to 100 %."}, Labels: days, Series: series, Open: open, Percent: true, Stacked: true}
	return p
}

func adoptionPanel(answer collector.Versions) panel {
	t := table{Head: []string{"version", "released", "days after", "on it or newer", "of", "share"}}
	longest := 0
	var shown []collector.Release
	for _, release := range answer.Releases {
		if len(release.Adoption) < 2 {
			continue
		}
		for _, point := range release.Adoption {
			t.Rows = append(t.Rows, []any{release.Version, release.Released, uint64(point.Days), point.Active, point.Of, point.Share})
			longest = max(longest, point.Days)
		}
		if len(shown) < 5 {
			shown = append(shown, release)
		}
	}
	p := panel{
		ID: "adoption", Title: "Adoption by days since release", Table: t,
		Explain: "Of the opted-in installations active on a day, the share that runs the release or a newer one. A release begins on the day that it was first seen, or that was set for it.",
	}
	if len(shown) == 0 {
		p.Empty = "No release has been followed for two days yet."
		return p
	}
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: "One line for each of the newest releases."}, Percent: true}
	for i := range longest + 1 {
		lines.Labels = append(lines.Labels, strconv.Itoa(i)+" d")
	}
	for _, release := range shown {
		s := chart.Series{Name: release.Version, Values: make([]float64, longest+1)}
		for i := range s.Values {
			s.Values[i] = math.NaN()
		}
		for _, point := range release.Adoption {
			if point.Active != nil && point.Of != nil {
				s.Values[point.Days] = point.Share
			}
		}
		lines.Series = append(lines.Series, s)
	}
	p.Chart = lines
	return p
}

func floorPanel(floor collector.Floor) panel {
	t := table{Head: []string{"oldest supported version", "kept", "share"}}
	var bars []chart.Bar
	for _, step := range floor.Steps {
		t.Rows = append(t.Rows, []any{step.Version, step.Kept, step.Share})
		if len(bars) < 12 {
			bars = append(bars, chart.Bar{Name: "≥ " + step.Version, Value: step.Share, Note: fmt.Sprintf("keeps %.1f %%", step.Share*100)})
		}
	}
	p := panel{
		ID: "floor", Title: "If at least this version were required", Table: t,
		Explain: "How many of the opted-in installations active in 28 days would stay. Those that report no version are left out.",
	}
	if len(bars) == 0 {
		p.Empty = "No version is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "Newest version first."}, Bars: bars, Most: 1}
	return p
}

func releasesPanel(answer collector.Versions) panel {
	t := table{Head: []string{"version", "kind", "released", "active in 28 days", "half of all after"}}
	for _, release := range answer.Releases {
		name := "release"
		if release.Pre {
			name = "pre-release"
		}
		half := "not yet"
		if release.HalfAfter != nil {
			half = strconv.Itoa(*release.HalfAfter) + " days"
		}
		released := any("–")
		if release.Released != 0 {
			released = release.Released
		}
		t.Rows = append(t.Rows, []any{release.Version, name, released, release.Active, half})
	}
	return panel{
		ID: "releases", Title: "Releases in use", Table: t, Open: true,
		Explain: "The last column is after how many days half of the active installations ran the release or a newer one.",
	}
}

func movesPanel(answer collector.Versions) panel {
	t := table{Head: []string{"from", "to", "changes", "kind"}}
	for _, move := range answer.Moves {
		t.Rows = append(t.Rows, []any{move.From, move.To, move.Count, map[bool]string{true: "upgrade", false: "downgrade"}[move.Up]})
	}
	return panel{
		ID: "moves", Title: "Upgrades and downgrades", Table: t, Open: true,
		Explain: fmt.Sprintf("%s upgrades and %s downgrades in the range; the most frequent ones are listed.", orDash(answer.Upgrades), orDash(answer.Downgrades)),
	}
}

// newestPanel compares the newest release's faults with its predecessor's.
func newestPanel(answer collector.Versions, issues collector.Issues) panel {
	p := panel{ID: "newest", Title: "Health of the newest release", Explain: "Affected for each 1,000 opted-in installations of the version, beside the release before it."}
	var newest, before string
	for _, release := range answer.Releases {
		if release.Pre {
			continue
		}
		if newest == "" {
			newest = release.Version
		} else if before == "" {
			before = release.Version
		}
	}
	p.Table.Head = []string{"fault", "severity", "per 1,000 on " + newest, "per 1,000 on " + before, "new"}
	for _, is := range issues.Issues {
		rate := map[string]float64{}
		for _, version := range is.Versions {
			rate[version.Version] = version.PerThousand
		}
		if rate[newest] == 0 && rate[before] == 0 {
			continue
		}
		p.Table.Rows = append(p.Table.Rows, []any{
			is.Component + ": " + is.Reason, is.Severity, fmt.Sprintf("%.1f", rate[newest]), fmt.Sprintf("%.1f", rate[before]),
			map[bool]string{true: "new in " + newest, false: ""}[is.NewIn == newest && newest != ""],
		})
	}
	if len(p.Table.Rows) == 0 {
		p.Empty = "No fault is reported by the two newest releases."
	}
	p.Open = true
	return p
}

// postRelease sets the day on which a version was released.
func (d *dashboard) postRelease(w http.ResponseWriter, r *http.Request) {
	v, ok := d.viewer(w, r, access.Admin)
	if !ok {
		return
	}
	day, err := collector.ParseDay(r.PostFormValue("day"))
	if err == nil {
		err = d.c.SetRelease(r.Context(), v.app.Num, r.PostFormValue("version"), day)
	}
	if err != nil {
		d.problem(w, r, http.StatusBadRequest, sentence(err.Error()))
		return
	}
	http.Redirect(w, r, "/a/"+v.app.Key+"/versions?saved=1", http.StatusSeeOther)
}
