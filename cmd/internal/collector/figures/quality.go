package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Quality shows how reliable the figures are, day by day.
type Quality struct {
	Meta
	collector.Range
	Points []QualityPoint `json:"points"`
	// Clones counts installations whose ID is probably used more than once:
	// their reports alternate between states.
	Clones Count `json:"clones"`
	// TwoSenders counts installations that two programs report: a client in the
	// YA-WAMF wire format, and an agent or a library.
	TwoSenders Count `json:"two_senders"`
	// Shared counts installations whose ID reported from many addresses in a day:
	// it is probably part of an image. RefusedIDs counts the IDs that the app
	// refuses.
	Shared     Count `json:"shared"`
	RefusedIDs int   `json:"refused_ids"`
	// TurnedAway are the names and values that got no place, or lost it.
	TurnedAway TurnedAway `json:"turned_away"`
	// Clients splits the active installations by client and version.
	Clients []Value `json:"clients"`
	// Clock says whether the collector trusts its clock, for all apps.
	Clock collector.Clock `json:"clock"`
	// Stored describes what the store holds.
	Stored Stored `json:"stored"`
}

// A QualityPoint is one day of a [Quality].
type QualityPoint struct {
	Day      collector.Day `json:"day"`
	Open     bool          `json:"open"`
	Gap      bool          `json:"gap"`
	Accepted uint64        `json:"accepted"`
	Repeated uint64        `json:"repeated"`
	// Refused is by reason: a code of package report, or one of the constants
	// of package collector.
	Refused map[string]uint64 `json:"refused"`
	// DroppedFields, DroppedFacts and DroppedContext are as in [report.Dropped].
	DroppedFields  uint64 `json:"dropped_fields"`
	DroppedFacts   uint64 `json:"dropped_facts"`
	DroppedContext uint64 `json:"dropped_context"`
	// Skewed counts reports whose sender's clock was more than an hour off.
	Skewed uint64 `json:"skewed"`
}

// A TurnedAway lists what was turned away since a day: since the app was added,
// or since the list was cleared.
type TurnedAway struct {
	Since  collector.Day `json:"since"`
	Tables []TurnedTable `json:"tables"` // in the order of their names
}

// A TurnedTable is one table that was full, or where one address prefix had
// brought too many new entries in a day.
type TurnedTable struct {
	// Table is a dimension, "facts" for the names of facts, or "faults".
	Table string `json:"table"`
	// Count is how often an entry was turned away. One report may be counted
	// several times, and so may one entry.
	Count uint64 `json:"count"`
	// Examples are the first different ones, at most 5. Anyone can have sent
	// them.
	Examples []string `json:"examples"`
}

// A Stored describes what a collector holds.
type Stored struct {
	Bytes         int64         `json:"bytes"`
	Installations uint64        `json:"installations"` // of the app
	Journal       int           `json:"journal_entries"`
	Since         collector.Day `json:"since"` // the first day
}
