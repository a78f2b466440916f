package collector

import (
	"errors"
	"fmt"
	"time"
)

// A Held is everything that a collector holds about one installation of an app.
type Held struct {
	App         string `json:"app"`
	FirstSeen   Day    `json:"first_seen"`
	LastSeen    Day    `json:"last_seen"`
	Days        []Day  `json:"days"`
	Established bool   `json:"established"`
	// InMemory means that the ID is not persisted. Excluded means that the
	// installation runs a development version of an app that excludes those.
	// Either is held until the end of the day only.
	InMemory bool              `json:"in_memory,omitzero"`
	Excluded bool              `json:"excluded,omitzero"`
	Values   map[string]string `json:"values"` // by dimension
	Faults   []HeldFault       `json:"faults"`
}

// A HeldFault is one fault of an installation.
type HeldFault struct {
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	// Count is how often the fault occurred in all.
	Count uint64 `json:"count"`
	// Since is when the sender last began to count.
	Since time.Time `json:"since,omitzero"`
	// Last is the day of the last report with a new occurrence.
	Last Day `json:"last"`
}

// A RefusedID is an installation ID whose reports an app refuses, because many
// installations share it.
type RefusedID struct {
	// ID is the beginning of the ID. The whole one is not stored.
	ID    string `json:"id"`
	Since Day    `json:"since"`
}

// MaxRefusedIDs bounds the refused IDs of an app.
const MaxRefusedIDs = 1000

// Errors of refusing IDs.
var (
	// ErrTooManyRefusedIDs means that MaxRefusedIDs IDs are refused already.
	ErrTooManyRefusedIDs = fmt.Errorf("the app refuses %d IDs already", MaxRefusedIDs)
	// ErrNotRefused means that the ID is not refused.
	ErrNotRefused = errors.New("the ID is not refused")
)

// A Deletion is the receipt for deleting an installation.
type Deletion struct {
	// Deleted is the number of apps that the installation was deleted from: 0
	// if none held it.
	Deleted int       `json:"deleted"`
	At      time.Time `json:"at"`
	// Erased says how far the deletion reaches. Backups that were made before are
	// not affected in either case.
	Erased Erasure `json:"erased"`
	// Promise says the same in words.
	Promise string `json:"promise"`
}

// Promise returns in words what holds after a deletion.
func (e Erasure) Promise() string {
	if e == ErasedFromFiles {
		return "No query, page, export, new backup, or file of the database holds it. " +
			"Backups made before lose it when the collector's operator removes them."
	}
	return "No query, page, export, or new backup holds it. Files of the database lose it at the next scrub; " +
		"logs, replicas, archives, snapshots, and earlier backups when the retention of the collector's operator ends."
}
