package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
	"github.com/rollcall-dev/rollcall/report"
)

func (d *dashboard) versions(ctx context.Context, v view, p *pageData) error {
	trend, errTrend := d.c.Trend(ctx, v.app.Num, collector.DimVersion, 28, v.drawn(), trendTop, v.sees)
	if errors.Is(errTrend, engine.ErrNotSegmented) {
		errTrend = nil
	}
	answer, errVersions := d.c.Versions(ctx, v.app.Num, v.span, v.sees)
	floor, errFloor := d.c.Floor(ctx, v.app.Num, v.lastDay(), v.sees)
	if errors.Is(errFloor, collector.ErrNoDay) {
		errFloor = nil
	}
	// A month is enough to compare two releases, and quick to read in a large
	// fleet.
	month := collector.Range{From: max(v.span.From, v.span.To-27), To: v.span.To}
	var faults figures.Faults
	var errFaults error
	if !v.sees.Public {
		faults, errFaults = d.c.Faults(ctx, v.app.Num, month, v.sees)
	}
	if err := cmp.Or(errTrend, errVersions, errFloor, errFaults); err != nil {
		return err
	}
	p.asOf(answer.Meta)
	if v.admin {
		for _, release := range answer.Releases {
			p.Release = append(p.Release, release.Version)
		}
	}
	trend.Dimension = collector.DimVersion
	share, adoption, kept, releases := trendPanel("share", v.app.VersionOrder, trend), adoptionPanel(answer, v.since),
		floorPanel(v.app.VersionOrder, floor), releasesPanel(answer, v.since)
	share.linkSeries(v.versionPage, "#releases")
	adoption.linkSeries(v.versionPage, "")
	adoption.link(v.versionPage)
	releases.link(v.versionPage)
	kept.link(func(name string) string {
		return v.inSegment("features", "version<"+strings.TrimSuffix(name, " or newer")) // those who would be dropped
	})
	p.Panels = []panel{share, adoption, kept, releases}
	if v.sees.Public {
		return nil
	}
	moves, newest := movesPanel(v.app.VersionOrder, answer), newestPanel(answer, faults)
	moves.linkColumn(1, func(name string) string {
		_, to, _ := strings.Cut(name, " → ")
		if to = v.versionPage(cmp.Or(to, name)); to != "" {
			to += "#from" // where its installations came from
		}
		return to
	})
	newest.linkFaults(v, faults.Faults)
	if !v.sees.Segment.Empty() {
		for _, p := range []*panel{&share, &adoption, &moves} {
			p.Chart, p.Empty, p.Answer = nil, onlyTotals, ""
		}
		p.Panels = []panel{kept, releases, newest, share, adoption, moves}
		return nil
	}
	p.Panels = append(p.Panels, moves, newest)
	return nil
}

// The bounds of the adoption panel.
const (
	maxCurves       = 5
	maxAdoptionDays = 120
)

// older reports whether a release may have been out for long when the app was first
// counted, so that nobody knows how it was adopted.
func older(release figures.Release, since collector.Day) bool {
	return release.Released == 0 || !release.Stated && release.Released <= since
}

// adoptionPanel compares the newest releases, without pre-releases.
func adoptionPanel(answer figures.Versions, since collector.Day) panel {
	p := panel{
		ID: "adoption", Title: "Adoption", Meta: answer.Meta,
		Table: table.Table{Columns: []string{"version", "released", "days after", "on it or newer", "of", "share"}},
		Explain: "Share of each day's active installations that run the release or a newer one, by days since its release date, or since it was " +
			"first seen if no date is set. Versions that are older than the first report have no curve.",
	}
	var curves []chart.Series
	for _, release := range answer.Releases {
		if release.Pre || len(release.Adoption) < 2 || len(curves) == maxCurves || older(release, since) {
			continue
		}
		c := chart.Series{Name: release.Version}
		for _, point := range release.Adoption {
			if point.Days >= 0 && point.Days <= maxAdoptionDays {
				p.Table.Add(release.Version, release.Released, uint64(point.Days), point.Active, point.Of, shareOf(point.Active, point.Share))
				setShare(&c, point.Days, point.Active, point.Of, point.Share)
			}
		}
		if curves = append(curves, c); len(curves) == 1 {
			p.Answer = halfSentence(release)
		}
	}
	lines := linesOf(curves, " d")
	lines.Text, lines.Half = chart.Text{Title: p.Title, Desc: "One line for each of the newest releases, by days"}, true
	empty := "No release is two days old yet."
	if answer.Next != 0 {
		p.Explain = "Share of the installations active in 28 days that run the release or a newer one. Only releases with a release date are shown."
		empty = "No release with a release date has been public twice."
	}
	p.draw(lines, len(lines.Labels) > 0, empty)
	return p
}

// halfSentence says when half of all installations ran a release.
func halfSentence(release figures.Release) template.HTML {
	if release.HalfAfter == nil {
		return htmlf("%s has not reached half of the installations yet.", release.Version)
	}
	return htmlf("Half of the installations ran %s or newer after %s.", release.Version, inDays(*release.HalfAfter))
}

