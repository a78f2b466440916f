package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
)

// maxNoteBody bounds the body of a request that adds a note, in bytes.
const maxNoteBody = 4 << 10

// A NoteList is the notes of an app, the earliest day first.
type NoteList struct {
	Notes []note.Note `json:"notes"`
}

// notes lists the notes of an app. They are not public.
func (s *Server) notes(w http.ResponseWriter, r *http.Request) {
	q, ok := s.query(w, r, private)
	if !ok || !q.restrict(w, nil) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	notes, err := s.opts.Notes.List(ctx, q.app.Num)
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization, Cookie, Accept-Encoding")
	s.writeJSON(w, r, NoteList{append([]note.Note{}, notes...)}) // never null
}

// A NewNote is a note to add. Without a day it is about today.
type NewNote struct {
	Day  collector.Day `json:"day,omitzero"`
	Text string        `json:"text"`
}

// addNote adds a note. It can be repeated. The sender is a program of the
// maintainer, so an unknown field is an error.
func (s *Server) addNote(w http.ResponseWriter, r *http.Request) {
	app, grant, ok := s.mayChange(w, r, access.Note, "a token that may add notes to the app")
	if !ok {
		return
	}
	var n NewNote
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxNoteBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&n); err != nil {
		refuse(w, http.StatusBadRequest, reasonParameter, fmt.Sprintf("body: %v", err))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	added, err := s.opts.Notes.Add(ctx, app.Num, note.Note{Day: n.Day, Text: n.Text})
	switch {
	case errors.Is(err, note.ErrInvalid), errors.Is(err, note.ErrTooMany):
		refuse(w, http.StatusBadRequest, reasonParameter, err.Error())
	case err != nil:
		s.refuseUnavailable(w, err)
	default:
		s.opts.Audit.Add(audit.Entry{Action: audit.NoteAdded, Actor: grant.Name, App: app.Key, Detail: added.String()})
		s.writeJSON(w, r, added)
	}
}

// removeNote removes a note, and answers with it.
func (s *Server) removeNote(w http.ResponseWriter, r *http.Request) {
	app, grant, ok := s.mayChange(w, r, access.Note, "a token that may remove notes of the app")
	if !ok {
		return
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		id = 0 // no note has it
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	removed, err := s.opts.Notes.Remove(ctx, app.Num, id)
	switch {
	case errors.Is(err, note.ErrNone):
		refuse(w, http.StatusNotFound, reasonNotFound, err.Error())
	case err != nil:
		s.refuseUnavailable(w, err)
	default:
		s.opts.Audit.Add(audit.Entry{Action: audit.NoteRemoved, Actor: grant.Name, App: app.Key, Detail: removed.String()})
		s.writeJSON(w, r, removed)
	}
}

// mayChange returns the app of a request whose sender has a scope for it. It
// answers all other requests. Token describes what they lack.
func (s *Server) mayChange(w http.ResponseWriter, r *http.Request, need access.Scope, token string) (collector.App, access.Grant, bool) {
	if !s.sameSite(w, r) {
		return collector.App{}, access.Grant{}, false
	}
	key := r.PathValue("app")
	grant, ok := s.opts.Access.Grant(r)
	if !ok || !grant.May(key, need) {
		refuseUnauthorized(w, token)
		return collector.App{}, access.Grant{}, false
	}
	app, ok := s.engine.App(key)
	if !ok {
		refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "there is no such app")
	}
	return app, grant, ok
}
