package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A question is one kind of answer about an app.
type question struct {
	name string
	// private says that the public does not get it.
	private bool
	// params are those that it takes, beside none.
	params []string
	ask    func(ctx context.Context, c *engine.Engine, q *query) (any, error)
}

// The parameters of questions. "to" is today where it is not given, and "from" is 90 days before; "days" is how many days
// end with "to".
var rangeParams = []string{"from", "to", "days"}

var questions = []question{
	{"series", false, rangeParams, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Series(ctx, q.app, q.span(), q.view)
	}},
	{"dimensions", false, nil, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		names, err := c.Dimensions(ctx, q.app)
		return Dimensions{names}, err
	}},
	{"breakdown", false, []string{"dimension", "window", "to"}, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Breakdown(ctx, q.app, q.text("dimension", collector.DimVersion), q.number("window", 28), q.to(), q.view)
	}},
	{"trend", false, append([]string{"dimension", "window", "top"}, rangeParams...), func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Trend(ctx, q.app, q.text("dimension", collector.DimVersion), q.number("window", 28), q.span(), q.number("top", 8), q.view)
	}},
	{"retention", false, append([]string{"grain"}, rangeParams...), func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Retention(ctx, q.app, collector.Grain(q.text("grain", string(collector.GrainWeek))), q.span(), q.view)
	}},
	{"survival", false, []string{"top"}, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Survival(ctx, q.app, q.number("top", 8), q.view)
	}},
	{"versions", false, rangeParams, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Versions(ctx, q.app, q.span(), q.view)
	}},
	{"floor", false, []string{"to"}, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Floor(ctx, q.app, q.to(), q.view)
	}},
	{"cooccurrence", false, []string{"row", "column", "window"}, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.CoOccurrence(ctx, q.app, q.text("row", collector.DimSystem), q.text("column", collector.DimMachine), q.number("window", 28), q.view)
	}},
	{"faults", false, rangeParams, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Faults(ctx, q.app, q.span(), q.view)
	}},
	{"quality", true, rangeParams, func(ctx context.Context, c *engine.Engine, q *query) (any, error) {
		return c.Quality(ctx, q.app, q.span())
	}},
}

// Dimensions is the answer to the question of the same name.
type Dimensions struct {
	Dimensions []string `json:"dimensions"`
}

// A query is the parameters of one question.
type query struct {
	app    collector.AppNum
	view   figures.View
	today  collector.Day
	values url.Values
	err    error
}

// defaultDays is the length of the range when none is given.
const defaultDays = 90

var errParameter = errors.New("parameter")

func (q *query) fail(name, format string, args ...any) {
	if q.err == nil {
		q.err = fmt.Errorf("%w %s: %s", errParameter, name, fmt.Sprintf(format, args...))
	}
}

func (q *query) text(name, fallback string) string {
	if v := q.values.Get(name); v != "" {
		return v
	}
	return fallback
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
		q.fail(name, "%.40q is not a day of the form 2006-01-02", text)
		return fallback
	}
	return day
}

func (q *query) to() collector.Day { return q.day("to", q.today) }

func (q *query) span() collector.Range {
	to := q.to()
	if q.values.Get("days") != "" && q.values.Get("from") != "" {
		q.fail("days", "it does not go together with from")
	}
	from := q.day("from", to-collector.Day(q.number("days", defaultDays))+1)
	r := collector.Range{From: from, To: to}
	if to < from {
		q.fail("from", "it is after to")
	}
	return r
}

// may tells whether a request is signed in or has a token for it.
func (s *Server) may(r *http.Request, app string, scope access.Scope) bool {
	grant, ok := s.access.Grant(r)
	return ok && grant.May(app, scope)
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	refuse(w, http.StatusUnauthorized, "unauthorized", "this needs a token that may read the app")
}

// viewer finds the app of a request and what its sender may see of it. Who may see nothing learns nothing: an app that is
// not there and one that is closed look alike.
func (s *Server) viewer(w http.ResponseWriter, r *http.Request, private bool) (*query, collector.App, bool) {
	key := r.PathValue("app")
	app, found := s.c.App(key)
	q := &query{app: app.Num, values: r.URL.Query()}
	switch {
	case s.may(r, key, access.Read):
		if !found {
			refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "there is no such app")
			return nil, app, false
		}
	case found && app.Public && !private:
		q.view = figures.View{Public: true, K: app.K}
	default:
		unauthorized(w)
		return nil, app, false
	}
	var err error
	if q.today, _, err = s.c.Today(app.Num); err != nil {
		s.failed(w, err)
		return nil, app, false
	}
	return q, app, true
}

