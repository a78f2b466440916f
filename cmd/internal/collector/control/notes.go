package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
)

// Notes calls [note.Store.List].
func (c *Client) Notes(ctx context.Context, app string) ([]note.Note, error) {
	return call[[]note.Note](ctx, c, http.MethodGet, notesPath(app), nil)
}

// AddNote calls [note.Store.Add].
func (c *Client) AddNote(ctx context.Context, app string, n note.Note) (note.Note, error) {
	return call[note.Note](ctx, c, http.MethodPost, notesPath(app), n)
}

// RemoveNote calls [note.Store.Remove].
func (c *Client) RemoveNote(ctx context.Context, app string, id int) error {
	_, err := call[none](ctx, c, http.MethodDelete, notesPath(app)+"/"+strconv.Itoa(id), nil)
	return err
}

func notesPath(app string) string { return "/apps/" + url.PathEscape(app) + "/notes" }

func (s *Server) notes(r *http.Request) ([]note.Note, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	return s.dir.Notes.List(r.Context(), app.Num)
}

func (s *Server) addNote(r *http.Request) (note.Note, error) {
	app, err := s.app(r)
	if err != nil {
		return note.Note{}, err
	}
	n, err := body[note.Note](r)
	if err != nil {
		return note.Note{}, err
	}
	added, err := s.dir.Notes.Add(r.Context(), app.Num, n)
	if err == nil {
		s.audit(audit.NoteAdded, app.Key, added.String())
	}
	return added, err
}

func (s *Server) removeNote(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return none{}, fmt.Errorf("%w: %s", note.ErrNone, r.PathValue("id"))
	}
	removed, err := s.dir.Notes.Remove(r.Context(), app.Num, id)
	if err == nil {
		s.audit(audit.NoteRemoved, app.Key, removed.String())
	}
	return none{}, err
}
