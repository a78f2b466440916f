package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
)

// A question is a kind of figures that a client can ask for.
type question struct {
	name    string
	privacy privacy
	params  []string
	// segments means that whoever may read the app can ask about a segment.
	segments bool
	ask      func(ctx context.Context, q *query) (answer, error)
}

// A privacy says who may ask a question about a public app.
type privacy int

const (
	open    privacy = iota // everyone
	pairs                  // everyone, if the app has public pairs
	private                // whoever may read the app
)

// An answer is JSON, or a table.
type answer struct {
	json  any
	table func() *table.Table
}

// rangeParams are the parameters of a range. By default, "to" is today and "from"
// is defaultDays before; "days" is the length of a range that ends with "to".
var rangeParams = []string{"from", "to", "days"}

const defaultDays = 90

// segmentParam is the parameter that restricts an answer to a segment. The public
// does not have it.
const segmentParam = "segment"

var questions = []question{
	{"series", open, rangeParams, true, asking(seriesTable, func(ctx context.Context, q *query) (figures.Series, error) {
		return q.engine.Series(ctx, q.app.Num, q.span(), q.view)
	})},
	{"dimensions", open, nil, false, asking(dimensionsTable, func(ctx context.Context, q *query) (Dimensions, error) {
		names, err := q.engine.Dimensions(ctx, q.app.Num, q.view)
		return Dimensions{names}, err
	})},
	{"breakdown", open, []string{"dimension", "window", "to"}, true, asking(breakdownTable, func(ctx context.Context, q *query) (figures.Breakdown, error) {
		return q.engine.Breakdown(ctx, q.app.Num, q.dimension("dimension", collector.DimVersion), q.number("window", 28), q.to(), q.view)
	})},
	{"trend", open, append([]string{"dimension", "window", "top"}, rangeParams...), true, asking(trendTable, func(ctx context.Context, q *query) (figures.Trend, error) {
		return q.engine.Trend(ctx, q.app.Num, q.dimension("dimension", collector.DimVersion), q.number("window", 28), q.span(), q.number("top", 8), q.view)
	})},
	{"retention", private, append([]string{"grain"}, rangeParams...), true, asking(retentionTable, func(ctx context.Context, q *query) (figures.Retention, error) {
		return q.engine.Retention(ctx, q.app.Num, collector.Grain(q.text("grain", string(collector.GrainWeek))), q.span(), q.view)
	})},
	{"survival", private, []string{"top"}, true, asking(survivalTable, func(ctx context.Context, q *query) (figures.Survival, error) {
		return q.engine.Survival(ctx, q.app.Num, q.number("top", 8), q.view)
	})},
	{"versions", open, rangeParams, true, asking(versionsTable, func(ctx context.Context, q *query) (figures.Versions, error) {
		return q.engine.Versions(ctx, q.app.Num, q.span(), q.view)
	})},
	{"floor", open, []string{"to"}, true, asking(floorTable, func(ctx context.Context, q *query) (figures.Floor, error) {
		return q.engine.Floor(ctx, q.app.Num, q.to(), q.view)
	})},
	{"cooccurrence", pairs, []string{"row", "column", "window"}, true, asking(coOccurrenceTable, func(ctx context.Context, q *query) (figures.CoOccurrence, error) {
		return q.engine.CoOccurrence(ctx, q.app.Num, q.dimension("row", collector.DimSystem), q.dimension("column", collector.DimMachine), q.number("window", 28), q.today, q.view)
	})},
	{"faults", open, rangeParams, true, asking(faultsTable, func(ctx context.Context, q *query) (figures.Faults, error) {
		return q.engine.Faults(ctx, q.app.Num, q.span(), q.view)
	})},
	{"version", private, append([]string{"version"}, rangeParams...), true, asking(versionTable, func(ctx context.Context, q *query) (figures.VersionDetail, error) {
		return q.engine.Version(ctx, q.app.Num, q.named("version"), q.span(), q.view)
	})},
	{"fault", private, append([]string{"fault"}, rangeParams...), true, asking(faultTable, func(ctx context.Context, q *query) (figures.FaultDetail, error) {
		return q.engine.Fault(ctx, q.app.Num, q.named("fault"), q.span(), q.view)
	})},
	{"quality", private, rangeParams, false, asking(qualityTable, func(ctx context.Context, q *query) (figures.Quality, error) {
		return q.engine.Quality(ctx, q.app.Num, q.span())
	})},
	{"changes", private, []string{"to"}, false, asking(changesTable, changes)},
}

