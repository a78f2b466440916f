package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// queryTimeout bounds how long a request waits for an answer of the collector.
const queryTimeout = 20 * time.Second

func (s *Server) answer(question question) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.ask(w, r, question, nil, "") }
}

// export answers a question as a table: CSV, or one JSON object per line. The
// parameter "of" is the name of the question, series by default; the question's
// own parameters apply.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	of := cmp.Or(values.Get("of"), "series")
	i := slices.IndexFunc(questions, func(q question) bool { return q.name == of })
	if i < 0 {
		var names []string
		for _, q := range questions {
			names = append(names, q.name)
		}
		refuse(w, http.StatusBadRequest, reasonParameter, "parameter of: it is not one of "+strings.Join(names, ", "))
		return
	}
	s.ask(w, r, questions[i], []string{"of", "format"}, cmp.Or(values.Get("format"), "csv"))
}

// ask answers a question, with these parameters besides its own: as a table in a
// format, or in JSON if there is none.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, question question, more []string, format string) {
	q, ok := s.query(w, r, question.privacy)
	if !ok || !q.restrict(w, slices.Concat(more, question.parameters(q.view.Public))) {
		return
	}
	if q.readSegment(); q.err != nil {
		s.refuseQuery(w, q.err)
		return
	}
	kind, write := "text/csv; charset=utf-8", (*table.Table).CSV
	switch format {
	case "", "csv":
	case "jsonl":
		kind, write = "application/x-ndjson", (*table.Table).JSONLines
	case "spreadsheet":
		write = (*table.Table).Spreadsheet
	default:
		refuse(w, http.StatusBadRequest, reasonParameter, "parameter format: it is not csv, spreadsheet or jsonl")
		return
	}
	if s.unchanged(w, r, q) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	result, err := question.ask(ctx, q)
	switch {
	case err != nil:
		s.refuseQuery(w, err)
	case format == "":
		s.writeJSON(w, r, result.json)
	default:
		reader, ok := s.opts.Access.Grant(r)
		if !ok || !reader.May(q.app.Key, access.Read) { // the app's admins must not learn the names of others' tokens
			reader.Name = audit.Nobody
		}
		s.opts.Audit.Add(audit.Entry{Action: audit.Exported, Actor: reader.Name, App: q.app.Key, Detail: question.name})
		extension := strings.ReplaceAll(format, "spreadsheet", "csv")
		w.Header().Set("Content-Disposition", `attachment; filename="`+q.app.Key+"-"+question.name+"."+extension+`"`)
		w.Header().Set("Content-Type", kind)
		respond.Body(w, r, write(result.table()))
	}
}

// query returns the query of a request, with what its sender may see of the app.
// A sender who may see nothing cannot tell a missing app from a closed one.
func (s *Server) query(w http.ResponseWriter, r *http.Request, to privacy) (*query, bool) {
	key := r.PathValue("app")
	app, found := s.engine.App(key)
	q := &query{engine: s.engine, app: app, values: r.URL.Query()}
	switch {
	case s.mayRead(r, key):
		if !found {
			refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "there is no such app")
			return nil, false
		}
	case found && app.Public && (to == open || to == pairs && app.PublicPairs):
		q.view = figures.PublicView(app)
	default:
		refuseUnauthorized(w, "a token that may read the app")
		return nil, false
	}
	var err error
	if q.today, _, err = s.engine.Today(app.Num); err != nil {
		s.refuseUnavailable(w, err)
		return nil, false
	}
	return q, true
}

// mayRead reports whether the sender of a request may read an app, or all apps if
// it is empty.
func (s *Server) mayRead(r *http.Request, app string) bool {
	grant, ok := s.opts.Access.Grant(r)
	return ok && grant.May(app, access.Read)
}

// unchanged reports whether the client already has the answer; then it has been
// told so.
func (s *Server) unchanged(w http.ResponseWriter, r *http.Request, q *query) bool {
	tag := s.engine.Tag(q.app.Num, q.view)
	return respond.Unchanged(w, r, fmt.Sprintf("%s-%d-%d-%v", s.opts.Version, q.app.Num, tag, q.view))
}

// refuseQuery refuses a request for figures because of an error of the collector
// or in the parameters.
func (s *Server) refuseQuery(w http.ResponseWriter, err error) {
	w.Header().Del("ETag")
	isOneOf := func(errs ...error) bool {
		return slices.ContainsFunc(errs, func(target error) bool { return errors.Is(err, target) })
	}
	switch {
	case isOneOf(errParameter, collector.ErrRange, collector.ErrWindow, collector.ErrGrain, collector.ErrDimension, collector.ErrSegment, engine.ErrNotSegmented):
		refuse(w, http.StatusBadRequest, reasonParameter, err.Error())
	case isOneOf(collector.ErrNoDay, collector.ErrUnknownApp, collector.ErrFault, collector.ErrVersion):
		refuse(w, http.StatusNotFound, reasonNotFound, err.Error())
	default:
		s.refuseUnavailable(w, err)
	}
}

func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, value any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(value); err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	w.Header()["Content-Type"] = jsonType
	respond.Body(w, r, body.Bytes())
}

// An AppEntry describes an app.
type AppEntry struct {
	Key     string        `json:"key"`
	Name    string        `json:"name"`
	Public  bool          `json:"public"`
	K       int           `json:"k"`
	Created collector.Day `json:"created"`
}

// An AppList is the apps that the sender of a request may read.
type AppList struct {
	Apps []AppEntry `json:"apps"`
}

func (s *Server) apps(w http.ResponseWriter, r *http.Request) {
	list := AppList{Apps: []AppEntry{}}
	for _, app := range s.engine.Apps() {
		if app.Public || s.mayRead(r, app.Key) {
			entry := AppEntry{app.Key, cmp.Or(app.Name, app.Key), app.Public, cmp.Or(app.K, collector.DefaultK), app.Created}
			list.Apps = append(list.Apps, entry)
		}
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization, Cookie, Accept-Encoding")
	s.writeJSON(w, r, list)
}