// ask answers a question.
func (s *Server) ask(question question) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, app, ok := s.viewer(w, r, question.private)
		if !ok {
			return
		}
		if !q.known(w, question.params) || s.unchanged(w, r, app, q.view) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), queryWait)
		defer cancel()
		result, err := question.ask(ctx, s.c, q)
		if q.err != nil {
			err = q.err
		}
		if err != nil {
			s.explain(w, err)
			return
		}
		s.answer(w, r, result)
	}
}

// known refuses parameters that the question does not take: a misspelt one would be an answer to something else.
func (q *query) known(w http.ResponseWriter, params []string) bool {
	for name, values := range q.values {
		known := false
		for _, p := range params {
			known = known || p == name
		}
		if !known || len(values) > 1 {
			refuse(w, http.StatusBadRequest, "parameter", fmt.Sprintf("parameter %.40q is not one of %s, once each", name, strings.Join(params, ", ")))
			return false
		}
	}
	return true
}

// explain answers a question that cannot be answered.
func (s *Server) explain(w http.ResponseWriter, err error) {
	w.Header().Del("ETag")
	for _, known := range []error{errParameter, collector.ErrRange, collector.ErrWindow, collector.ErrGrain} {
		if errors.Is(err, known) {
			refuse(w, http.StatusBadRequest, "parameter", err.Error())
			return
		}
	}
	for _, known := range []error{collector.ErrDimension, collector.ErrNoDay, collector.ErrUnknownApp, collector.ErrFault} {
		if errors.Is(err, known) {
			refuse(w, http.StatusNotFound, "not_found", err.Error())
			return
		}
	}
	s.failed(w, err)
}

// unchanged sets the tag of an answer, and tells whether the client has it already.
func (s *Server) unchanged(w http.ResponseWriter, r *http.Request, app collector.App, v figures.View) bool {
	tag := fmt.Sprintf(`W/"%s-%d-%d-%t-%d"`, s.opts.Version, app.Num, s.c.Tag(app.Num, v), v.Public, v.K)
	header := w.Header()
	header.Set("ETag", tag)
	header.Set("Vary", varyByAsker)
	header.Set("Cache-Control", "private, no-cache")
	for candidate := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimSpace(candidate) == tag {
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// compressFrom is the size from which on answers are compressed, in bytes.
const compressFrom = 1400

// varyByAsker is the Vary header of answers that depend on who asks.
const varyByAsker = "Authorization, Cookie, Accept-Encoding"

// takesGzip tells whether a client takes gzip; q=0 says that it does not.
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
			return !ok || strings.Trim(q, "0.") != ""
		}
	}
	return false
}

// answer writes JSON, compressed for clients that take that.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, value any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(value); err != nil {
		s.failed(w, err)
		return
	}
	w.Header()["Content-Type"] = jsonType
	compressed(w, r, body.Bytes())
}

func compressed(w http.ResponseWriter, r *http.Request, body []byte) {
	if !slices.Contains(w.Header().Values("Vary"), varyByAsker) {
		w.Header().Set("Vary", "Accept-Encoding")
	}
	if len(body) < compressFrom || !takesGzip(r) {
		w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	z.Write(body)
	z.Close()
}

// An AppEntry is what the list of apps says of one.
type AppEntry struct {
	Key     string        `json:"key"`
	Name    string        `json:"name"`
	Public  bool          `json:"public"`
	K       int           `json:"k"`
	Created collector.Day `json:"created"`
}

// AppList is the apps that the asker may read.
type AppList struct {
	Apps []AppEntry `json:"apps"`
}

func (s *Server) apps(w http.ResponseWriter, r *http.Request) {
	list := AppList{Apps: []AppEntry{}}
	for _, app := range s.c.Apps() {
		if app.Public || s.may(r, app.Key, access.Read) {
			k := app.K
			if k == 0 {
				k = collector.DefaultK
			}
			name := app.Name
			if name == "" {
				name = app.Key
			}
			list.Apps = append(list.Apps, AppEntry{app.Key, name, app.Public, k, app.Created})
		}
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", varyByAsker)
	s.answer(w, r, list)
}