// asking returns the ask function of a question, for a type of figures and its
// table.
func asking[T any](tableOf func(T) *table.Table, ask func(context.Context, *query) (T, error)) func(context.Context, *query) (answer, error) {
	return func(ctx context.Context, q *query) (answer, error) {
		result, err := ask(ctx, q)
		return answer{result, func() *table.Table { return tableOf(result) }}, cmp.Or(q.err, err)
	}
}

// Dimensions is the answer to the question of that name.
type Dimensions struct {
	Dimensions []string `json:"dimensions"`
}

// A query is a question about an app with its parameters.
type query struct {
	engine *engine.Engine
	app    collector.App
	view   figures.View
	today  collector.Day
	values url.Values
	err    error // the first invalid parameter
}

var errParameter = errors.New("parameter")

func (q *query) fail(name, format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%w %s: %s", errParameter, name, fmt.Sprintf(format, args...))
	}
}

// restrict refuses unknown and repeated parameters: the answer to a misspelt one
// would be an answer to something else.
func (q *query) restrict(w http.ResponseWriter, params []string) bool {
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.Contains(params, name) || len(q.values[name]) > 1 {
			refuse(w, http.StatusBadRequest, reasonParameter, fmt.Sprintf("parameter %.40q is not one of %s, at most once each",
				name, cmp.Or(strings.Join(params, ", "), "none")))
			return false
		}
	}
	return true
}

// parameters returns the names of the parameters that a question has for the reader
// of an app.
func (q question) parameters(public bool) []string {
	if !q.segments || public {
		return q.params
	}
	return append(slices.Clip(q.params), segmentParam)
}

// readSegment reads the segment that is asked about.
func (q *query) readSegment() {
	segment, err := collector.ParseSegment(q.values.Get(segmentParam))
	if err != nil {
		q.fail(segmentParam, "%s", err)
	}
	q.view.Segment = segment
}

func (q *query) text(name, fallback string) string { return cmp.Or(q.values.Get(name), fallback) }

// named returns a parameter that must not be empty.
func (q *query) named(name string) string {
	text := q.values.Get(name)
	if text == "" {
		q.fail(name, "it is missing")
	}
	return text
}

// dimension returns the name of a dimension that the app has.
func (q *query) dimension(name, fallback string) string {
	text := q.text(name, fallback)
	if known, err := q.engine.Dimensions(context.Background(), q.app.Num, q.view); err == nil &&
		!collector.InEveryApp(text) && !slices.Contains(known, text) {
		q.fail(name, "%.80q is not a dimension of the app", text)
	}
	return text
}

