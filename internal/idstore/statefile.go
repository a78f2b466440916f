package idstore

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/anchor"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// A StateFile keeps the ID in a plain file of its own, for hosts without a
// JSON config.
type StateFile struct {
	noUpkeep
	file    *anchor.Anchor
	retired *ledger
}

var _ keeper.Store = (*StateFile)(nil)

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
	rec.Unsynced = s.file.Unsynced(text)
	s.retired.refreshToUse(ctx)
	return parse(rec, text, s.retired)
}

// parse adds to rec the ID that a store keeps as plain text.
func parse(rec keeper.Record, text string, retired *ledger) (keeper.Record, error) {
	var err error
	if rec.ID, err = ParseID(text); err != nil {
		rec.Invalid = true
		return rec, keeper.ErrNotFound
	}
	if retired.has(rec.ID) {
		rec.ID, rec.Retired, rec.Unsynced = installid.ID{}, true, false
		return rec, keeper.ErrNotFound
	}
	return rec, nil
}

// Save creates the file unless it exists with a valid ID.
func (s *StateFile) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	if err := s.retired.check(ctx, id); err != nil {
		return keeper.Record{}, err
	}
	text, err := s.file.Publish(ctx, id.String())
	if err != nil {
		return keeper.Record{}, err
	}
	stored, err := ParseID(text)
	return keeper.Record{ID: stored, Place: s.place(), Written: stored == id}, err
}

// Replace retires the old ID and writes the file.
func (s *StateFile) Replace(ctx context.Context, old, id installid.ID) (keeper.Record, error) {
	text, _ := s.file.Read(ctx) // what cannot be read is no ID that anybody uses
	stored, _ := ParseID(text)
	if err := s.retired.retire(ctx, old, stored); err != nil {
		return keeper.Record{}, err
	}
	if err := s.file.Replace(ctx, id.String()); err != nil {
		return keeper.Record{Retired: true}, err
	}
	return keeper.Record{ID: id, Place: s.place(), Written: true}, nil
}

// Recover makes the file durable and removes temporary files of killed
// processes.
func (s *StateFile) Recover(ctx context.Context) error {
	err := s.file.Sync(ctx)
	s.retired.sweep(ctx)
	s.file.Sweep(ctx) // what remains is removed at the next start
	return err
}

// Running returns the file operation in flight and when it began.
func (s *StateFile) Running() (op string, since time.Time) { return s.file.Running() }

func (s *StateFile) place() string { return "state file " + s.file.Path() }

func (s *StateFile) doubts(keeper.Record) []doubtFunc { return []doubtFunc{s.file.Doubt} }

func (s *StateFile) mayFollow(context.Context) bool { return true }
