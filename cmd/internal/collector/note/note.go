// Package note keeps the notes that the maintainer of an app puts on the time
// axes of its charts: a day, and what happened on it, such as "moved to the new
// mirror". Notes are plain text, and only readers with a token see them.
//
// The notes of an app are one setting of the collector.
package note

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The limits. MaxNotes of the longest notes fit into a setting.
const (
	// MaxNotes bounds the notes of an app.
	MaxNotes = 200
	// MaxTextLen bounds the text of a note, in characters.
	MaxTextLen = 200
)

// A Note is what happened on a day.
type Note struct {
	// ID identifies the note among those of its app, from 1 on. It is never given
	// to another note.
	ID int `json:"id"`
	// Day is the day it is about; [Store.Add] replaces 0 by the current day.
	Day collector.Day `json:"day,omitzero"`
	// Text is one line of printable characters, at most MaxTextLen of them.
	Text string `json:"text"`
}

// String returns the day and the text.
func (n Note) String() string { return n.Day.String() + " " + n.Text }

// Errors of changes.
var (
	// ErrInvalid means that a note is malformed.
	ErrInvalid = errors.New("invalid note")
	// ErrTooMany means that the app has MaxNotes notes already.
	ErrTooMany = fmt.Errorf("the app has %d notes already", MaxNotes)
	// ErrNone means that there is no note with the ID.
	ErrNone = errors.New("there is no such note")
)

// Validate reports what is wrong with a note, as an [ErrInvalid].
func (n Note) Validate() error {
	switch {
	case n.Text == "" || !utf8.ValidString(n.Text) || utf8.RuneCountInString(n.Text) > MaxTextLen:
		return fmt.Errorf("%w: text does not have 1 to %d characters", ErrInvalid, MaxTextLen)
	case n.Text != strings.TrimSpace(n.Text):
		return fmt.Errorf("%w: text begins or ends with a space", ErrInvalid)
	case strings.ContainsFunc(n.Text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: text has a line break or another character that cannot be printed", ErrInvalid)
	case n.Day < 0:
		return fmt.Errorf("%w: day %s is before 1970", ErrInvalid, n.Day)
	}
	return nil
}

// An Engine keeps settings.
type Engine interface {
	Setting(ctx context.Context, app collector.AppNum, name string) (data []byte, ok bool, err error)
	PutSetting(ctx context.Context, app collector.AppNum, name string, data []byte) error
}

// setting is the name of the setting.
const setting = "notes"

// stored is the setting.
type stored struct {
	Last  int    `json:"last"` // the ID that was given last
	Notes []Note `json:"notes"`
}

// A Store keeps the notes of all apps. Create it with [New]. It is safe for
// concurrent use.
type Store struct {
	engine Engine
	// changing is held from reading what a change begins with until it is stored.
	changing sync.Mutex
}

// New returns the store in the settings of an engine. It reads nothing yet.
func New(engine Engine) *Store { return &Store{engine: engine} }

// List returns the notes of an app, the earliest day first.
func (s *Store) List(ctx context.Context, app collector.AppNum) ([]Note, error) {
	all, err := s.read(ctx, app)
	return all.Notes, err
}

func (s *Store) read(ctx context.Context, app collector.AppNum) (all stored, err error) {
	data, ok, err := s.engine.Setting(ctx, app, setting)
	if err == nil && ok {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return stored{}, fmt.Errorf("read notes: %w", err)
	}
	return all, nil
}

// Add adds a note, whose ID it chooses, and returns it. It can be repeated: if the
// day has a note with the same text, that one is returned.
func (s *Store) Add(ctx context.Context, app collector.AppNum, n Note) (Note, error) {
	n.Text = strings.TrimSpace(n.Text)
	if err := n.Validate(); err != nil {
		return Note{}, err
	}
	if n.Day == 0 {
		n.Day = collector.DayOf(time.Now())
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	all, err := s.read(ctx, app)
	if err != nil {
		return Note{}, err
	}
	if i := slices.IndexFunc(all.Notes, func(o Note) bool { return o.Day == n.Day && o.Text == n.Text }); i >= 0 {
		return all.Notes[i], nil
	}
	if len(all.Notes) >= MaxNotes {
		return Note{}, ErrTooMany
	}
	all.Last++
	n.ID = all.Last
	all.Notes = append(all.Notes, n)
	slices.SortFunc(all.Notes, func(a, b Note) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.ID, b.ID)) })
	return n, s.put(ctx, app, all)
}

// Remove removes the note with an ID, and returns it.
func (s *Store) Remove(ctx context.Context, app collector.AppNum, id int) (Note, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	all, err := s.read(ctx, app)
	if err != nil {
		return Note{}, err
	}
	i := slices.IndexFunc(all.Notes, func(n Note) bool { return n.ID == id })
	if i < 0 {
		return Note{}, ErrNone
	}
	removed := all.Notes[i]
	all.Notes = slices.Delete(all.Notes, i, i+1)
	return removed, s.put(ctx, app, all)
}

func (s *Store) put(ctx context.Context, app collector.AppNum, all stored) error {
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := s.engine.PutSetting(ctx, app, setting, data); err != nil {
		return fmt.Errorf("store notes: %w", err)
	}
	return nil
}
