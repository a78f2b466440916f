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
	// Truncated are the dimensions that have reached their limit of values, and
	// "facts" if there are [collector.MaxFacts] facts.
	Truncated []string `json:"truncated"`
	// Clients splits the active installations by client and version.
	Clients []Value `json:"clients"`
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

// A Stored describes what a collector holds.
type Stored struct {
	Bytes         int64         `json:"bytes"`
	Installations uint64        `json:"installations"` // of the app
	Journal       int           `json:"journal_entries"`
	Since         collector.Day `json:"since"` // the first day
}
