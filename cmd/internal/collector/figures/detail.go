package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A VersionDetail is all about one version. The denominator is the installations
// active in the 28 days to the end of the range that report a version. Of a
// segment, what only totals say is missing: Days, Adoption, and the moves.
type VersionDetail struct {
	Meta
	collector.Range
	Version string `json:"version"`
	Pre     bool   `json:"pre"`
	// Released and FirstSeen are as in [Release]; Released is missing unless the
	// maintainer set it.
	Released  collector.Day `json:"released,omitzero"`
	FirstSeen collector.Day `json:"first_seen,omitzero"`
	// Before is the version that it is compared with: the newest older one, by the
	// app's order of versions, among those that are as well supported; pre-releases
	// only for a pre-release. It is empty if there is none.
	Before string `json:"before"`
	// Active counts the installations that run it, of those active in the 28 days to
	// the end of the range, and Newer those that run a newer one; both are nil if that
	// day has no figures. Silent ones run it, but were not active then.
	Active Count `json:"active"`
	Newer  Count `json:"newer"`
	Silent Count `json:"silent"`
	// Days has the days of the range since it was first seen: those that ran it, of
	// the installations active in the 28 days to each.
	Days []VersionDay `json:"days"`
	// Adoption and HalfAfter are as in [Release], also of a doubtful one.
	Adoption  []AdoptionPoint `json:"adoption"`
	HalfAfter *int            `json:"half_after_days"`
	// Survival has the curves of the installations that were first seen on it, and
	// on Before, and Kept compares the two by weeks since first sight.
	Survival []VersionSurvival `json:"survival"`
	Kept     []Difference      `json:"kept"`
	// Faults are those of the two versions since FirstSeen, the most significant
	// first.
	Faults []VersionFault `json:"faults"`
	// CameFrom and WentTo are the changes of version in the range, the most frequent
	// first.
	CameFrom []Move `json:"came_from"`
	WentTo   []Move `json:"went_to"`
	// Began counts the installations that were new in the range and began with it.
	Began Count `json:"began"`
}

// A VersionDay is one day of a [VersionDetail].
type VersionDay struct {
	Day     collector.Day `json:"day"`
	Open    bool          `json:"open"`
	Gap     bool          `json:"gap"`
	Running Count         `json:"running"`
	Of      Count         `json:"of"`
	Share   float64       `json:"share"`
}

// A VersionFault compares a fault in a version (A) with the one before (B): the
// installations that reported it in the range, of the active ones that run the
// version now.
type VersionFault struct {
	ID        string `json:"id"`
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage"`
	Severity  string `json:"severity"`
	Difference
}

// A FaultDetail is all about one fault. The denominator is the installations active
// in the range.
type FaultDetail struct {
	Meta
	collector.Range
	Fault Fault `json:"fault"`
	// Days has each day of the range. How often a fault occurred is not known for a
	// segment.
	Days []FaultDay `json:"days"`
	// Dimensions split the affected installations by what they report now, in the
	// order of their names. Versions are those of Fault.
	Dimensions []FaultDimension `json:"dimensions"`
	// Triage is what was said of the fault, the latest first.
	Triage []collector.Triage `json:"triage"`
}

// A FaultDimension splits the affected installations by one dimension.
type FaultDimension struct {
	Dimension string       `json:"dimension"`
	Values    []FaultValue `json:"values"` // the most affected installations first
}

// A FaultValue is how many of the active installations with a value reported the
// fault.
type FaultValue struct {
	Value       string  `json:"value"`
	Affected    Count   `json:"affected"`
	Active      Count   `json:"active"`
	PerThousand float64 `json:"per_thousand"`
}