func (q *query) number(name string, fallback int) int {
	text := q.values.Get(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > collector.MaxRangeDays {
		q.fail(name, "%.40q is not a number from 1 to %d", text, collector.MaxRangeDays)
		return fallback
	}
	return n
}

func (q *query) day(name string, fallback collector.Day) collector.Day {
	text := q.values.Get(name)
	if text == "" {
		return fallback
	}
	day, err := collector.ParseDay(text)
	if err != nil {
		q.fail(name, "%.40q is not a day such as 2006-01-02", text)
		return fallback
	}
	return day
}

func (q *query) to() collector.Day { return q.day("to", q.today) }

func (q *query) span() collector.Range {
	to := q.to()
	if q.values.Get("days") != "" && q.values.Get("from") != "" {
		q.fail("days", "it cannot be combined with from")
	}
	from := q.day("from", to-collector.Day(q.number("days", defaultDays))+1)
	if to < from {
		q.fail("from", "it is after to")
	}
	return collector.Range{From: from, To: to}
}

func seriesTable(a figures.Series) *table.Table {
	t := table.New("day", "open", "gap", "active_day", "active_7_days", "active_28_days", "active_30_days", "established_day",
		"established_7_days", "established_28_days", "established_30_days", "new", "returning", "lost", "forgotten", "in_memory",
		"excluded")
	for _, p := range a.Points {
		t.Add(p.Day, p.Open, p.Gap, p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30, p.Established.Day,
			p.Established.Week, p.Established.Days28, p.Established.Days30, p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory,
			p.Excluded)
	}
	return t
}

func dimensionsTable(a Dimensions) *table.Table {
	t := table.New("dimension")
	for _, name := range a.Dimensions {
		t.Add(name)
	}
	return t
}

func breakdownTable(a figures.Breakdown) *table.Table {
	t := table.New("to", "window_days", "dimension", "value", "count", "share", "reporting", "active")
	for _, v := range a.Values {
		t.Add(a.To, a.Window, a.Dimension, v.Value, v.Count, share(v.Count, v.Share), a.Reporting, a.Active)
	}
	return t
}

// share returns nil in place of the share of a hidden count.
func share(count figures.Count, share float64) any {
	if count == nil {
		return nil
	}
	return share
}

// known returns nil in place of a day that is unknown or hidden.
func known(day collector.Day) any {
	if day == 0 {
		return nil
	}
	return day
}

func trendTable(a figures.Trend) *table.Table {
	t := table.New("day", "open", "gap", "window_days", "dimension", "value", "count", "active")
	for _, p := range a.Points {
		for i, count := range p.Counts {
			t.Add(p.Day, p.Open, p.Gap, a.Window, a.Dimension, a.Values[i], count, p.Active)
		}
	}
	return t
}

func retentionTable(a figures.Retention) *table.Table {
	t := table.New("grain", "cohort", "size", "age", "active", "share", "open", "gap")
	for _, c := range a.Cohorts {
		for age, cell := range c.Cells {
			t.Add(a.Grain, c.From, c.Size, age, cell.Active, share(cell.Active, cell.Share), cell.Open, cell.Gap)
		}
	}
	return t
}

func survivalTable(a figures.Survival) *table.Table {
	t := table.New("first_version", "size", "weeks", "active", "of", "share")
	for _, v := range a.Versions {
		for weeks, cell := range v.Cells {
			t.Add(v.Version, v.Size, weeks, cell.Active, cell.Of, share(cell.Active, cell.Share))
		}
	}
	return t
}

// versionsTable has rows of three kinds: releases, their adoption, and moves.
func versionsTable(a figures.Versions) *table.Table {
	t := table.New("kind", "version", "to_version", "pre", "released", "active_28_days", "half_after_days", "days", "active", "of",
		"share", "count", "up")
	for _, r := range a.Releases {
		t.Add("release", r.Version, nil, r.Pre, known(r.Released), r.Active, r.HalfAfter, nil, nil, nil, nil, nil, nil)
		for _, p := range r.Adoption {
			t.Add("adoption", r.Version, nil, r.Pre, known(r.Released), nil, nil, p.Days, p.Active, p.Of, share(p.Active, p.Share), nil, nil)
		}
	}
	for _, m := range a.Moves {
		t.Add("move", m.From, m.To, nil, nil, nil, nil, nil, nil, nil, nil, m.Count, m.Up)
	}
	return t
}

func floorTable(a figures.Floor) *table.Table {
	t := table.New("to", "version", "kept", "share")
	for _, s := range a.Steps {
		t.Add(a.To, s.Version, s.Kept, share(s.Kept, s.Share))
	}
	return t
}

func coOccurrenceTable(a figures.CoOccurrence) *table.Table {
	t := table.New("to", "window_days", "row_dimension", "row", "column_dimension", "column", "count")
	for i, row := range a.Counts {
		for j, count := range row {
			t.Add(a.To, a.Window, a.Row, a.Rows[i], a.Column, a.Columns[j], count)
		}
	}
	return t
}

// faultsTable has a row for each fault, with an empty version, and a row for each
// of its versions.
func faultsTable(a figures.Faults) *table.Table {
	t := table.New("id", "source", "component", "reason", "stage", "severity", "first_seen", "last_seen", "new_in", "status", "fixed_in",
		"note", "version", "affected", "occurrences", "active", "per_thousand")
	for _, f := range a.Faults {
		common := []any{f.ID, f.Source, f.Component, f.Reason, f.Stage, f.Severity, known(f.FirstSeen), known(f.LastSeen), f.NewIn, f.Status,
			f.FixedIn, f.Note}
		t.Add(append(slices.Clone(common), nil, f.Affected, f.Occurrences, nil, nil)...)
		for _, v := range f.Versions {
			t.Add(append(slices.Clone(common), v.Version, v.Affected, v.Occurrences, v.Active, share(v.Affected, v.PerThousand))...)
		}
	}
	return t
}

// qualityTable has a row for each day. Its refusals are also a text such as
// "not_json=2 too_large=1".
func qualityTable(a figures.Quality) *table.Table {
	t := table.New("day", "open", "gap", "accepted", "repeated", "refused", "refused_by_reason", "dropped_fields", "dropped_facts",
		"dropped_context", "skewed")
	for _, p := range a.Points {
		var refused uint64
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(p.Refused)) {
			refused += p.Refused[reason]
			reasons = append(reasons, fmt.Sprintf("%s=%d", reason, p.Refused[reason]))
		}
		t.Add(p.Day, p.Open, p.Gap, p.Accepted, p.Repeated, refused, strings.Join(reasons, " "), p.DroppedFields, p.DroppedFacts,
			p.DroppedContext, p.Skewed)
	}
	return t
}

