package dashboard

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// shownChanges is how many changes the overview shows.
const shownChanges = 3

// A changed is what the overview says about the week.
type changed struct {
	Title string
	Lines []changedLine
}

type changedLine struct {
	Text, URL string
	Alert     bool
}

// changesKept is how long the changes of a week are kept. They are about closed
// days, so hardly anything changes them.
const changesKept = 10 * time.Minute

// A changesCache has the latest report of each app, without alerts. Its zero value
// is empty.
type changesCache struct {
	mu      sync.Mutex
	reports map[collector.AppNum]cachedChanges
}

type cachedChanges struct {
	insight.Report
	made time.Time
}

// changes returns what changed in the week to yesterday.
func (d *dashboard) changes(ctx context.Context, v view) (*changed, error) {
	var alerts []insight.Finding
	if d.opts.Alerts != nil {
		var err error
		if alerts, err = d.opts.Alerts.Firing(ctx, v.app.Num); err != nil {
			return nil, err
		}
	}
	report, err := d.week(ctx, v)
	if err != nil {
		return nil, err
	}
	report.Findings = slices.Concat(alerts, report.Findings)
	c := &changed{Title: "What changed in the week to " + report.To.Time().Format("2 January")}
	texts, pages := report.Sentences()
	if more := len(alerts) - shownChanges + 1; more > 1 { // all alerts count
		texts[shownChanges-1], pages[shownChanges-1] = fmt.Sprintf("Alert: %d more fire", more), "settings#alerts"
	}
	for i, text := range texts[:min(len(texts), shownChanges)] {
		line := changedLine{Text: text, Alert: i < len(alerts)}
		if pages[i] != "" {
			line.URL = d.base + "/a/" + v.app.Key + "/" + pages[i]
		}
		c.Lines = append(c.Lines, line)
	}
	return c, nil
}

func (d *dashboard) week(ctx context.Context, v view) (insight.Report, error) {
	d.changed.mu.Lock()
	kept, ok := d.changed.reports[v.app.Num]
	d.changed.mu.Unlock()
	if ok && kept.To == v.today-1 && time.Since(kept.made) < changesKept {
		return kept.Report, nil
	}
	report, err := insight.Compute(ctx, d.c, v.app, v.today-1, nil)
	if err == nil {
		d.changed.mu.Lock()
		if d.changed.reports == nil {
			d.changed.reports = make(map[collector.AppNum]cachedChanges)
		}
		d.changed.reports[v.app.Num] = cachedChanges{report, time.Now()}
		d.changed.mu.Unlock()
	}
	return report, err
}
