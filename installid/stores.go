package installid

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/internal/configfile"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// A StateStore keeps the ID in a plain file of its own, for hosts without a JSON config.
type StateStore struct{ file *configfile.Anchor }

// NewStateStore gives the store of the file at path, an absolute path; it does not touch the disk.
func NewStateStore(path string) (*StateStore, error) { return newStateStore(fsys.OS{}, path) }

func newStateStore(fsys fsys.FS, path string) (*StateStore, error) {
	file, err := configfile.OpenAnchorFS(fsys, path, isID)
	if err != nil {
		return nil, err
	}
	return &StateStore{file}, nil
}

// Load reads the file.
func (s *StateStore) Load(ctx context.Context) (Record, error) {
	rec := Record{Place: s.place()}
	text, err := s.file.Read(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return rec, ErrNotFound
	case err != nil:
		return rec, err
	}
	if rec.ID, err = Parse(text); err != nil {
		rec.Replaced = true
		return rec, ErrNotFound
	}
	rec.Unsynced = s.file.Unsynced(text)
	return rec, nil
}

// Save makes the file, unless it is there with a valid ID.
func (s *StateStore) Save(ctx context.Context, id ID) (Record, error) {
	text, err := s.file.Publish(ctx, id.String())
	if err != nil {
		return Record{}, err
	}
	stored, err := Parse(text)
	return Record{ID: stored, Place: s.place(), Written: stored == id}, err
}

// Replace makes the file anew.
func (s *StateStore) Replace(ctx context.Context, id ID) (Record, error) {
	if err := s.file.Replace(ctx, id.String()); err != nil {
		return Record{}, err
	}
	return Record{ID: id, Place: s.place(), Written: true}, nil
}

// Maintain does nothing: there is one copy, and Load has just seen it.
func (s *StateStore) Maintain(_ context.Context, id ID) (Record, error) {
	return Record{ID: id, Place: s.place()}, nil
}

// Recover makes the file durable and removes temporary files of killed processes.
func (s *StateStore) Recover(ctx context.Context) error {
	err := s.file.Confirm(ctx)
	s.file.Sweep(ctx) // best effort: what stays is swept at the next start
	return err
}

// Running tells which file operation is in flight and since when.
func (s *StateStore) Running() (op string, since time.Time) { return s.file.Running() }

func (s *StateStore) place() string { return "state file " + s.file.Path() }

// A FuncStore keeps the ID through two functions of the host, for hosts that have a settings object of their own. They
// are never called two at a time; one that hangs costs one goroutine, and one that panics is an error.
type FuncStore struct {
	load   func(context.Context) (string, error)
	save   func(context.Context, string) error
	flight flight.Flight
}

// NewFuncStore gives the store that calls load, which gives the stored ID or "", and save. Neither may be nil.
func NewFuncStore(load func(context.Context) (string, error), save func(context.Context, string) error) (*FuncStore, error) {
	if load == nil || save == nil {
		return nil, errors.New("both a Load and a Save function are needed")
	}
	return &FuncStore{load: load, save: save}, nil
}

const funcPlace = "the host's settings"

// Load calls the host's load.
func (s *FuncStore) Load(ctx context.Context) (Record, error) {
	rec := Record{Place: funcPlace}
	text, err := flight.Do(ctx, &s.flight, "load from the host's settings", s.load)
	switch {
	case err != nil:
		return rec, hostError(err)
	case text == "":
		return rec, ErrNotFound
	}
	if rec.ID, err = Parse(text); err != nil {
		rec.Replaced = true
		return rec, ErrNotFound
	}
	return rec, nil
}

// Save calls the host's save.
func (s *FuncStore) Save(ctx context.Context, id ID) (Record, error) {
	_, err := flight.Do(ctx, &s.flight, "save to the host's settings", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.save(ctx, id.String())
	})
	if err != nil {
		return Record{}, hostError(err)
	}
	return Record{ID: id, Place: funcPlace, Written: true}, nil
}

// Replace calls the host's save.
func (s *FuncStore) Replace(ctx context.Context, id ID) (Record, error) { return s.Save(ctx, id) }

// Running tells which function of the host is in flight and since when.
func (s *FuncStore) Running() (op string, since time.Time) { return s.flight.Running() }

// hostError is an error of the host's functions without the ID that its text may hold, since errors are logged.
func hostError(err error) error {
	if text := shortenIDs(err.Error()); text != err.Error() {
		return &redactedError{text, err}
	}
	return err
}

type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// A FixedStore holds an ID that was given from outside, such as by an environment variable, and that cannot change.
type FixedStore struct {
	id    ID
	place string
}

// NewFixedStore gives the store of id; place says where it came from.
func NewFixedStore(id ID, place string) (*FixedStore, error) {
	if id.IsZero() {
		return nil, errors.New("no installation ID")
	}
	return &FixedStore{id, place}, nil
}

// Load gives the ID.
func (s *FixedStore) Load(context.Context) (Record, error) {
	return Record{ID: s.id, Place: s.place}, nil
}

// Save gives the ID; there is nothing to save.
func (s *FixedStore) Save(context.Context, ID) (Record, error) {
	return Record{ID: s.id, Place: s.place}, nil
}

// Replace fails.
func (s *FixedStore) Replace(context.Context, ID) (Record, error) {
	return Record{}, fmt.Errorf("the installation ID comes from the %s; change it there", s.place)
}

var (
	_ Store      = (*FileStore)(nil)
	_ Maintainer = (*FileStore)(nil)
	_ Store      = (*StateStore)(nil)
	_ Maintainer = (*StateStore)(nil)
	_ Store      = (*FuncStore)(nil)
	_ Store      = (*FixedStore)(nil)
)
