// Package insight computes what changed in the fleet of an app: a few findings
// such as "1.2.2 reached 65%", the most important first, each with the page that
// shows it.
//
// The 7 days to the last complete day are compared with the 7 days before, so both
// have the same weekdays. A change counts only if it is large and not explained by
// chance:
//
//   - A group of fewer than [MinGroup] installations, or a change of fewer than
//     [MinChange] installations, says nothing.
//   - Numbers must differ by [Deviations] standard deviations, as if each
//     installation reported in either week by chance. Most report in both, so
//     chance moves the numbers less than that.
//   - In its first two weeks an app has no findings, and none compares weeks with
//     days without a running collector.
//
// Findings fall into classes: what stopped, faults, releases, active
// installations, values that are new, new installations, shares, and faults that
// became rarer. The first finding of each class
// comes before the second of any; within a class the one that concerns more
// installations comes first. See [Rank].
//
// A finding holds values, and its sentence is made from them at the end; no code
// reads sentences.
package insight

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// The thresholds of findings.
const (
	// Days is the number of days that are compared with as many before.
	Days = 7
	// MinGroup is the fewest installations whose share or rate says something.
	MinGroup = 30
	// MinChange is the fewest installations that a change concerns.
	MinChange = 5
	// Deviations is how many standard deviations chance does not explain. With a
	// few hundred comparisons a week, it explains one in a year by chance.
	Deviations = 4
	// MinRatio is the smallest change of a number, relative to the week before.
	MinRatio = 0.1
	// MinFaultRatio is that of the rate of a fault.
	MinFaultRatio = 0.2
	// MinPoints is the smallest change of a share.
	MinPoints = 0.05
	// MinAdopted is the smallest change of the share of a release.
	MinAdopted = 0.1
	// MinDaily is the fewest daily installations whose silence says something.
	MinDaily = 10
	// newAfter is how many days a value must have been absent to count as new.
	newAfter = 28
	// Most bounds the findings of a [Report].
	Most = 20
)

// A Source provides the figures that findings are computed from.
type Source interface {
	Today(app collector.AppNum) (today, since collector.Day, err error)
	Series(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Series, error)
	Dimensions(ctx context.Context, app collector.AppNum, v figures.View) ([]string, error)
	Breakdown(
		ctx context.Context, app collector.AppNum, dimension string, window int, to collector.Day, v figures.View,
	) (figures.Breakdown, error)
	Faults(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Faults, error)
	ReleaseDays(app collector.AppNum, v figures.View) ([]figures.ReleaseDay, error)
}

var _ Source = (*engine.Engine)(nil)

// A Kind is the kind of a [Finding].
type Kind string

// The kinds of findings, by class. Now and Before are numbers of installations in
// the week and in the one before, and Of and OfBefore those that they are part of.
const (
	// Firing is an alert that fires; Text is the alert's, and About is the kind of
	// finding that is shown where its figures are.
	Firing Kind = "alert"
	// Silent means that no installation reported on the last days, from Day on:
	// none at all or, with Dimension and Value, none with the value. Before is how
	// many did a week before the last day.
	Silent Kind = "silent"
	// FaultNew means that a fault was first reported in the week, by Now
	// installations of Of. Version is the release that introduced it, or empty.
	FaultNew Kind = "fault_new"
	// FaultRose and FaultFell compare the share of the installations that a fault
	// affected. With Version, they are those that run it now.
	FaultRose Kind = "fault_rose"
	FaultFell Kind = "fault_fell"
	// ReleaseNew means that Version was first seen or came out on Day, in the week,
	// and that Now installations of Of run it.
	ReleaseNew Kind = "release_new"
	// Adopted compares the share of the installations that run Version.
	Adopted Kind = "adopted"
	// ActiveRose and ActiveFell compare the established installations that were
	// active.
	ActiveRose Kind = "active_rose"
	ActiveFell Kind = "active_fell"
	// NewRose and NewFell compare the installations that were new.
	NewRose Kind = "new_rose"
	NewFell Kind = "new_fell"
	// ValueNew means that Now installations of Of have a value that none had in the
	// 28 days before.
	ValueNew Kind = "value_new"
	// ShareRose and ShareFell compare the share of the installations that have a
	// value, of those that report the dimension.
	ShareRose Kind = "share_rose"
	ShareFell Kind = "share_fell"
)

