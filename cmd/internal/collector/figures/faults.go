package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Faults lists the faults that installations report. The denominator is the
// installations active in the range.
type Faults struct {
	Meta
	collector.Range
	Faults []Fault `json:"faults"` // the most affected installations first
	// Totals sum up all faults. The public does not see them.
	Totals FaultTotals `json:"totals,omitzero"`
}

// A FaultTotals sums up the faults of a range. An installation with several faults
// counts once in each figure.
type FaultTotals struct {
	// Affected counts the installations that reported any fault.
	Affected Count `json:"affected"`
	// BySeverity, ByComponent, and ByCountry have the most affected installations
	// first. The country is that of the installation's last heartbeat.
	BySeverity  []FaultGroup `json:"by_severity"`
	ByComponent []FaultGroup `json:"by_component"`
	ByCountry   []FaultGroup `json:"by_country"`
	// ByDay has the days of the range that are today or one of the 30 days before.
	ByDay []FaultDay `json:"by_day"`
	// Sums add up the facts of [collector.SummedFacts], over the installations that
	// were active in the range. Facts that nobody reports are missing.
	Sums []FactSum `json:"sums"`
}

// A FactSum adds up the values of a fact.
type FactSum struct {
	Fact string `json:"fact"`
	Sum  Count  `json:"sum"`
	// Reporting counts the installations whose values are in the sum.
	Reporting Count `json:"reporting"`
}

// A FaultGroup is the installations that reported faults of one kind, or from one
// place.
type FaultGroup struct {
	Name     string `json:"name"`
	Affected Count  `json:"affected"`
	// Occurrences is how often these faults occurred; null if it is not known.
	Occurrences Count `json:"occurrences"`
}

// A FaultDay is what was reported on a day.
type FaultDay struct {
	Day collector.Day `json:"day"`
	// Open means that the day is not over.
	Open        bool  `json:"open"`
	Affected    Count `json:"affected"`
	Occurrences Count `json:"occurrences"`
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
	// FirstSeen and LastSeen are the collector's days, over all time. The public
	// does not see them.
	FirstSeen collector.Day `json:"first_seen,omitzero"`
	LastSeen  collector.Day `json:"last_seen,omitzero"`
	// Affected counts the installations that reported it in the range, and
	// Occurrences how often it occurred.
	Affected    Count `json:"affected"`
	Occurrences Count `json:"occurrences"`
	// Versions has the versions with affected installations, newest first. The
	// public does not see it, nor NewIn.
	Versions []FaultVersion `json:"versions"`
	// NewIn is the version that introduced the fault, or empty if an older
	// version may have it too.
	NewIn string `json:"new_in"`
	// Sample is the context of one report, the last that had one. The public does
	// not see it.
	Sample map[string]string `json:"sample,omitempty"`
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
	// Occurrences is how often it occurred in the version.
	Occurrences Count `json:"occurrences"`
	// PerThousand is Affected per 1,000 of Active.
	PerThousand float64 `json:"per_thousand"`
}
