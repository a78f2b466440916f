package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// versions says how releases are taken up.
func (d *dashboard) versions(r *http.Request, v view, p *pageData) error {
	ctx, cancel := withTimeout(r)
	defer cancel()
	trend, err := d.c.Trend(ctx, v.app.Num, collector.DimVersion, 28, v.span, trendTop, v.view)
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
	// A month of them is enough to compare two releases, and quick to read in a large fleet.
	faults, err := d.c.Faults(ctx, v.app.Num, collector.Range{From: max(v.span.From, v.span.To-27), To: v.span.To}, v.view)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	v.sayShorter(p, "Upgrades and downgrades", answer.Range)
	if v.admin {
		for _, release := range answer.Releases {
			p.Release = append(p.Release, release.Version)
		}
	}
	p.Panels = []panel{
		trendPanel("share", "Versions of opted-in installations over time", trend), adoptionPanel(answer), floorPanel(floor),
		releasesPanel(answer), movesPanel(answer), newestPanel(answer, faults),
	}
	return nil
}

// The bounds of the adoption panel.
const (
	maxCurves       = 5
	maxAdoptionDays = 120
)

// adoptionPanel compares the newest releases; pre-releases are left out.
func adoptionPanel(answer figures.Versions) panel {
	p := panel{
		ID: "adoption", Title: "Adoption of opted-in installations by days since release", Meta: answer.Meta,
		Table: table{Head: []string{"version", "released", "days after", "on it or newer", "of", "share"}},
		Explain: "Of the installations active on a day (UTC), the share that runs the release or a newer one. A release begins on the day that it was " +
			"first seen, or that the maintainer set.",
	}
	lines := chart.Lines{Text: chart.Text{Title: p.Title, Desc: "One line for each of the newest releases"}, Percent: true, Half: true}
	longest := 0
	for _, release := range answer.Releases {
		if release.Pre || len(release.Adoption) < 2 || len(lines.Series) == maxCurves {
			continue
		}
		s := chart.Series{Name: release.Version}
		for _, point := range release.Adoption {
			if point.Days < 0 || point.Days > maxAdoptionDays {
				continue
			}
			p.Table.Rows = append(p.Table.Rows, []any{release.Version, release.Released, uint64(point.Days), point.Active, point.Of, share(point.Active, point.Share)})
			for len(s.Values) <= point.Days {
				s.Values = append(s.Values, math.NaN())
			}
			if point.Active != nil && point.Of != nil {
				s.Values[point.Days] = point.Share
			}
		}
		longest = max(longest, len(s.Values))
		lines.Series = append(lines.Series, s)
		if len(lines.Series) == 1 {
			p.Answer = halfOf(release)
		}
	}
	if longest == 0 {
		p.Empty = "No release has been followed for two days yet."
		return p
	}
	for i := range lines.Series {
		for len(lines.Series[i].Values) < longest {
			lines.Series[i].Values = append(lines.Series[i].Values, math.NaN())
		}
	}
	for i := range longest {
		lines.Labels = append(lines.Labels, strconv.Itoa(i)+" d")
	}
	p.Chart = lines
	return p
}

// halfOf says in words when half of all ran a release.
func halfOf(release figures.Release) template.HTML {
	if release.HalfAfter == nil {
		return say("%s is not on half of the installations yet.", release.Version)
	}
	return say("Half of the installations ran %s or newer after %s.", release.Version, inDays(*release.HalfAfter))
}

func inDays(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

// share gives a share as a cell; that of a hidden figure is hidden.
func share(of figures.Count, share float64) float64 {
	if of == nil {
		return math.NaN()
	}
	return share
}

func floorPanel(floor figures.Floor) panel {
	p := panel{
		ID: "floor", Title: "If at least this version were required", Meta: floor.Meta,
		Table:   table{Head: []string{"oldest supported version", "kept", "share"}},
		Explain: say("How many of the opted-in installations active in the 28 days to %s would stay, of %s that report a version.", floor.To, floor.Denominator),
	}
	var bars []chart.Bar
	for _, step := range floor.Steps {
		p.Table.Rows = append(p.Table.Rows, []any{step.Version, step.Kept, share(step.Kept, step.Share)})
		if step.Kept == nil || isPre(step.Version) {
			continue
		}
		if step.Share >= 0.9 && p.Answer == "" {
			p.Answer = say("Requiring %s keeps %s.", step.Version, step.Share)
		}
		if len(bars) < 10 {
			bars = append(bars, chart.Bar{Name: "at least " + step.Version, Value: step.Share, Note: fmt.Sprintf("keeps %.1f %%", step.Share*100)})
		}
	}
	if len(bars) == 0 {
		p.Empty = "No version is reported."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "Newest version first"}, Bars: bars, Most: 1}
	return p
}

