package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	appnote "github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
)

type notesData struct {
	Notes   []appnote.Note // the latest day first
	MaxText int
}

// notes returns what the settings page shows of the notes.
func (d *dashboard) notes(ctx context.Context, app collector.AppNum) (*notesData, error) {
	if d.opts.Notes == nil {
		return nil, nil
	}
	notes, err := d.opts.Notes.List(ctx, app)
	slices.Reverse(notes)
	return &notesData{notes, appnote.MaxTextLen}, err
}

func (d *dashboard) addNote(r *http.Request, v viewer) error {
	if d.opts.Notes == nil {
		return appnote.ErrNone
	}
	n := appnote.Note{Text: formText(r, "text")}
	if text := r.PostFormValue("day"); text != "" {
		var err error
		if n.Day, err = collector.ParseDay(text); err != nil {
			return err
		}
	}
	added, err := d.opts.Notes.Add(r.Context(), v.app.Num, n)
	if err == nil {
		d.audit(v, audit.NoteAdded, added.String())
	}
	return err
}

func (d *dashboard) removeNote(r *http.Request, v viewer) error {
	id, err := strconv.Atoi(r.PostFormValue("id"))
	if d.opts.Notes == nil || err != nil {
		return appnote.ErrNone
	}
	removed, err := d.opts.Notes.Remove(r.Context(), v.app.Num, id)
	if err == nil {
		d.audit(v, audit.NoteRemoved, removed.String())
	}
	return err
}
