package keeper

import (
	"context"
	"errors"

	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// A Store keeps one installation ID.
//
// Its methods return soon after their context ends, whatever hangs beneath them, and leave at most one operation
// behind, for which a later call waits. They are safe for concurrent use.
type Store interface {
	// Load reads the ID that is stored and changes nothing. ErrNotFound says that the place could be read and holds no
	// ID; any other error says that it could not, and that an ID may well be there. One that wraps jsonedit.ErrEmpty
	// says that there is nothing at all, which counts as ErrNotFound once it has stayed so over the attempts. The
	// record's other fields count also with an error.
	Load(ctx context.Context) (Record, error)

	// Save stores id, unless a valid ID is there already, which then stands. The record says which ID is durable now
	// and is the zero Record when none is. An error together with a record says that a copy could not be made.
	Save(ctx context.Context, id installid.ID) (Record, error)

	// Replace stores id in place of any other: the reset that an operator asks for.
	Replace(ctx context.Context, id installid.ID) (Record, error)
}

// A Maintainer is a Store with upkeep to do besides.
type Maintainer interface {
	// Maintain makes whichever copy of the ID is missing, without a fight: the keeper calls it at most once an hour.
	Maintain(ctx context.Context, id installid.ID) (Record, error)
	// Recover makes good what killed processes left behind: an ID that is stored and not yet durable, a copy that still has
	// the ID from before a reset, temporary files. The keeper calls it once, soon after the start. An error says that the
	// stored ID is not known to be durable.
	Recover(ctx context.Context) error
}

// A Record is what a Store holds.
type Record struct {
	// ID is the stored ID; zero when there is none.
	ID installid.ID
	// Place says in words for an operator where it is or would be.
	Place string
	// Incomplete says that one of the copies the store keeps is missing.
	Incomplete bool
	// Unsynced says that this process has put the ID there, or tried to, and could not make it durable. Save does.
	Unsynced bool
	// Written says that this call wrote the ID where the host's config has it.
	Written bool
	// Replaced says that a value which is not an ID is, or was, in the ID's place.
	Replaced bool
	// Enabled is the value of the config's consent key, read together with the ID. It is Absent where a store has no
	// config or could not read it. Save gives it when it has made the config.
	Enabled jsonedit.Value
	// Unread says that the config could not be read, or not be understood, although the ID is known from elsewhere.
	Unread bool
}

// ErrNotFound says that a store could be read and holds no ID.
var ErrNotFound = errors.New("no installation ID is stored")