func inDays(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

func floorPanel(order report.VersionOrder, floor figures.Floor) panel {
	p := panel{
		ID: "floor", Title: "If you dropped older versions", Meta: floor.Meta,
		Table:   table.Table{Columns: []string{"oldest supported version", "kept", "share"}},
		Explain: htmlf("Installations on the version or a newer one, of the %s that report a version and were active in the 28 days to %s.", floor.Denominator, floor.To),
	}
	var bars []chart.Bar
	for _, step := range floor.Steps {
		p.Table.Add(step.Version, step.Kept, shareOf(step.Kept, step.Share))
		if step.Kept == nil || figures.IsPreRelease(order, step.Version) {
			continue
		}
		if step.Share >= 0.9 && p.Answer == "" {
			p.Answer = htmlf("Requiring %s would keep %s.", step.Version, step.Share)
		}
		bars = append(bars, chart.Bar{Name: step.Version + " or newer", Value: step.Share, Note: fmt.Sprintf("%.1f%%", step.Share*100)})
	}
	p.draw(chart.Bars{Text: chart.Text{Title: p.Title, Desc: "Newest version first"}, Bars: bars[:min(len(bars), 10)], Most: 1},
		len(bars) > 0, "No installation reports a version.")
	return p
}

func releasesPanel(answer figures.Versions, since collector.Day) panel {
	p := panel{
		ID: "releases", Title: "Releases", Open: true, Meta: answer.Meta,
		Explain: "Time to half: how long it took until half of the active installations ran the release or a newer one. A version is “first seen” " +
			"until its release is published or its date is set; of one that is older than the first report, nobody knows.",
		Table: table.Table{Columns: []string{"version", "kind", "date", "date is", "28-day active", "time to half"}},
	}
	for _, release := range answer.Releases {
		kind, date, what, half := "release", any("–"), "–", "–"
		if release.Pre {
			kind = "pre-release"
		}
		if release.Released != 0 {
			date, what = release.Released, "first seen"
		}
		if release.Stated {
			what = "released"
		}
		switch {
		case older(release, since):
		case release.HalfAfter != nil:
			half = inDays(*release.HalfAfter)
		case !release.Pre:
			half = "not yet"
		}
		p.Table.Add(release.Version, kind, date, what, release.Active, half)
	}
	p.draw(nil, len(p.Table.Rows) > 0, "No installation reports a version.")
	return p
}

func movesPanel(order report.VersionOrder, answer figures.Versions) panel {
	p := panel{
		ID: "moves", Title: "Upgrades and downgrades", Meta: answer.Meta,
		Table:   table.Table{Columns: []string{"from", "to", "changes", "kind"}},
		Answer:  htmlf("%s and %s.", some(answer.Upgrades, "upgrade"), some(answer.Downgrades, "downgrade")),
		Explain: htmlf("Version changes between two heartbeats, %s to %s. Only the most frequent are listed.", answer.From, answer.To),
	}
	var bars []chart.Bar
	for _, move := range answer.Moves {
		kind, mark := "neither", "" // such as another build of the same release
		switch c := order.Compare(move.From, move.To); {
		case c < 0:
			kind = "upgrade"
		case c > 0:
			kind, mark = "downgrade", "down"
		}
		p.Table.Add(move.From, move.To, move.Count, kind)
		bars = append(bars, chart.Bar{
			Name: move.From + " → " + move.To, Value: value(move.Count), Note: groupedOr(move.Count), Mark: mark, Quiet: kind != "upgrade",
		})
	}
	p.drawBars(bars, 10, "Most frequent first", "No installation changed its version in this range.")
	return p
}

// newestPanel compares the faults of the newest release with those of the one
// before it.
func newestPanel(answer figures.Versions, faults figures.Faults) panel {
	var releases []string
	for _, release := range answer.Releases {
		if !release.Pre && !release.Doubtful {
			releases = append(releases, release.Version)
		}
	}
	releases = append(releases, "", "")
	newest, before := releases[0], releases[1]
	p := panel{
		ID: "newest", Title: "Health of the newest release", Meta: faults.Meta,
		Explain: htmlf("Affected installations per 1,000 of the version, %s to %s: of the newest release, and below it of the release before it.", faults.From, faults.To),
		Table:   table.Table{Columns: []string{"fault", "severity", "per 1,000 in " + newest, "per 1,000 in " + before, "new"}},
	}
	var bars []chart.Bar
	worse := 0
	for _, f := range faults.Faults {
		var now, then float64
		for _, version := range f.Versions {
			switch version.Version {
			case newest:
				now = version.PerThousand
			case before:
				then = version.PerThousand
			}
		}
		if now == 0 && then == 0 {
			continue
		}
		fresh, mark := "", ""
		if f.NewIn == newest && newest != "" {
			fresh, mark = "new in "+newest, "new"
		}
		if now > then {
			worse++
		}
		p.Table.Add(faultName(f), f.Severity, fmt.Sprintf("%.1f", now), fmt.Sprintf("%.1f", then), fresh)
		bars = append(bars, chart.Bar{
			Name: faultName(f), Value: now, Mark: mark, Note: fmt.Sprintf("%.1f in %s", now, newest),
			Before: then, BeforeNote: fmt.Sprintf("%.1f in %s", then, before),
		})
	}
	if len(bars) > 0 {
		p.Answer = htmlf("%s: %s of %s faults are more frequent than in %s.", newest, worse, len(bars), before)
	}
	slices.SortStableFunc(bars, func(a, b chart.Bar) int { return cmp.Compare(b.Value, a.Value) })
	p.drawBars(bars, 10, "Affected per 1,000", "The two newest releases report no faults.")
	return p
}

func (d *dashboard) setRelease(r *http.Request, v viewer) error {
	day, err := collector.ParseDay(r.PostFormValue("day"))
	if err != nil {
		return err
	}
	return d.c.SetRelease(r.Context(), v.app.Num, r.PostFormValue("version"), day)
}
