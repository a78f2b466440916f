package dashboard

import (
	"cmp"
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard/chart"
)

// An event is what happened on a day of the range: a release came out or was first
// seen, or the maintainer noted something.
type event struct {
	Day  collector.Day
	Text string
	URL  string // of the version's page; empty for none
	mark chart.Mark
}

// events returns the events in the range of a view, the earliest first. The public
// sees releases that the maintainer dated, and no notes.
func (d *dashboard) events(ctx context.Context, v view) ([]event, error) {
	releases, err := d.c.ReleaseDays(v.app.Num, v.sees)
	if err != nil {
		return nil, err
	}
	var events []event
	add := func(day collector.Day, url, text, short string) {
		if drawn := v.drawn(); day >= drawn.From && day <= drawn.To {
			mark := chart.Mark{Day: day.String(), Release: short != "", Text: visible(text), Short: visible(short)}
			events = append(events, event{day, mark.Text, url, mark})
		}
	}
	for _, r := range releases {
		text := r.Version + " first seen"
		if r.Dated {
			text = r.Version + " released"
		}
		add(r.Day, v.versionPage(r.Version), text, r.Version)
	}
	if d.opts.Notes != nil && !v.sees.Public {
		notes, err := d.opts.Notes.List(ctx, v.app.Num)
		if err != nil {
			return nil, err
		}
		for _, n := range notes {
			add(n.Day, "", n.Text, "")
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.Day, b.Day) })
	return events, nil
}

// addEvents puts the events on the time axes of all panels.
func (d *dashboard) addEvents(ctx context.Context, v view, p *pageData) (err error) {
	if p.Events, err = d.events(ctx, v); err != nil {
		return err
	}
	marks := make([]chart.Mark, len(p.Events))
	for i, e := range p.Events {
		marks[i] = e.mark
	}
	timely := false
	for i := range p.Panels {
		if timed, ok := p.Panels[i].Chart.(chart.Timed); ok {
			p.Panels[i].Chart, timely = timed.Marked(marks), true
		}
	}
	if !timely {
		p.Events = nil
	}
	return nil
}