// versionTable has rows of several kinds: the days of a version, how many were kept,
// its faults beside those of the version before, and the moves.
func versionTable(a figures.VersionDetail) *table.Table {
	t := table.New("kind", "version", "before", "name", "day", "count", "of", "count_before", "of_before", "p", "significant")
	for _, d := range a.Days {
		t.Add("day", a.Version, nil, nil, d.Day, d.Running, d.Of, nil, nil, nil, nil)
	}
	for week, d := range a.Kept {
		t.Add("kept_after_weeks", a.Version, a.Before, strconv.Itoa(week), nil, d.A, d.OfA, d.B, d.OfB, d.P, d.Significant)
	}
	for _, f := range a.Faults {
		t.Add("fault", a.Version, a.Before, f.ID, nil, f.A, f.OfA, f.B, f.OfB, f.P, f.Significant)
	}
	for _, m := range a.CameFrom {
		t.Add("from", a.Version, nil, m.From, nil, m.Count, nil, nil, nil, nil, nil)
	}
	for _, m := range a.WentTo {
		t.Add("to", a.Version, nil, m.To, nil, m.Count, nil, nil, nil, nil, nil)
	}
	return t
}

// faultTable has rows of several kinds: the days of a fault, what the affected
// installations report, and what was said of it.
func faultTable(a figures.FaultDetail) *table.Table {
	t := table.New("kind", "id", "day", "dimension", "value", "affected", "active", "per_thousand", "occurrences", "by", "note")
	for _, d := range a.Days {
		t.Add("day", a.Fault.ID, d.Day, nil, nil, d.Affected, nil, nil, d.Occurrences, nil, nil)
	}
	for _, v := range a.Fault.Versions {
		t.Add("value", a.Fault.ID, nil, collector.DimVersion, v.Version, v.Affected, v.Active, v.PerThousand, v.Occurrences, nil, nil)
	}
	for _, d := range a.Dimensions {
		for _, v := range d.Values {
			t.Add("value", a.Fault.ID, nil, d.Dimension, v.Value, v.Affected, v.Active, v.PerThousand, nil, nil, nil)
		}
	}
	for _, triage := range a.Triage {
		t.Add("triage", a.Fault.ID, collector.DayOf(triage.At), nil, string(triage.Status), nil, nil, nil, nil, triage.By, triage.Note)
	}
	return t
}
