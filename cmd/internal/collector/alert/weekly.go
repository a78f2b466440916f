package alert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// MaxWeeks is how many weekly reports of an app are kept.
const MaxWeeks = 12

// about says which findings are shown where the figures of a rule are.
var about = map[Kind]insight.Kind{
	ActiveDrop: insight.ActiveFell, FaultRate: insight.FaultRose, Adoption: insight.Adopted, Silence: insight.ActiveFell,
	NewBurst: insight.NewRose,
}

// Firing returns the alerts of an app that fire, the latest first.
func (w *Watcher) Firing(ctx context.Context, app collector.AppNum) ([]insight.Finding, error) {
	s, err := w.state(ctx, app)
	return s.findings(), err
}

func (s *state) findings() (found []insight.Finding) {
	for _, key := range slices.SortedFunc(maps.Keys(s.Firing), func(a, b string) int {
		return cmp.Or(s.Firing[b].Since.Compare(s.Firing[a].Since), strings.Compare(s.Firing[a].Text, s.Firing[b].Text))
	}) {
		kind, _, _ := strings.Cut(key, " ") // see Rule.Key
		f := s.Firing[key]
		found = append(found, insight.Finding{Kind: insight.Firing, About: about[Kind(kind)], Text: f.Text, Day: collector.DayOf(f.Since)})
	}
	return found
}

// Weeks returns the weekly reports of an app that are kept, the latest first.
func (w *Watcher) Weeks(ctx context.Context, app collector.AppNum) (weeks []insight.Week, err error) {
	err = w.read(ctx, app, settingWeeks, &weeks)
	return weeks, err
}

// due returns the latest day, up to today, when a report is due: the weekday that
// the maintainer chose, or Monday.
func (c Config) due(today collector.Day) collector.Day {
	weekday := max(0, slices.Index(Weekdays(), c.Weekly))
	return (today - collector.Day(weekday)).Week() + collector.Day(weekday)
}

// weekly makes the report of the week if it is due, keeps it, and adds a message
// to the state if the maintainer wants one. It reports whether the state changed.
// An app whose reports are not due yet has none for the past.
func (w *Watcher) weekly(ctx context.Context, app collector.App, config Config, s *state) (changed bool, err error) {
	if app.Gone {
		return false, nil
	}
	today, _, err := w.c.Today(app.Num)
	if err != nil {
		return false, err
	}
	due := config.due(today)
	switch {
	case s.Week >= due:
		return false, nil
	case s.Week == 0 && due < today:
		s.Week = due
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, evaluateTimeout)
	defer cancel()
	report, err := insight.Compute(ctx, w.c, app, due-1, s.findings())
	if err != nil {
		return false, fmt.Errorf("weekly report: %w", err)
	}
	s.Week = due
	if report.Early != 0 {
		return true, nil
	}
	week := insight.Week{To: report.To, Made: time.Now().UTC().Truncate(time.Second), Gap: report.Gap,
		Findings: report.Findings[:min(len(report.Findings), insight.Most)]} // so that MaxWeeks fit into a setting
	if err := w.keep(ctx, app.Num, week); err != nil {
		return false, fmt.Errorf("weekly report: %w", err)
	}
	if config.Weekly != "" {
		m, lines := w.message(app, week)
		s.enqueue(w.send.targets(config), m, lines)
	}
	return true, nil
}

// keep stores a report, in place of one of the same week.
func (w *Watcher) keep(ctx context.Context, app collector.AppNum, week insight.Week) error {
	weeks, err := w.Weeks(ctx, app)
	if err != nil {
		return err
	}
	weeks = slices.DeleteFunc(weeks, func(old insight.Week) bool { return old.To == week.To })
	weeks = slices.Insert(weeks, 0, week)
	return w.put(ctx, app, settingWeeks, weeks[:min(len(weeks), MaxWeeks)])
}

// message returns the message of a report, and its lines.
func (w *Watcher) message(app collector.App, week insight.Week) (m Message, lines []string) {
	m = Message{App: app.Key, State: Weekly, At: week.Made, To: week.To}
	texts, pages := week.Report().Sentences()
	for i, text := range texts {
		url := ""
		if w.pages != "" && pages[i] != "" {
			url = w.pages + "/a/" + app.Key + "/" + pages[i]
		}
		if i < len(week.Findings) && i < MaxLines {
			m.Changes = append(m.Changes, Change{week.Findings[i].Kind, text, url})
		}
		lines = append(lines, strings.TrimSpace(text+" "+url))
	}
	return m, lines
}
