package dashboard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// version is the page of one version.
func (d *dashboard) version(ctx context.Context, v view, p *pageData) error {
	answer, err := d.c.Version(ctx, v.app.Num, v.values.Get("version"), v.drawn(), v.sees)
	if err != nil {
		return err
	}
	p.asOf(answer.Meta)
	p.Title = visible(answer.Version)
	p.Tiles = versionTiles(answer, v)
	if p.Tiles[1].URL, err = d.newerThan(ctx, v, answer.Version); err != nil {
		return err
	}
	kept, faults := keptPanel(answer), versionFaultsPanel(answer)
	for i, f := range answer.Faults {
		if bars, ok := faults.Chart.(chart.Bars); ok && i < len(bars.Bars) {
			bars.Bars[i].URL = v.faultPage(f.ID)
		}
		faults.Table.Rows[i][0] = linked{f.Component + ": " + f.Reason, v.faultPage(f.ID)}
	}
	from, to := versionMovesPanel("from", "Where its installations came from", answer.CameFrom, answer), versionMovesPanel("to", "Where they went", answer.WentTo, answer)
	for _, moves := range []*panel{&from, &to} {
		moves.link(v.versionPage)
	}
	var then []figures.VersionDay
	if v.sees.Segment.Empty() {
		p.Compare = v.comparisons()
		if v.ghost != nil {
			if then, err = d.c.VersionDays(ctx, v.app.Num, answer.Version, v.ghost.days); err != nil {
				return err
			}
		}
	}
	kept.linkSeries(v.versionPage, "")
	running, adoption := runningPanel(v, answer, then), versionAdoptionPanel(answer)
	running.linkSeries(func(string) string { return p.Tiles[0].URL }, "")
	adoption.linkSeries(func(string) string { return v.inSegment("overview", "version>="+answer.Version) }, "")
	p.Panels = []panel{running, adoption, kept, faults, from, to}
	return nil
}

// newerThan returns the address of the installations that run a newer version;
// empty if nobody does.
func (d *dashboard) newerThan(ctx context.Context, v view, version string) (string, error) {
	floor, err := d.c.Floor(ctx, v.app.Num, v.lastDay(), v.sees)
	if errors.Is(err, collector.ErrNoDay) {
		return "", nil
	}
	for _, step := range slices.Backward(floor.Steps) {
		if v.app.VersionOrder.Compare(step.Version, version) > 0 {
			return v.inSegment("overview", "version>="+step.Version), err
		}
	}
	return "", err
}

func versionTiles(answer figures.VersionDetail, v view) []tile {
	own, _ := v.sees.Segment.And(collector.DimVersion, answer.Version)
	began, _ := v.sees.Segment.And(collector.DimFirstVersion, answer.Version)
	day := upToText(28, min(answer.To, v.today))
	tiles := []tile{
		{Name: "Run it", Value: figure(answer.Active, 0), Explain: "28-day active installations that run it: " + day, URL: v.to("overview", own)},
		{Name: "Run a newer one", Value: figure(answer.Newer, 0), Explain: "28-day active installations that run a newer version: " + day},
		{Name: "Silent", Value: figure(answer.Silent, 0), URL: v.to("overview", own, "show", "lost"), Explain: "Installations that ran it last, and were not seen for 28 days"},
		{Name: "Began with it", Value: figure(answer.Began, 0), Explain: "Installations first seen in this range, on this version", URL: v.to("retention", began)},
	}
	first := tile{Name: "First seen", Value: figure(answer.FirstSeen, 0), URL: v.daysFrom(answer.FirstSeen), Explain: "The day of the first report of it"}
	if answer.Released != 0 {
		first = tile{Name: "Released", Value: figure(answer.Released, 0), URL: v.daysFrom(answer.Released), Explain: "Its release date"}
	}
	tiles = append(tiles, first)
	if answer.Before != "" {
		tiles = append(tiles, tile{Name: "Version before", Value: figure(answer.Before, 0), URL: v.versionPage(answer.Before),
			Explain: "The newest older version that is as well supported, which it is compared with"})
	}
	return tiles
}

func runningPanel(v view, answer figures.VersionDetail, then []figures.VersionDay) panel {
	p := panel{
		ID: "running", Title: "Installations that run it", Wide: true, Meta: answer.Meta,
		Explain: "28-day active installations that ran exactly this version at the end of each day.",
	}
	rowOf := func(d figures.VersionDay) dayRow {
		return dayRow{d.Day, d.Open, d.Gap, []figures.Count{d.Running, d.Of}}
	}
	lines := addDays(&p, answer.Days, rowOf, "Day by day since it was first seen", "running it", "report a version")
	addBefore(&p, &lines, v.ghost, then, rowOf)
	lines.Series = lines.Series[:1]
	empty := noDays
	if answer.Segment != "" {
		empty = onlyTotals
	}
	p.draw(lines, len(answer.Days) > 0, empty)
	return p
}