// A Finding is something that changed. Which fields it has depends on its kind.
type Finding struct {
	Kind      Kind          `json:"kind"`
	Dimension string        `json:"dimension,omitzero"`
	Value     string        `json:"value,omitzero"`
	Version   string        `json:"version,omitzero"`
	Fault     string        `json:"fault,omitzero"` // its ID
	Component string        `json:"component,omitzero"`
	Reason    string        `json:"reason,omitzero"`
	Day       collector.Day `json:"day,omitzero"`
	Now       uint64        `json:"now"`
	Of        uint64        `json:"of,omitzero"`
	Before    uint64        `json:"before"`
	OfBefore  uint64        `json:"of_before,omitzero"`
	// Dated means that Day is when the maintainer says that Version came out.
	Dated bool `json:"dated,omitzero"`
	// About and Text are those of an alert.
	About Kind   `json:"about,omitzero"`
	Text  string `json:"text,omitzero"`
}

// A Report is what changed in a week.
type Report struct {
	// To is the last day of the week, and Before the last one of the week before.
	To     collector.Day
	Before collector.Day
	// Early is the first day that will have findings, if it is still to come.
	Early collector.Day
	// Gap means that the collector did not run on all days of the two weeks, so that
	// they cannot be compared.
	Gap bool
	// Findings are in the order of [Rank].
	Findings []Finding
}

// A Week is a report that was made once and is kept.
type Week struct {
	To       collector.Day `json:"to"`
	Made     time.Time     `json:"made"`
	Gap      bool          `json:"gap,omitzero"`
	Findings []Finding     `json:"findings"`
}

// Report returns the report.
func (w Week) Report() Report {
	return Report{To: w.To, Before: w.To - Days, Gap: w.Gap, Findings: w.Findings}
}

// comparison is what the findings of one report are made of.
type comparison struct {
	ctx   context.Context
	c     Source
	app   collector.App
	to    collector.Day // the last day of the week
	since collector.Day
	found []Finding
}

// Compute returns what changed in the 7 days to a complete day; 0 is yesterday.
// Alerts are the firing ones, in the order to show. Faults by version
// are those of the versions that installations run now.
func Compute(ctx context.Context, c Source, app collector.App, to collector.Day, alerts []Finding) (Report, error) {
	today, since, err := c.Today(app.Num)
	if err != nil {
		return Report{}, err
	}
	if to == 0 || to >= today {
		to = today - 1
	}
	r := Report{To: to, Before: to - Days, Findings: alerts}
	if first := since + 2*Days - 1; to < first {
		r.Early = first + 1
		return r, nil
	}
	days, err := c.Series(ctx, app.Num, collector.Range{From: to - 2*Days + 1, To: to}, figures.View{})
	if err != nil {
		return Report{}, err
	}
	x := &comparison{ctx: ctx, c: c, app: app, to: to, since: since}
	if r.Gap = len(days.Points) < 2*Days || hasGap(days.Points); r.Gap {
		return r, nil
	}
	silent, err := x.silence(days.Points)
	if err != nil {
		return Report{}, err
	}
	if !silent { // or everything else changed too
		x.active(days.Points)
		for _, find := range []func() error{x.releases, x.values, x.faults} {
			if err := find(); err != nil {
				return Report{}, err
			}
		}
	}
	found := Rank(x.found)
	r.Findings = append(r.Findings[:len(r.Findings):len(r.Findings)], found[:min(len(found), Most)]...)
	return r, nil
}

func hasGap(points []figures.SeriesPoint) bool {
	for _, p := range points {
		if p.Gap {
			return true
		}
	}
	return false
}

func (x *comparison) add(f Finding) { x.found = append(x.found, f) }

// split returns the counts by value in a window that ends with a day, and their
// sum. A day without figures has none.
func (x *comparison) split(dimension string, window int, to collector.Day) (counts map[string]uint64, sum uint64, err error) {
	b, err := x.c.Breakdown(x.ctx, x.app.Num, dimension, window, to, figures.View{})
	if err != nil {
		return nil, 0, err
	}
	counts = make(map[string]uint64, len(b.Values))
	for _, v := range b.Values {
		counts[v.Value] = orZero(v.Count)
		sum += orZero(v.Count)
	}
	return counts, sum, nil
}

func orZero(f figures.Count) uint64 {
	if f == nil {
		return 0
	}
	return *f
}
