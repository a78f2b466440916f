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
	name string
	// private hides the answer from the public.
	private bool
	params  []string
	ask     func(ctx context.Context, q *query) (answer, error)
}

// An answer is JSON, or a table.
type answer struct {
	json  any
	table func() *table.Table
}

// rangeParams are the parameters of a range. By default, "to" is today and "from"
// is defaultDays before; "days" is the length of a range that ends with "to".
var rangeParams = []string{"from", "to", "days"}

const defaultDays = 90

var questions = []question{
	{"series", false, rangeParams, asking(seriesTable, func(ctx context.Context, q *query) (figures.Series, error) {
		return q.engine.Series(ctx, q.app.Num, q.span(), q.view)
	})},
	{"dimensions", false, nil, asking(dimensionsTable, func(ctx context.Context, q *query) (Dimensions, error) {
		names, err := q.engine.Dimensions(ctx, q.app.Num)
		return Dimensions{names}, err
	})},
	{"breakdown", false, []string{"dimension", "window", "to"}, asking(breakdownTable, func(ctx context.Context, q *query) (figures.Breakdown, error) {
		return q.engine.Breakdown(ctx, q.app.Num, q.text("dimension", collector.DimVersion), q.number("window", 28), q.to(), q.view)
	})},
	{"trend", false, append([]string{"dimension", "window", "top"}, rangeParams...), asking(trendTable, func(ctx context.Context, q *query) (figures.Trend, error) {
		return q.engine.Trend(ctx, q.app.Num, q.text("dimension", collector.DimVersion), q.number("window", 28), q.span(), q.number("top", 8), q.view)
	})},
	{"retention", false, append([]string{"grain"}, rangeParams...), asking(retentionTable, func(ctx context.Context, q *query) (figures.Retention, error) {
		return q.engine.Retention(ctx, q.app.Num, collector.Grain(q.text("grain", string(collector.GrainWeek))), q.span(), q.view)
	})},
	{"survival", false, []string{"top"}, asking(survivalTable, func(ctx context.Context, q *query) (figures.Survival, error) {
		return q.engine.Survival(ctx, q.app.Num, q.number("top", 8), q.view)
	})},
	{"versions", false, rangeParams, asking(versionsTable, func(ctx context.Context, q *query) (figures.Versions, error) {
		return q.engine.Versions(ctx, q.app.Num, q.span(), q.view)
	})},
	{"floor", false, []string{"to"}, asking(floorTable, func(ctx context.Context, q *query) (figures.Floor, error) {
		return q.engine.Floor(ctx, q.app.Num, q.to(), q.view)
	})},
	{"cooccurrence", false, []string{"row", "column", "window"}, asking(coOccurrenceTable, func(ctx context.Context, q *query) (figures.CoOccurrence, error) {
		return q.engine.CoOccurrence(ctx, q.app.Num, q.text("row", collector.DimSystem), q.text("column", collector.DimMachine), q.number("window", 28), q.view)
	})},
	{"faults", false, rangeParams, asking(faultsTable, func(ctx context.Context, q *query) (figures.Faults, error) {
		return q.engine.Faults(ctx, q.app.Num, q.span(), q.view)
	})},
	{"quality", true, rangeParams, asking(qualityTable, func(ctx context.Context, q *query) (figures.Quality, error) {
		return q.engine.Quality(ctx, q.app.Num, q.span())
	})},
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

func (q *query) text(name, fallback string) string { return cmp.Or(q.values.Get(name), fallback) }

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
		t.Add("release", r.Version, nil, r.Pre, r.Released, r.Active, r.HalfAfter, nil, nil, nil, nil, nil, nil)
		for _, p := range r.Adoption {
			t.Add("adoption", r.Version, nil, r.Pre, r.Released, nil, nil, p.Days, p.Active, p.Of, share(p.Active, p.Share), nil, nil)
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
		common := []any{f.ID, f.Source, f.Component, f.Reason, f.Stage, f.Severity, f.FirstSeen, f.LastSeen, f.NewIn, f.Status,
			f.FixedIn, f.Note}
		t.Add(append(slices.Clone(common), nil, f.Affected, f.Occurrences, nil, nil)...)
		for _, v := range f.Versions {
			t.Add(append(slices.Clone(common), v.Version, v.Affected, nil, v.Active, share(v.Affected, v.PerThousand))...)
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