func releasesPanel(answer figures.Versions) panel {
	t := table{Head: []string{"version", "kind", "released", "active in 28 days", "half of all after"}}
	for _, release := range answer.Releases {
		name := "release"
		if release.Pre {
			name = "pre-release"
		}
		half, released := "not yet", any("–")
		if release.HalfAfter != nil {
			half = inDays(*release.HalfAfter)
		}
		if release.Released != 0 {
			released = release.Released
		}
		t.Rows = append(t.Rows, []any{release.Version, name, released, release.Active, half})
	}
	p := panel{
		ID: "releases", Title: "Releases that opted-in installations run", Table: t, Open: true, Meta: answer.Meta,
		Explain: "The last column is after how many days half of the active installations ran the release or a newer one.",
	}
	if len(t.Rows) == 0 {
		p.Empty = "No version is reported."
	}
	return p
}

func movesPanel(answer figures.Versions) panel {
	p := panel{
		ID: "moves", Title: "Upgrades and downgrades of opted-in installations", Meta: answer.Meta,
		Table:   table{Head: []string{"from", "to", "changes", "kind"}},
		Answer:  say("%s upgrades and %s downgrades.", answer.Upgrades, answer.Downgrades),
		Explain: say("Changes of version between two heartbeats from %s to %s (UTC). The most frequent ones are listed.", answer.From, answer.To),
	}
	var bars []chart.Bar
	for _, move := range answer.Moves {
		kind, mark := "downgrade", "down"
		if move.Up {
			kind, mark = "upgrade", ""
		}
		p.Table.Rows = append(p.Table.Rows, []any{move.From, move.To, move.Count, kind})
		if len(bars) < 10 {
			bars = append(bars, chart.Bar{
				Name: move.From + " → " + move.To, Value: value(move.Count), Note: groupedOr(move.Count), Mark: mark, Quiet: !move.Up,
			})
		}
	}
	if len(bars) == 0 {
		p.Empty = "No installation has changed its version in the range."
		return p
	}
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "The most frequent ones"}, Bars: bars}
	return p
}

// newestPanel compares the newest release's faults with its predecessor's.
func newestPanel(answer figures.Versions, faults figures.Faults) panel {
	p := panel{
		ID: "newest", Title: "Health of the newest release", Meta: faults.Meta,
		Explain: say("Affected from %s to %s (UTC) for each 1,000 opted-in installations of the version, beside the release before it.", faults.From, faults.To),
	}
	var newest, before string
	for _, release := range answer.Releases {
		switch {
		case release.Pre:
		case newest == "":
			newest = release.Version
		case before == "":
			before = release.Version
		}
	}
	p.Table.Head = []string{"fault", "severity", "per 1,000 on " + newest, "per 1,000 on " + before, "new"}
	var bars []chart.Bar
	worse := 0
	for _, is := range faults.Faults {
		rate := map[string]float64{}
		for _, version := range is.Versions {
			rate[version.Version] = version.PerThousand
		}
		now, then := rate[newest], rate[before]
		if now == 0 && then == 0 {
			continue
		}
		fresh, mark := "", ""
		if is.NewIn == newest && newest != "" {
			fresh, mark = "new in "+newest, "new"
		}
		if now > then {
			worse++
		}
		name := is.Component + ": " + is.Reason
		p.Table.Rows = append(p.Table.Rows, []any{name, is.Severity, fmt.Sprintf("%.1f", now), fmt.Sprintf("%.1f", then), fresh})
		bars = append(bars, chart.Bar{Name: name, Value: now, Mark: mark, Note: fmt.Sprintf("%.1f, was %.1f", now, then)})
	}
	if len(bars) == 0 {
		p.Empty = "No fault is reported by the two newest releases."
		return p
	}
	slices.SortStableFunc(bars, func(a, b chart.Bar) int { return cmp.Compare(b.Value, a.Value) })
	p.Answer = say("%s: %s of %s faults are more frequent than on %s.", newest, worse, len(bars), before)
	p.Chart = chart.Bars{Text: chart.Text{Title: p.Title, Desc: "Affected for each 1,000"}, Bars: bars[:min(len(bars), 10)]}
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
