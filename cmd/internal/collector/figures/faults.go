package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Faults lists the faults that installations report. The denominator is the
// installations active in the range.
type Faults struct {
	Meta
	collector.Range
	Faults []Fault `json:"faults"` // the most affected installations first
}

// A Fault is one fault in the range.
type Fault struct {
	// ID identifies the fault in links; it never changes.
	ID        string `json:"id"`
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	// FirstSeen and LastSeen are the collector's days, over all time.
	FirstSeen collector.Day `json:"first_seen"`
	LastSeen  collector.Day `json:"last_seen"`
	// Affected counts the installations that reported it in the range, and
	// Occurrences how often it occurred.
	Affected    Count `json:"affected"`
	Occurrences Count `json:"occurrences"`
	// Versions has the versions with affected installations, newest first.
	Versions []FaultVersion `json:"versions"`
	// NewIn is the version that introduced the fault, or empty if an older
	// version may have it too.
	NewIn string `json:"new_in"`
	// Status, FixedIn and Note are the maintainer's triage. FixedIn is the
	// version of FaultFixed. Note has at most [collector.MaxNoteLen] characters.
	Status  collector.FaultStatus `json:"status"`
	FixedIn string                `json:"fixed_in"`
	Note    string                `json:"note"`
}

// A FaultVersion is a [Fault] in one version.
type FaultVersion struct {
	Version  string `json:"version"`
	Affected Count  `json:"affected"`
	Active   Count  `json:"active"`
	// PerThousand is Affected per 1,000 of Active.
	PerThousand float64 `json:"per_thousand"`
}
