package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// A Store keeps one installation ID.
//
// Its methods return soon after their context ends, even if the storage
// hangs. They leave at most one operation behind, and later calls wait for
// it. They are safe for concurrent use.
type Store interface {
	// Load reads the stored ID and changes nothing. ErrNotFound means that
	// the storage was read and holds no ID. After any other error an ID may
	// well be stored. An error that wraps jsonedit.ErrEmpty means that the
	// storage is empty, which counts as ErrNotFound once it has stayed so
	// over all attempts. The other fields of the record are valid even with
	// an error.
	Load(ctx context.Context) (Record, error)

	// Save stores id, unless an ID that counts is stored already. The error is
	// ErrRetired if id itself was retired. The record holds
	// the ID that is durable now, and is zero if none is. A record together
	// with an error means that one of the copies could not be written.
	Save(ctx context.Context, id installid.ID) (Record, error)

	// Replace retires old, if that is not zero, and whatever is stored, for
	// good: none of them counts any more, wherever a copy turns up. Then it
	// stores id.
	Replace(ctx context.Context, old, id installid.ID) (Record, error)

	// Maintain writes the copies of id that are missing. The keeper calls it
	// at most once an hour, so as not to fight a host that removes one. The
	// record is zero if there is nothing to maintain.
	Maintain(ctx context.Context, id installid.ID) (Record, error)

	// Recover repairs what killed processes left behind: a stored ID that is
	// not durable yet, a copy of the ID from before a reset, temporary files.
	// The keeper calls it once, soon after the start. After an error the
	// stored ID is not known to be durable.
	Recover(ctx context.Context) error

	// Running returns the operation in flight and when it began, or "".
	Running() (op string, since time.Time)
}

// A Record is what a Store holds.
type Record struct {
	// ID is the stored ID, or zero.
	ID installid.ID
	// Place says where the ID is or would be stored, for the operator.
	Place string
	// OnlyAnchor reports that the config is not known to hold the ID too.
	OnlyAnchor bool
	// Incomplete reports that a copy is missing.
	Incomplete bool
	// Reason says why there can be no copy, for the operator; empty if one is
	// possible.
	Reason string
	// Unsynced reports that this process wrote the ID, or tried to, without
	// making it durable. Save does.
	Unsynced bool
	// Written reports that this call wrote the ID where the host's config
	// has it.
	Written bool
	// Invalid reports that the value stored in the ID's place is, or was
	// before this call, not an ID.
	Invalid bool
	// Retired reports that a stored ID was found that does not count, because
	// it was retired; or, of Replace, that the old ID is retired although the
	// new one could not be stored.
	Retired bool
	// Enabled is the value of the config's consent key, read together with
	// the ID. It is Absent if there is no config or if it could not be read.
	// Save sets it when it creates the config.
	Enabled jsonedit.Value
	// Doubt says why the ID may not be there at the next start, although it
	// is durable. Empty means that it will.
	Doubt string
	// Unread reports that the config could not be read or parsed, although
	// the ID is known from elsewhere.
	Unread bool
}

// ErrRetired is returned by Save for an ID that was reset or forgotten.
var ErrRetired = errors.New("the installation ID was reset or forgotten")

// ErrNotFound is returned by Load if no ID is stored.
var ErrNotFound = errors.New("no installation ID is stored")
