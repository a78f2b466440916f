package alert

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// hysteresis is the share of its threshold below which a figure must fall to
// resolve an alert, so that a figure near the threshold does not flicker.
const hysteresis = 0.9

type evaluator struct {
	c       Collector
	app     collector.App
	started time.Time // of the watcher

	Rule   // what it evaluates now
	today  collector.Day
	before map[string]firing // what the rule found the last time
}

// findings are what a rule found, as text, by a key that identifies the finding
// in later evaluations. Most rules have at most one finding, with an empty key.
type findings map[string]string

// evaluate evaluates one rule. The findings of the last evaluation need less to
// be found again. Known is false if the figures do not suffice to decide: then
// no finding begins and none is resolved.
func (e evaluator) evaluate(ctx context.Context, r Rule, before map[string]firing) (found findings, known bool, err error) {
	kind, ok := kinds[r.Kind]
	if !ok {
		return nil, false, nil
	}
	e.Rule, e.before = r, before
	if e.today, _, err = e.c.Today(e.app.Num); err != nil {
		return nil, false, err
	}
	return kind.evaluate(e, ctx)
}

// threshold returns the lowest percentage that counts as a finding.
func (e evaluator) threshold(key string) float64 {
	if _, fires := e.before[key]; fires {
		return e.Percent * hysteresis
	}
	return e.Percent
}

// findIf returns one finding if the condition holds, and none otherwise.
func findIf(holds bool, text string, args ...any) (findings, bool, error) {
	if !holds {
		return nil, true, nil
	}
	return findings{"": fmt.Sprintf(text, args...)}, true, nil
}

// byDay are figures by day, without the days on which the collector did not run.
type byDay map[collector.Day]figures.SeriesPoint

func (e evaluator) points(ctx context.Context, from, to collector.Day) (byDay, time.Time, error) {
	series, err := e.c.Series(ctx, e.app.Num, collector.Range{From: from, To: to}, figures.View{})
	points := make(byDay)
	for _, p := range series.Points {
		if !p.Gap {
			points[p.Day] = p
		}
	}
	return points, series.AsOf, err
}

func number(f figures.Count) float64 {
	if f == nil {
		return 0
	}
	return float64(*f)
}

// mean returns the average of a figure on n days before a day, step days apart,
// and how many of them have it.
func mean(points byDay, day, n, step collector.Day, of func(figures.SeriesPoint) figures.Count) (mean float64, known int) {
	for i := range n {
		if p, ok := points[day-(i+1)*step]; ok {
			mean += number(of(p))
			known++
		}
	}
	return mean / float64(max(known, 1)), known
}

func (e evaluator) activeDrop(ctx context.Context) (findings, bool, error) {
	day := e.today - 1
	points, _, err := e.points(ctx, day-28, day)
	if err != nil {
		return nil, false, err
	}
	last, ok := points[day]
	mean, n := mean(points, day, 4, 7, func(p figures.SeriesPoint) figures.Count { return p.Established.Day })
	if !ok || n == 0 || mean < float64(e.least()) {
		return nil, false, nil
	}
	now := number(last.Established.Day)
	drop := 100 * (1 - now/mean)
	return findIf(drop >= e.threshold(""),
		"active installations dropped by %.0f%%: %.0f on %s, compared with an average of %.0f on that weekday", drop, now, day, mean)
}

const (
	faultWindow = 7
	// deviations is how many standard deviations chance does not explain.
	deviations = 3
)

