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

// slack is how much of its mark a figure has to keep for a rule that fires to go on, so that one at its mark does not flicker.
const slack = 0.9

// A judge looks at the rules of one app.
type judge struct {
	c       Collector
	app     collector.App
	started time.Time // of the watcher
}

// findings are what a rule finds, in words, by a key that stays the same while it is the same thing. Most rules find one
// thing, with the empty key, or nothing.
type findings map[string]string

// judge looks at one rule, which finds what it found before as long as that is not over. Known is false when it cannot be
// told: then nothing begins, and nothing is over.
func (j judge) judge(ctx context.Context, r Rule, before map[string]firing) (found findings, known bool, err error) {
	today, _, err := j.c.Today(j.app.Num)
	if err != nil {
		return nil, false, err
	}
	mark := func(key string) float64 {
		if _, fires := before[key]; fires {
			return r.Percent * slack
		}
		return r.Percent
	}
	switch r.Kind {
	case ActiveDrop:
		return j.activeDrop(ctx, r, today, mark(""))
	case FaultRate:
		return j.faultRate(ctx, r, today, mark)
	case Adoption:
		return j.adoption(ctx, r, today, mark(""))
	case Silence:
		return j.silence(ctx, r, today, len(before) > 0)
	case NewBurst:
		return j.newBurst(ctx, r, today, mark(""))
	}
	return nil, false, nil
}

// when finds a text if the condition holds, and nothing otherwise.
func when(holds bool, text string, args ...any) (findings, bool, error) {
	if !holds {
		return nil, true, nil
	}
	return findings{"": fmt.Sprintf(text, args...)}, true, nil
}

// points gives the figures by day, without the days on which the collector did not run.
func (j judge) points(ctx context.Context, from, to collector.Day) (map[collector.Day]figures.SeriesPoint, time.Time, error) {
	series, err := j.c.Series(ctx, j.app.Num, collector.Range{From: from, To: to}, figures.View{})
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

func (j judge) activeDrop(ctx context.Context, r Rule, today collector.Day, mark float64) (findings, bool, error) {
	day := today - 1
	points, _, err := j.points(ctx, day-28, day)
	if err != nil {
		return nil, false, err
	}
	last, ok := points[day]
	sum, n := 0.0, 0
	for _, before := range []collector.Day{7, 14, 21, 28} {
		if p, ok := points[day-before]; ok {
			sum += number(p.Established.Day)
			n++
		}
	}
	if !ok || n == 0 || sum/float64(n) < float64(r.least()) {
		return nil, false, nil
	}
	now, mean := number(last.Established.Day), sum/float64(n)
	drop := 100 * (1 - now/mean)
	return when(drop >= mark, "active installations dropped by %.0f %%: %.0f on %s, and %.0f on that weekday before", drop, now, day, mean)
}

// faultWindow is the days over which faults are looked at.
const faultWindow = 7

// faultRate compares the newest release with the one before it. Each fault is a finding of its own.
func (j judge) faultRate(
	ctx context.Context, r Rule, today collector.Day, mark func(string) float64,
) (findings, bool, error) {
	split, err := j.c.Breakdown(ctx, j.app.Num, collector.DimVersion, faultWindow, today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	var releases []figures.Value
	for _, v := range split.Values { // the newest first
		if v.Value != collector.Other && !report.IsDevelopment(v.Value) && number(v.Count) >= float64(r.least()) {
			releases = append(releases, v)
		}
	}
	if len(releases) < 2 {
		return nil, false, nil
	}
	newest, older := releases[0], releases[1]
	answer, err := j.c.Faults(ctx, j.app.Num, collector.Range{From: today - faultWindow + 1, To: today}, figures.View{})
	if err != nil {
		return nil, false, err
	}
	found := findings{}
	for _, is := range answer.Faults {
		if is.Status == collector.FaultIgnored {
			continue
		}
		affected := make(map[string]float64)
		for _, v := range is.Versions {
			affected[v.Version] = number(v.Affected)
		}
		key := is.ID + " " + newest.Value
		now, before := affected[newest.Value]/number(newest.Count), affected[older.Value]/number(older.Count)
		// By chance alone the number scatters around what the older release lets expect by about its square root. Of
		// hundreds of faults, looked at again and again, some are always two of these away.
		expected := before * number(newest.Count)
		if now >= before*(1+mark(key)/100) && affected[newest.Value] > expected+deviations*math.Sqrt(max(1, expected)) {
			found[key] = fmt.Sprintf("%s: %s affects %.0f of 1,000 installations of %s, and %.0f of %s",
				is.Component, is.Reason, 1000*now, newest.Value, 1000*before, older.Value)
		}
	}
	return found, true, nil
}

// deviations is how many standard deviations are no chance.
const deviations = 3

func (j judge) adoption(ctx context.Context, r Rule, today collector.Day, mark float64) (findings, bool, error) {
	floor, err := j.c.Floor(ctx, j.app.Num, today, figures.View{})
	if err != nil {
		return nil, false, err
	}
	share := 0.0
	for _, step := range floor.Steps {
		if report.CompareVersions(step.Version, r.Version) >= 0 {
			share = max(share, step.Share)
		}
	}
	return when(100*share >= mark, "%.0f %% of the active installations run %s or a newer version", 100*share, r.Version)
}

// silence looks for how long no report was counted. The time in which the collector did not run does not count, and a
// silence is over only when a report comes.
func (j judge) silence(ctx context.Context, r Rule, today collector.Day, fires bool) (findings, bool, error) {
	// Figures of closed days are as of the end of the last one, which is no report: should today end meanwhile, tomorrow
	// keeps the range open.
	points, asOf, err := j.points(ctx, today-1, today+1)
	if err != nil {
		return nil, false, err
	}
	mark := time.Duration(r.Hours * float64(time.Hour))
	quiet := time.Since(asOf)
	if fires {
		return when(!asOf.After(j.started) || quiet >= mark, "")
	}
	if since := time.Since(j.started); since < quiet {
		quiet = since
	}
	expected := number(points[today-1].Active.Week) > 0 || number(points[today].Active.Week) > 0
	return when(expected && quiet >= mark, "no report was counted for %.0f hours", quiet.Hours())
}

// burstDays is with how many days before today is compared, and burstKnown how many of them have to be known.
const (
	burstDays  = 14
	burstKnown = 3
)

func (j judge) newBurst(ctx context.Context, r Rule, today collector.Day, mark float64) (findings, bool, error) {
	points, _, err := j.points(ctx, today-burstDays, today)
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
	return when(number(now.New) >= float64(r.least()) && number(now.New) >= mean*(1+mark/100),
		"%.0f installations are new today, and %.1f on the days before", number(now.New), mean)
}
