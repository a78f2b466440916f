package idstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A StateFile keeps the ID in a plain file of its own, for hosts without a JSON config.
type StateFile struct{ file *anchor.Anchor }

// NewStateFile gives the store of the file at path, an absolute path; it does not touch the disk.
func NewStateFile(path string) (*StateFile, error) { return newStateFile(fsys.OS{}, path) }

func newStateFile(fsys fsys.FS, path string) (*StateFile, error) {
	file, err := anchor.Open(fsys, path, anchor.Options{Valid: isID})
	if err != nil {
		return nil, err
	}
	return &StateFile{file}, nil
}

// Load reads the file.
func (s *StateFile) Load(ctx context.Context) (keeper.Record, error) {
	rec := keeper.Record{Place: s.place()}
	text, err := s.file.Read(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rec, keeper.ErrNotFound
	case err != nil:
		return rec, err
	}
	if rec.ID, err = installid.Parse(text); err != nil {
		rec.Replaced = true
		return rec, keeper.ErrNotFound
	}
	rec.Unsynced = s.file.Unsynced(text)
	return rec, nil
}

// Save makes the file, unless it is there with a valid ID.
func (s *StateFile) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	text, err := s.file.Publish(ctx, id.String())
	if err != nil {
		return keeper.Record{}, err
	}
	stored, err := installid.Parse(text)
	return keeper.Record{ID: stored, Place: s.place(), Written: stored == id}, err
}

// Replace makes the file anew.
func (s *StateFile) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	if err := s.file.Replace(ctx, id.String()); err != nil {
		return keeper.Record{}, err
	}
	return keeper.Record{ID: id, Place: s.place(), Written: true}, nil
}

// Maintain does nothing: there is one copy, and Load has just seen it.
func (s *StateFile) Maintain(_ context.Context, id installid.ID) (keeper.Record, error) {
	return keeper.Record{ID: id, Place: s.place()}, nil
}

// Recover makes the file durable and removes temporary files of killed processes.
func (s *StateFile) Recover(ctx context.Context) error {
	err := s.file.Sync(ctx)
	s.file.Sweep(ctx) // best effort: what stays is swept at the next start
	return err
}

// Running tells which file operation is in flight and since when.
func (s *StateFile) Running() (op string, since time.Time) { return s.file.Running() }

func (s *StateFile) place() string { return "state file " + s.file.Path() }

// A Funcs keeps the ID through two functions of the host, for hosts that have a settings object of their own. They
// are never called two at a time; one that hangs costs one goroutine, and one that panics is an error.
type Funcs struct {
	load   func(context.Context) (string, error)
	save   func(context.Context, string) error
	flight flight.Flight
}

// NewFuncs gives the store that calls load, which gives the stored ID or "", and save. Neither may be nil.
func NewFuncs(load func(context.Context) (string, error), save func(context.Context, string) error) (*Funcs, error) {
	if load == nil || save == nil {
		return nil, errors.New("both a Load and a Save function are needed")
	}
	return &Funcs{load: load, save: save}, nil
}

const funcPlace = "the host's settings"

// Load calls the host's load.
func (s *Funcs) Load(ctx context.Context) (keeper.Record, error) {
	rec := keeper.Record{Place: funcPlace}
	text, err := flight.Do(ctx, &s.flight, "load from the host's settings", s.load)
	switch {
	case err != nil:
		return rec, hostError(err)
	case text == "":
		return rec, keeper.ErrNotFound
	}
	if rec.ID, err = installid.Parse(text); err != nil {
		rec.Replaced = true
		return rec, keeper.ErrNotFound
	}
	return rec, nil
}

// Save calls the host's save.
func (s *Funcs) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	_, err := flight.Do(ctx, &s.flight, "save to the host's settings", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.save(ctx, id.String())
	})
	if err != nil {
		return keeper.Record{}, hostError(err)
	}
	return keeper.Record{ID: id, Place: funcPlace, Written: true}, nil
}

// Replace calls the host's save.
func (s *Funcs) Replace(ctx context.Context, id installid.ID) (keeper.Record, error) {
	return s.Save(ctx, id)
}

// Running tells which function of the host is in flight and since when.
func (s *Funcs) Running() (op string, since time.Time) { return s.flight.Running() }

// hostError is an error of the host's functions without the ID that its text may hold, since errors are logged.
func hostError(err error) error {
	if text := shortenIDs(err.Error()); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

const idLength = 36

// shortenIDs shortens every ID in text as installid.ID.Short does.
func shortenIDs(text string) string {
	for i := 0; i+idLength <= len(text); i++ {
		if id, err := installid.Parse(text[i : i+idLength]); err == nil {
			text = text[:i] + id.Short() + text[i+idLength:]
		}
	}
	return text
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// A Fixed holds an ID that was given from outside, such as by an environment variable, and that cannot change.
type Fixed struct {
	id    installid.ID
	place string
}

// NewFixed gives the store of id; place says where it came from.
func NewFixed(id installid.ID, place string) (*Fixed, error) {
	if id.IsZero() {
		return nil, errors.New("no installation ID")
	}
	return &Fixed{id, place}, nil
}

// Load gives the ID.
func (s *Fixed) Load(context.Context) (keeper.Record, error) {
	return keeper.Record{ID: s.id, Place: s.place}, nil
}

// Save gives the ID; there is nothing to save.
func (s *Fixed) Save(context.Context, installid.ID) (keeper.Record, error) {
	return keeper.Record{ID: s.id, Place: s.place}, nil
}

// Replace fails.
func (s *Fixed) Replace(context.Context, installid.ID) (keeper.Record, error) {
	return keeper.Record{}, fmt.Errorf("the installation ID comes from the %s; change it there", s.place)
}

var (
	_ keeper.Store      = (*ConfigFile)(nil)
	_ keeper.Maintainer = (*ConfigFile)(nil)
	_ keeper.Store      = (*StateFile)(nil)
	_ keeper.Maintainer = (*StateFile)(nil)
	_ keeper.Store      = (*Funcs)(nil)
	_ keeper.Store      = (*Fixed)(nil)
)