// faultRate compares the newest release with the one before it. Each fault is a
// finding of its own.
func (e evaluator) faultRate(ctx context.Context) (findings, bool, error) {
	versions, err := e.c.Breakdown(ctx, e.app.Num, collector.DimVersion, faultWindow, e.today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	supported, err := e.supported(ctx)
	if err != nil {
		return nil, false, err
	}
	var releases []figures.Value
	for _, v := range versions.Values { // newest first
		if supported[v.Value] && !report.IsDevelopment(v.Value) && number(v.Count) >= float64(e.least()) {
			releases = append(releases, v)
		}
	}
	if len(releases) < 2 {
		return nil, false, nil
	}
	newest, older := releases[0], releases[1]
	faults, err := e.c.Faults(ctx, e.app.Num, collector.Range{From: e.today - faultWindow + 1, To: e.today}, figures.View{})
	if err != nil {
		return nil, false, err
	}
	found := findings{}
	for _, fault := range faults.Faults {
		if fault.Status == collector.FaultIgnored {
			continue
		}
		affected := make(map[string]float64)
		for _, v := range fault.Versions {
			affected[v.Version] = number(v.Affected)
		}
		key := fault.ID + " " + newest.Value
		now, then := affected[newest.Value]/number(newest.Count), affected[older.Value]/number(older.Count)
		// By chance alone, the number deviates by about its square root from
		// what the older release makes expect. With hundreds of faults, checked
		// again and again, some always deviate by twice that.
		expected := then * number(newest.Count)
		if now >= then*(1+e.threshold(key)/100) && affected[newest.Value] > expected+deviations*math.Sqrt(max(1, expected)) {
			found[key] = fmt.Sprintf("%s: %s affects %.0f per 1,000 installations of %s, compared with %.0f of %s",
				fault.Component, fault.Reason, 1000*now, newest.Value, 1000*then, older.Value)
		}
	}
	return found, true, nil
}

// supported returns the releases that nobody can have invented.
func (e evaluator) supported(ctx context.Context) (map[string]bool, error) {
	versions, err := e.c.Versions(ctx, e.app.Num, collector.Range{From: e.today, To: e.today}, figures.View{})
	supported := make(map[string]bool)
	for _, release := range versions.Releases {
		supported[release.Version] = !release.Doubtful
	}
	return supported, err
}

func (e evaluator) adoption(ctx context.Context) (findings, bool, error) {
	floor, err := e.c.Floor(ctx, e.app.Num, e.today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	share := 0.0
	for _, step := range floor.Steps {
		if e.app.VersionOrder.Compare(step.Version, e.Version) >= 0 {
			share = max(share, step.Share)
		}
	}
	return findIf(100*share >= e.threshold(""), "%.0f%% of the active installations run %s or newer", 100*share, e.Version)
}

// silence measures the time since the last report, as far as the collector was
// running. Only a report resolves it.
func (e evaluator) silence(ctx context.Context) (findings, bool, error) {
	// The figures of closed days are current as of midnight, which is no report.
	// Tomorrow is in the range so that it contains an open day even if today
	// ends in the meantime.
	points, asOf, err := e.points(ctx, e.today-1, e.today+1)
	if err != nil {
		return nil, false, err
	}
	threshold := time.Duration(e.Hours * float64(time.Hour))
	quiet := time.Since(asOf)
	if len(e.before) > 0 {
		return findIf(!asOf.After(e.started) || quiet >= threshold, "")
	}
	quiet = min(quiet, time.Since(e.started))
	expected := number(points[e.today-1].Active.Week) > 0 || number(points[e.today].Active.Week) > 0
	return findIf(expected && quiet >= threshold, "no report was counted for %.0f h", quiet.Hours())
}

// newBurst compares today with the burstDays days before. At least burstKnown
// of them must have figures.
const (
	burstDays  = 14
	burstKnown = 3
)

func (e evaluator) newBurst(ctx context.Context) (findings, bool, error) {
	points, _, err := e.points(ctx, e.today-burstDays, e.today)
	if err != nil {
		return nil, false, err
	}
	mean, n := mean(points, e.today, burstDays, 1, func(p figures.SeriesPoint) figures.Count { return p.New })
	now, ok := points[e.today]
	if !ok || n < burstKnown {
		return nil, false, nil
	}
	return findIf(number(now.New) >= float64(e.least()) && number(now.New) >= mean*(1+e.threshold("")/100),
		"%.0f new installations today, compared with an average of %.1f on the days before", number(now.New), mean)
}
