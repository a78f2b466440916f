package idstore

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/flight"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// Funcs keep the ID through two functions of the host, for hosts with a
// settings object of their own. Only one of them runs at a time. One that hangs
// costs one goroutine, and a panic is an error.
type Funcs struct {
	noUpkeep
	load   func(context.Context) (string, error)
	save   func(context.Context, string) error
	flight flight.Flight

	retired *ledger
}

var _ keeper.Store = (*Funcs)(nil)

const funcsPlace = "the host's settings"

// A foreignError means that the host's settings hold something that is no ID.
// It may be the only copy of what the host counted by before, so that nothing
// is written over it. The error does not quote it.
type foreignError struct{}

func (foreignError) Error() string {
	return funcsPlace + " hold something that is no installation ID, which is not overwritten; convert it with installid.FromLegacy, or remove it"
}

// Permanent is for [configfile.Permanent].
func (foreignError) Permanent() bool { return true }

// Load calls the host's load function.
func (s *Funcs) Load(ctx context.Context) (keeper.Record, error) {
	rec := keeper.Record{Place: funcsPlace}
	text, err := flight.Do(ctx, &s.flight, "load from the host's settings", s.load)
	switch {
	case err != nil:
		return rec, redact(err)
	case text == "":
		return rec, keeper.ErrNotFound
	}
	if !isID(text) {
		return rec, foreignError{}
	}
	s.retired.refreshToUse(ctx)
	return parse(rec, text, s.retired)
}

// Save calls the host's save function.
func (s *Funcs) Save(ctx context.Context, id installid.ID) (keeper.Record, error) {
	if err := s.retired.check(ctx, id); err != nil {
		return keeper.Record{}, err
	}
	_, err := flight.Do(ctx, &s.flight, "save to the host's settings", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.save(ctx, id.String())
	})
	if err != nil {
		return keeper.Record{}, redact(err)
	}
	return keeper.Record{ID: id, Place: funcsPlace, Written: true}, nil
}

// Replace retires the old ID and calls the host's save function.
func (s *Funcs) Replace(ctx context.Context, old, id installid.ID) (keeper.Record, error) {
	if old.IsZero() { // before a start
		rec, _ := s.Load(ctx)
		old = rec.ID
	}
	if err := s.retired.retire(ctx, old); err != nil {
		return keeper.Record{}, err
	}
	rec, err := s.Save(ctx, id)
	rec.Retired = err != nil
	return rec, err
}

// Recover removes temporary files of killed processes.
func (s *Funcs) Recover(ctx context.Context) error {
	s.retired.sweep(ctx)
	return nil
}

// Running returns the function in flight and when it was called.
func (s *Funcs) Running() (op string, since time.Time) { return s.flight.Running() }

// redact shortens the IDs in the text of an error of the host, since errors
// are logged.
func redact(err error) error {
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

// shortenIDs replaces every ID in text by its short form.
func shortenIDs(text string) string {
	const length = len("00000000-0000-0000-0000-000000000000")
	for i := 0; i+length <= len(text); i++ {
		if id, err := installid.Parse(text[i : i+length]); err == nil {
			text = text[:i] + id.Short() + text[i+length:]
		}
	}
	return text
}
