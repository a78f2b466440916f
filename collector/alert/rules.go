package alert

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A verdict is what a rule finds.
type verdict struct {
	firing bool
	text   string
}

// slack is how far back a figure has to go before a rule that fires is over, so that one at its mark does not flicker.
const slack = 0.9

// judge looks at one rule.
func (w *Watcher) judge(ctx context.Context, app collector.App, r Rule, fired bool) (verdict, error) {
	today, since, err := w.c.Today(app.Num)
	if err != nil {
		return verdict{}, err
	}
	mark := r.Percent
	if fired {
		mark *= slack
	}
	switch r.Kind {
	case ActiveDrop:
		return w.activeDrop(ctx, app, today, since, mark)
	case IssueRate:
		return w.issueRate(ctx, app, r, today, mark)
	case Adoption:
		return w.adoption(ctx, app, r, today, mark)
	case Silence:
		return w.silence(ctx, app, r, today)
	case NewBurst:
		return w.newBurst(ctx, app, r, today, mark)
	}
	return verdict{}, nil
}

// points gives the figures of some days by day.
func (w *Watcher) points(ctx context.Context, app collector.App, from, to collector.Day) (map[collector.Day]collector.SeriesPoint, collector.Series, error) {
	series, err := w.c.Series(ctx, app.Num, collector.Range{From: from, To: to}, collector.View{})
	points := make(map[collector.Day]collector.SeriesPoint)
	for _, p := range series.Points {
		if !p.Gap {
			points[p.Day] = p
		}
	}
	return points, series, err
}

func (w *Watcher) activeDrop(ctx context.Context, app collector.App, today, _ collector.Day, mark float64) (verdict, error) {
	day := today - 1
	points, _, err := w.points(ctx, app, day-28, day)
	if err != nil {
		return verdict{}, err
	}
	last, ok := points[day]
	if !ok {
		return verdict{}, nil
	}
	sum, n := 0.0, 0
	for _, before := range []collector.Day{7, 14, 21, 28} {
		if p, ok := points[day-before]; ok {
			sum += float64(*p.Established.Day)
			n++
		}
	}
	if n == 0 || sum/float64(n) < DefaultLeast {
		return verdict{}, nil
	}
	now := float64(*last.Established.Day)
	drop := 100 * (1 - now/(sum/float64(n)))
	return verdict{drop >= mark, fmt.Sprintf("active installations dropped by %.0f %%: %.0f on %s, and %.0f on that weekday before", drop, now, day, sum/float64(n))}, nil
}

func (w *Watcher) issueRate(ctx context.Context, app collector.App, r Rule, today collector.Day, mark float64) (verdict, error) {
	answer, err := w.c.Issues(ctx, app.Num, collector.Range{From: today - 6, To: today}, collector.View{})
	if err != nil {
		return verdict{}, err
	}
	least := uint64(cmp.Or(r.Least, DefaultLeast))
	newest, before := "", ""
	for _, is := range answer.Issues {
		for _, v := range is.Versions {
			if *v.Active < least || report.IsDevelopment(v.Version) {
				continue
			}
			switch {
			case newest == "" || report.CompareVersions(v.Version, newest) > 0:
				newest, before = v.Version, newest
			case v.Version != newest && (before == "" || report.CompareVersions(v.Version, before) > 0):
				before = v.Version
			}
		}
	}
	if newest == "" || before == "" {
		return verdict{}, nil
	}
	for _, is := range answer.Issues {
		rate := map[string]float64{}
		for _, v := range is.Versions {
			rate[v.Version] = v.PerThousand
		}
		// One more of a thousand is no news, however large a part that is.
		if rate[newest] >= rate[before]*(1+mark/100) && rate[newest]-rate[before] >= 5 {
			return verdict{true, fmt.Sprintf("%s: %s affects %.0f of 1,000 installations of %s, and %.0f of %s", is.Component, is.Reason, rate[newest], newest, rate[before], before)}, nil
		}
	}
	return verdict{}, nil
}

func (w *Watcher) adoption(ctx context.Context, app collector.App, r Rule, today collector.Day, mark float64) (verdict, error) {
	floor, err := w.c.Floor(ctx, app.Num, today, collector.View{})
	if err != nil {
		return verdict{}, err
	}
	share := 0.0
	for _, step := range floor.Steps {
		if report.CompareVersions(step.Version, r.Version) >= 0 {
			share = max(share, step.Share)
		}
	}
	return verdict{100*share >= mark, fmt.Sprintf("%.0f %% of the active installations run %s or a newer version", 100*share, r.Version)}, nil
}

func (w *Watcher) silence(ctx context.Context, app collector.App, r Rule, today collector.Day) (verdict, error) {
	points, series, err := w.points(ctx, app, today-1, today)
	if err != nil {
		return verdict{}, err
	}
	yesterday, ok := points[today-1]
	now, counted := points[today]
	if !ok || *yesterday.Active.Week == 0 || counted && *now.Active.Day > 0 && time.Since(series.AsOf) < time.Hour {
		return verdict{}, nil
	}
	quiet := time.Since(series.AsOf)
	return verdict{quiet >= time.Duration(r.Hours*float64(time.Hour)), fmt.Sprintf("no report was counted for %.0f hours", quiet.Hours())}, nil
}

func (w *Watcher) newBurst(ctx context.Context, app collector.App, r Rule, today collector.Day, mark float64) (verdict, error) {
	points, _, err := w.points(ctx, app, today-14, today)
	if err != nil {
		return verdict{}, err
	}
	sum, n := 0.0, 0
	for day := today - 14; day < today; day++ {
		if p, ok := points[day]; ok {
			sum += float64(*p.New)
			n++
		}
	}
	now, ok := points[today]
	if !ok || n < 3 || *now.New < uint64(cmp.Or(r.Least, DefaultLeast)) {
		return verdict{}, nil
	}
	mean := sum / float64(n)
	return verdict{float64(*now.New) >= mean*(1+mark/100), fmt.Sprintf("%d installations are new today, and %.1f on the days before", *now.New, mean)}, nil
}
