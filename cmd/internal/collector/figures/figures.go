package figures

import (
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A View says who asks. The zero value is the maintainer, who sees all.
type View struct {
	// Public says that groups smaller than K are hidden, and with them every figure from which one could be worked out.
	Public bool
	// K is the app's.
	K int
}

// Meta stands in every answer.
type Meta struct {
	// AsOf is the moment up to which reports are counted in it: of the last one, or for the public the full hour.
	AsOf time.Time `json:"as_of"`
	// Complete says that nothing will change any more: all days are closed, and nothing had to be left out.
	Complete bool `json:"complete"`
	// Denominator is what shares are shares of, and DenominatorOf says in words what that is, such as "installations
	// active in the 28 days to 2026-05-06".
	Denominator   uint64 `json:"denominator"`
	DenominatorOf string `json:"denominator_of"`
	// Suppressed is how many figures are hidden from the public since their group is too small. A hidden figure is null.
	Suppressed int `json:"suppressed"`
}

// A Count is a count that may be hidden: nil then, null in JSON.
type Count = *uint64

// Active counts the different installations in windows that end with a day, and include it.
type Active struct {
	Day    Count `json:"day"`
	Week   Count `json:"week"`   // 7 days
	Days28 Count `json:"days28"` // 28 days
	Days30 Count `json:"days30"` // 30 days
}

// A SeriesPoint is one day.
type SeriesPoint struct {
	Day collector.Day `json:"day"`
	// Open says that the day is not over.
	Open bool `json:"open"`
	// Gap says that the collector was not running on that day: its figures are not zero, but unknown.
	Gap bool `json:"gap"`
	// Active counts all installations, and Established those seen on at least two different days up to this one.
	Active      Active `json:"active"`
	Established Active `json:"established"`
	// New were seen for the first time. Returning are active and neither new nor active in the 28 days before. Lost were
	// last seen 28 days before. Forgotten were active in the 28 days before and asked to be deleted. So the 28-day figure
	// is that of the day before, and New, and Returning, less Lost and Forgotten.
	New       Count `json:"new"`
	Returning Count `json:"returning"`
	Lost      Count `json:"lost"`
	Forgotten Count `json:"forgotten"`
	// InMemory are IDs that are not persisted, and Excluded those of development versions where the app excludes them.
	// Neither is in any other figure.
	InMemory Count `json:"in_memory"`
	Excluded Count `json:"excluded"`
}

// A Series is the figures day by day; the denominator is the 28-day figure of the last day.
type Series struct {
	Meta
	collector.Range
	Points []SeriesPoint `json:"points"`
	// MedianAge is the median number of days since first sight of the installations active in the last 28 days.
	MedianAge Count `json:"median_age_days"`
}

// A Value is one value of a dimension and how many installations have it.
type Value struct {
	Value string  `json:"value"`
	Count Count   `json:"count"`
	Share float64 `json:"share"` // of the installations that report the dimension; 0 when hidden
}

// A Breakdown splits the installations that are active in a window by one dimension. The denominator is Active.
type Breakdown struct {
	Meta
	Dimension string `json:"dimension"`
	// Window is 1, 7, 28 or 30 days, and To its last day.
	Window int           `json:"window_days"`
	To     collector.Day `json:"to"`
	// Active is how many are active, and Reporting how many of them report the dimension.
	Active    Count `json:"active"`
	Reporting Count `json:"reporting"`
	// Values are in the order of their counts, largest first; for versions, newest first.
	Values []Value `json:"values"`
}

// A Trend is a breakdown day by day.
type Trend struct {
	Meta
	collector.Range
	Dimension string `json:"dimension"`
	Window    int    `json:"window_days"`
	// Values are those with the largest counts on the last day, at most the number asked for, and Other for the rest.
	Values []string     `json:"values"`
	Points []TrendPoint `json:"points"`
}

// A TrendPoint is one day of a [Trend].
type TrendPoint struct {
	Day    collector.Day `json:"day"`
	Open   bool          `json:"open"`
	Gap    bool          `json:"gap"`
	Active Count         `json:"active"`
	Counts []Count       `json:"counts"` // one for each of Values
}

// Retention is a cohort triangle. The denominator is the sum of the sizes.
type Retention struct {
	Meta
	Grain   collector.Grain `json:"grain"`
	Cohorts []Cohort        `json:"cohorts"` // the oldest first
}

// A Cohort is the installations that were new in one period.
type Cohort struct {
	From collector.Day `json:"from"`
	// Size is how many were new.
	Size Count `json:"size"`
	// Cells count those that were active in the period of that age; Cells[0] is the period of the cohort itself.
	Cells []Cell `json:"cells"`
}

// A Cell is one cell of a [Retention].
type Cell struct {
	Active Count   `json:"active"`
	Share  float64 `json:"share"` // of the size; 0 when hidden
	// Open says that the period is not over, and Gap that the collector was not running during all of it.
	Open bool `json:"open"`
	Gap  bool `json:"gap,omitzero"`
}

// Survival is a curve for each version that installations began with: how many of them were active N weeks after.
type Survival struct {
	Meta
	Versions []VersionSurvival `json:"versions"`
}

// A VersionSurvival is one curve of [Survival].
type VersionSurvival struct {
	Version string `json:"version"`
	Size    Count  `json:"size"`
	// Cells is by weeks since the week of first sight; Of is how many installations are old enough for it.
	Cells []SurvivalCell `json:"cells"`
}

// A SurvivalCell is one point of a curve.
type SurvivalCell struct {
	Active Count   `json:"active"`
	Of     Count   `json:"of"`
	Share  float64 `json:"share"`
}

// Versions says how releases are taken up.
type Versions struct {
	Meta
	collector.Range
	// Releases are the versions that were seen, newest first by [report.CompareVersions].
	Releases []Release `json:"releases"`
	// Moves are changes from one version to another in the range, the most frequent first, at most MaxMoves.
	Moves      []Move `json:"moves"`
	Upgrades   Count  `json:"upgrades"`
	Downgrades Count  `json:"downgrades"`
}

// MaxMoves bounds the moves of an answer.
const MaxMoves = 50

// A Release is one version.
type Release struct {
	Version string `json:"version"`
	// Pre says that it is a pre-release or a development version.
	Pre bool `json:"pre"`
	// Released is the day that the maintainer set, or on which it was first seen.
	Released collector.Day `json:"released"`
	// Active is how many installations that were active in the 28 days to the end of the range run it.
	Active Count `json:"active"`
	// Adoption is by days since Released: how many of the installations active on that day run it or a newer version.
	Adoption []AdoptionPoint `json:"adoption"`
	// HalfAfter is after how many days half of the active installations ran it or a newer version; nil if they did not.
	HalfAfter *int `json:"half_after_days"`
}

// An AdoptionPoint is one point of a [Release].
type AdoptionPoint struct {
	Days   int     `json:"days"`
	Active Count   `json:"active"`
	Of     Count   `json:"of"`
	Share  float64 `json:"share"`
}

// A Move is a number of changes from one version to another.
type Move struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Count Count  `json:"count"`
	Up    bool   `json:"up"`
}

