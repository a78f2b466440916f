package idstore

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
)

// Fixed holds an ID that was set from outside, such as by an environment
// variable, and cannot change.
type Fixed struct {
	noUpkeep
	rec keeper.Record
}

var _ keeper.Store = (*Fixed)(nil)

// NewFixed returns the store of id, which must not be zero. Place says where
// it came from.
func NewFixed(id installid.ID, place string) *Fixed {
	return &Fixed{rec: keeper.Record{ID: id, Place: place}}
}

// Load returns the ID.
func (s *Fixed) Load(context.Context) (keeper.Record, error) { return s.rec, nil }

// Save returns the ID. There is nothing to save.
func (s *Fixed) Save(context.Context, installid.ID) (keeper.Record, error) { return s.rec, nil }

// Replace fails.
func (s *Fixed) Replace(context.Context, installid.ID, installid.ID) (keeper.Record, error) {
	return keeper.Record{}, fmt.Errorf("the installation ID comes from the %s; change it there", s.rec.Place)
}

// Running returns no operation.
func (s *Fixed) Running() (op string, since time.Time) { return "", time.Time{} }

// noUpkeep is part of a store with one copy that needs no repair.
type noUpkeep struct{}

// Maintain does nothing.
func (noUpkeep) Maintain(context.Context, installid.ID) (keeper.Record, error) {
	return keeper.Record{}, nil
}

// Recover does nothing.
func (noUpkeep) Recover(context.Context) error { return nil }
