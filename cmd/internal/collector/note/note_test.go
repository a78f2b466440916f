package note_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

func open(t *testing.T) (*note.Store, *engine.Engine, collector.AppNum) {
	t.Helper()
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	app, err := e.AddApp(t.Context(), collector.App{Key: "myapp"})
	if err != nil {
		t.Fatal(err)
	}
	return note.New(e), e, app.Num
}

func TestNotes(t *testing.T) {
	s, e, app := open(t)
	day := collector.DayOf(time.Now()) - 3
	revision := e.Revision(app)
	add := func(day collector.Day, text string) note.Note {
		t.Helper()
		n, err := s.Add(t.Context(), app, note.Note{Day: day, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	today := collector.DayOf(time.Now())
	first, second := add(0, " moved to the new mirror "), add(day, "<b>talk & demo</b> ✓")
	if first.ID != 1 || first.Text != "moved to the new mirror" || first.Day < today || second.ID != 2 {
		t.Errorf("got %+v and %+v", first, second)
	}
	if again := add(day, second.Text); again != second {
		t.Errorf("repeated: got %+v, want %+v", again, second)
	}
	if e.Revision(app) == revision {
		t.Error("the pages of the app look unchanged")
	}
	list, err := s.List(t.Context(), app)
	if err != nil || len(list) != 2 || list[0] != second || list[1] != first {
		t.Errorf("got %+v, %v, want the earliest day first", list, err)
	}
	if removed, err := s.Remove(t.Context(), app, second.ID); err != nil || removed != second {
		t.Errorf("got %+v, %v", removed, err)
	}
	if _, err := s.Remove(t.Context(), app, second.ID); !errors.Is(err, note.ErrNone) {
		t.Errorf("removed twice: got %v", err)
	}
	if n := add(day, "another"); n.ID != 3 {
		t.Errorf("the ID %d was given twice", n.ID)
	}
}

func TestInvalidNotes(t *testing.T) {
	s, _, app := open(t)
	for what, n := range map[string]note.Note{
		"empty": {}, "a space": {Text: " \n "}, "too long": {Text: strings.Repeat("é", 201)}, "two lines": {Text: "a\nb"},
		"not UTF-8": {Text: "a\xff"}, "turned around": {Text: "a\u202eb"}, "before 1970": {Text: "a", Day: -1},
	} {
		if _, err := s.Add(t.Context(), app, n); !errors.Is(err, note.ErrInvalid) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := s.Add(t.Context(), app, note.Note{Text: strings.Repeat("é", 200)}); err != nil {
		t.Error(err)
	}
}

// The largest notes fit into a setting, and no concurrent one is lost.
func TestMostNotes(t *testing.T) {
	s, _, app := open(t)
	var wg sync.WaitGroup
	for i := range note.MaxNotes {
		wg.Go(func() {
			text := strings.Repeat("<", note.MaxTextLen) // six bytes each in JSON
			if _, err := s.Add(t.Context(), app, note.Note{Day: collector.Day(i + 1), Text: text}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := s.List(t.Context(), app); err != nil || len(list) != 200 {
		t.Errorf("got %d notes, %v", len(list), err)
	}
	if _, err := s.Add(t.Context(), app, note.Note{Text: "more"}); !errors.Is(err, note.ErrTooMany) {
		t.Errorf("one more: got %v", err)
	}
}