// A Floor says how many installations stay if a version becomes the oldest that is supported. The denominator is how many
// of those active in 28 days report a version.
type Floor struct {
	Meta
	To    collector.Day `json:"to"`
	Steps []FloorStep   `json:"steps"` // newest version first
}

// A FloorStep is one version of a [Floor].
type FloorStep struct {
	Version string  `json:"version"`
	Kept    Count   `json:"kept"`
	Share   float64 `json:"share"`
}

// A CoOccurrence counts the pairs of values of two dimensions, over a window as in [Breakdown].
type CoOccurrence struct {
	Meta
	Row     string        `json:"row"`
	Column  string        `json:"column"`
	Window  int           `json:"window_days"`
	To      collector.Day `json:"to"`
	Rows    []string      `json:"rows"`    // at most MaxPairs values, the most frequent first
	Columns []string      `json:"columns"` // the same
	Counts  [][]Count     `json:"counts"`  // Counts[row][column]
}

// Faults are the faults that installations report. The denominator is the installations active in the range.
type Faults struct {
	Meta
	collector.Range
	Faults []Fault `json:"faults"` // the most affected installations first
}

// A Fault is one fault, in the range.
type Fault struct {
	// ID stands for the fault in links; it does not change.
	ID        string `json:"id"`
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	// FirstSeen and LastSeen are days of the collector, over all time.
	FirstSeen collector.Day `json:"first_seen"`
	LastSeen  collector.Day `json:"last_seen"`
	// Affected is how many installations reported it in the range, and Occurrences how often it happened.
	Affected    Count `json:"affected"`
	Occurrences Count `json:"occurrences"`
	// Versions says of each version, newest first, how many of its active installations are affected.
	Versions []FaultVersion `json:"versions"`
	// NewIn is the version with which it came, if no older version has it; else empty.
	NewIn string `json:"new_in"`
	// Status is what the maintainer says of it.
	Status collector.FaultStatus `json:"status"`
	// FixedIn is the version, with the status FaultFixed, and Note a note of the maintainer, at most MaxNoteLen characters.
	FixedIn string `json:"fixed_in"`
	Note    string `json:"note"`
}

// A FaultVersion is an [Fault] in one version.
type FaultVersion struct {
	Version  string `json:"version"`
	Affected Count  `json:"affected"`
	Active   Count  `json:"active"`
	// PerThousand is Affected for each 1,000 of Active.
	PerThousand float64 `json:"per_thousand"`
}

// Quality says how far the figures can be trusted, day by day.
type Quality struct {
	Meta
	collector.Range
	Points []QualityPoint `json:"points"`
	// Clones are installations whose ID is probably used more than once: their reports alternate between states.
	Clones Count `json:"clones"`
	// Truncated are the dimensions with more than MaxValues values, whose rest is Other, and "facts" when there are more
	// than MaxFacts facts.
	Truncated []string `json:"truncated"`
	// Clients splits the active installations by client and version.
	Clients []Value `json:"clients"`
	// Stored says what the store holds.
	Stored Stored `json:"stored"`
}

// A QualityPoint is one day of [Quality]. Refused is by reason: the codes of package report and the Refused constants.
type QualityPoint struct {
	Day      collector.Day     `json:"day"`
	Open     bool              `json:"open"`
	Gap      bool              `json:"gap"`
	Accepted uint64            `json:"accepted"`
	Repeated uint64            `json:"repeated"`
	Refused  map[string]uint64 `json:"refused"`
	// DroppedFields, DroppedFacts and DroppedContext are as in [report.Dropped].
	DroppedFields  uint64 `json:"dropped_fields"`
	DroppedFacts   uint64 `json:"dropped_facts"`
	DroppedContext uint64 `json:"dropped_context"`
	// Skewed are reports whose sender's clock was more than an hour off.
	Skewed uint64 `json:"skewed"`
}

// Stored says what a collector holds.
type Stored struct {
	Bytes         int64         `json:"bytes"`
	Installations uint64        `json:"installations"` // of the app
	Journal       int           `json:"journal_entries"`
	Since         collector.Day `json:"since"` // the first day
}
