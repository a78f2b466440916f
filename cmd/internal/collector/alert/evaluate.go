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

// An evaluator evaluates the rules of one app.
type evaluator struct {
	c       Collector
	app     collector.App
	started time.Time // of the watcher
}

// findings are what a rule found, as text, by a key that identifies the finding
// in later evaluations. Most rules have at most one finding, with an empty key.
type findings map[string]string

// evaluate evaluates one rule. The findings of the last evaluation need less to
// be found again. Known is false if the figures do not suffice to decide: then
// no finding begins and none is resolved.
func (e evaluator) evaluate(ctx context.Context, r Rule, before map[string]firing) (found findings, known bool, err error) {
	today, _, err := e.c.Today(e.app.Num)
	if err != nil {
		return nil, false, err
	}
	threshold := func(key string) float64 {
		if _, fires := before[key]; fires {
			return r.Percent * hysteresis
		}
		return r.Percent
	}
	switch r.Kind {
	case ActiveDrop:
		return e.activeDrop(ctx, r, today, threshold(""))
	case FaultRate:
		return e.faultRate(ctx, r, today, threshold)
	case Adoption:
		return e.adoption(ctx, r, today, threshold(""))
	case Silence:
		return e.silence(ctx, r, today, len(before) > 0)
	case NewBurst:
		return e.newBurst(ctx, r, today, threshold(""))
	}
	return nil, false, nil
}

// findIf returns one finding if the condition holds, and none otherwise.
func findIf(holds bool, text string, args ...any) (findings, bool, error) {
	if !holds {
		return nil, true, nil
	}
	return findings{"": fmt.Sprintf(text, args...)}, true, nil
}

// points returns the figures by day, without the days on which the collector
// did not run.
func (e evaluator) points(ctx context.Context, from, to collector.Day) (map[collector.Day]figures.SeriesPoint, time.Time, error) {
	series, err := e.c.Series(ctx, e.app.Num, collector.Range{From: from, To: to}, figures.View{})
	points := make(map[collector.Day]figures.SeriesPoint)
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

func (e evaluator) activeDrop(ctx context.Context, r Rule, today collector.Day, threshold float64) (findings, bool, error) {
	day := today - 1
	points, _, err := e.points(ctx, day-28, day)
	if err != nil {
		return nil, false, err
	}
	last, ok := points[day]
	sum, n := 0.0, 0
	for _, ago := range []collector.Day{7, 14, 21, 28} {
		if p, ok := points[day-ago]; ok {
			sum += number(p.Established.Day)
			n++
		}
	}
	mean := sum / float64(max(n, 1))
	if !ok || n == 0 || mean < float64(r.least()) {
		return nil, false, nil
	}
	now := number(last.Established.Day)
	drop := 100 * (1 - now/mean)
	return findIf(drop >= threshold,
		"active installations dropped by %.0f%%: %.0f on %s, compared with an average of %.0f on that weekday", drop, now, day, mean)
}

const (
	// faultWindow is the number of days over which faults are counted.
	faultWindow = 7
	// deviations is how many standard deviations chance does not explain.
	deviations = 3
)

// faultRate compares the newest release with the one before it. Each fault is a
// finding of its own.
func (e evaluator) faultRate(
	ctx context.Context, r Rule, today collector.Day, threshold func(key string) float64,
) (findings, bool, error) {
	versions, err := e.c.Breakdown(ctx, e.app.Num, collector.DimVersion, faultWindow, today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	var releases []figures.Value
	for _, v := range versions.Values { // newest first
		if v.Value != collector.Other && !report.IsDevelopment(v.Value) && number(v.Count) >= float64(r.least()) {
			releases = append(releases, v)
		}
	}
	if len(releases) < 2 {
		return nil, false, nil
	}
	newest, older := releases[0], releases[1]
	faults, err := e.c.Faults(ctx, e.app.Num, collector.Range{From: today - faultWindow + 1, To: today}, figures.View{})
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
		now, before := affected[newest.Value]/number(newest.Count), affected[older.Value]/number(older.Count)
		// By chance alone, the number deviates by about its square root from
		// what the older release makes expect. With hundreds of faults, checked
		// again and again, some always deviate by twice that.
		expected := before * number(newest.Count)
		if now >= before*(1+threshold(key)/100) && affected[newest.Value] > expected+deviations*math.Sqrt(max(1, expected)) {
			found[key] = fmt.Sprintf("%s: %s affects %.0f per 1,000 installations of %s, compared with %.0f of %s",
				fault.Component, fault.Reason, 1000*now, newest.Value, 1000*before, older.Value)
		}
	}
	return found, true, nil
}

func (e evaluator) adoption(ctx context.Context, r Rule, today collector.Day, threshold float64) (findings, bool, error) {
	floor, err := e.c.Floor(ctx, e.app.Num, today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	share := 0.0
	for _, step := range floor.Steps {
		if report.CompareVersions(step.Version, r.Version) >= 0 {
			share = max(share, step.Share)
		}
	}
	return findIf(100*share >= threshold, "%.0f%% of the active installations run %s or newer", 100*share, r.Version)
}

// silence measures the time since the last report, as far as the collector was
// running. Only a report resolves it.
func (e evaluator) silence(ctx context.Context, r Rule, today collector.Day, fires bool) (findings, bool, error) {
	// The figures of closed days are current as of midnight, which is no report.
	// Tomorrow is in the range so that it contains an open day even if today
	// ends in the meantime.
	points, asOf, err := e.points(ctx, today-1, today+1)
	if err != nil {
		return nil, false, err
	}
	threshold := time.Duration(r.Hours * float64(time.Hour))
	quiet := time.Since(asOf)
	if fires {
		return findIf(!asOf.After(e.started) || quiet >= threshold, "")
	}
	quiet = min(quiet, time.Since(e.started))
	expected := number(points[today-1].Active.Week) > 0 || number(points[today].Active.Week) > 0
	return findIf(expected && quiet >= threshold, "no report was counted for %.0f h", quiet.Hours())
}

// newBurst compares today with the burstDays days before, of which burstKnown
// must have figures.
const (
	burstDays  = 14
	burstKnown = 3
)

func (e evaluator) newBurst(ctx context.Context, r Rule, today collector.Day, threshold float64) (findings, bool, error) {
	points, _, err := e.points(ctx, today-burstDays, today)
	if err != nil {
		return nil, false, err
	}
	sum, n := 0.0, 0
	for day := today - burstDays; day < today; day++ {
		if p, ok := points[day]; ok {
			sum += number(p.New)
			n++
		}
	}
	now, ok := points[today]
	if !ok || n < burstKnown {
		return nil, false, nil
	}
	mean := sum / float64(n)
	return findIf(number(now.New) >= float64(r.least()) && number(now.New) >= mean*(1+threshold/100),
		"%.0f new installations today, compared with an average of %.1f on the days before", number(now.New), mean)
}