func versionAdoptionPanel(answer figures.VersionDetail) panel {
	p := panel{
		ID: "adoption", Title: "Adoption", Meta: answer.Meta,
		Explain: "Share of each day's active installations that run it or a newer version, by days since its release, or since it was first seen.",
		Table:   table.Table{Columns: []string{"days after", "on it or newer", "of", "share"}}, OldestFirst: true,
	}
	curve := chart.Series{Name: answer.Version}
	for _, point := range answer.Adoption {
		p.Table.Add(uint64(point.Days), point.Active, point.Of, shareOf(point.Active, point.Share))
		setShare(&curve, point.Days, point.Active, point.Of, point.Share)
	}
	if len(answer.Adoption) > 0 {
		p.Answer = halfSentence(figures.Release{Version: answer.Version, HalfAfter: answer.HalfAfter})
	}
	lines := linesOf([]chart.Series{curve}, " d")
	lines.Text, lines.Half = chart.Text{Title: p.Title, Desc: "One line"}, true
	empty := "Nobody knows how it was adopted."
	if answer.Segment != "" {
		empty = onlyTotals
	}
	p.draw(lines, len(lines.Labels) > 0, empty)
	return p
}

// comparableWeek is the week of age that a sentence about retention uses.
const comparableWeek = 4

func keptPanel(answer figures.VersionDetail) panel {
	p := panel{
		ID: "kept", Title: "Still active, by weeks since they began with it", Meta: answer.Meta, OldestFirst: true,
		Explain: htmlf("Of the installations first seen on %s and on %s, how many were active so many weeks later. p is the probability of such a "+
			"difference if there were none (two-proportion z test, or Fisher's exact test for small numbers); below 0.05 it counts as significant.", answer.Version, answer.Before),
		Table: table.Table{Columns: []string{"weeks after", answer.Version, "of", "before: " + answer.Before, "of them", "p"}},
	}
	var curves []chart.Series
	for _, version := range answer.Survival {
		c := chart.Series{Name: version.Version}
		for week, cell := range version.Cells {
			setShare(&c, week, cell.Active, cell.Of, cell.Share)
		}
		curves = append(curves, c)
	}
	for week, k := range answer.Kept {
		p.Table.Add(uint64(week), k.A, k.OfA, k.B, k.OfB, pText(k.P))
	}
	if n := len(answer.Kept); n > 1 {
		week := min(comparableWeek, n-1)
		p.Answer = lostSentence(answer, week)
	}
	lines := linesOf(curves, " w")
	lines.Text = chart.Text{Title: p.Title, Desc: "One line for each of the two versions"}
	p.draw(lines, len(lines.Labels) > 0, "No installation began with it in a week that is over.")
	return p
}

// pText writes a probability.
func pText(p float64) string {
	if p < .001 {
		return "< 0.001"
	}
	return strconv.FormatFloat(p, 'f', 3, 64)
}

func versionFaultsPanel(answer figures.VersionDetail) panel {
	p := panel{
		ID: "faults", Title: "Faults beside the version before", Wide: true, Meta: answer.Meta,
		Explain: htmlf("Affected installations per 1,000 that run the version now, since %s was first seen. p is the probability of such a difference if there were "+
			"none, corrected for the number of faults (Holm); below 0.05 it counts as significant. Most significant first.", answer.Version),
		Table: table.Table{Columns: []string{"fault", "severity", answer.Version, "of", "before: " + answer.Before, "of them", "p"}},
	}
	var bars []chart.Bar
	worse, better := 0, 0
	for _, f := range answer.Faults {
		now, then := perThousand(f.A, f.OfA), perThousand(f.B, f.OfB)
		p.Table.Add(f.Component+": "+f.Reason, f.Severity, f.A, f.OfA, f.B, f.OfB, pText(f.P))
		bar := chart.Bar{
			Name: f.Component + ": " + f.Reason, Value: now, Note: fmt.Sprintf("%.1f · p %s", now, pText(f.P)),
			Before: then, BeforeNote: fmt.Sprintf("%.1f in %s", then, answer.Before),
		}
		if answer.Before == "" {
			bar.BeforeNote, bar.Note = "", fmt.Sprintf("%.1f", now)
		}
		if f.Significant {
			if bar.Mark = "more"; now > then {
				worse++
			} else {
				bar.Mark = "less"
				better++
			}
		}
		bars = append(bars, bar)
	}
	if answer.Before != "" && len(bars) > 0 {
		p.Answer = htmlf("Significantly more frequent than in %s: %s of %s; less frequent: %s.", answer.Before, worse, some(len(bars), "fault"), better)
	}
	p.drawBars(bars, 15, "Affected per 1,000", "Neither version reports faults in this range.")
	return p
}

func perThousand(n, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return 1000 * float64(n) / float64(of)
}

func versionMovesPanel(id, title string, moves []figures.Move, answer figures.VersionDetail) panel {
	p := panel{
		ID: id, Title: title, Meta: answer.Meta, Table: table.Table{Columns: []string{"version", "changes"}},
		Explain: htmlf("Version changes between two heartbeats, %s to %s.", answer.From, answer.To),
	}
	var bars []chart.Bar
	for _, move := range moves {
		other := move.From
		if other == answer.Version {
			other = move.To
		}
		p.Table.Add(other, move.Count)
		bars = append(bars, chart.Bar{Name: other, Value: value(move.Count), Note: groupedOr(move.Count)})
	}
	empty := "No changes in this range."
	if answer.Segment != "" {
		empty = onlyTotals
	}
	p.drawBars(bars, 10, "Most frequent first", empty)
	return p
}
