package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	for name, values := range q.values {
		if !slices.Contains(params, name) || len(values) > 1 {
			refuse(w, http.StatusBadRequest, reasonParameter,
				fmt.Sprintf("parameter %.40q is not one of %s, at most once each", name, strings.Join(params, ", ")))
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
