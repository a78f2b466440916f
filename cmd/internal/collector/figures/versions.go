package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Versions shows how releases are adopted.
type Versions struct {
	Meta
	collector.Range
	// Releases are ordered newest first by [report.CompareVersions].
	Releases []Release `json:"releases"`
	// Moves are the changes of version in the range, the most frequent first. The
	// public does not see them.
	Moves      []Move `json:"moves"`
	Upgrades   Count  `json:"upgrades"`
	Downgrades Count  `json:"downgrades"`
}

// A Release is one version.
type Release struct {
	Version string `json:"version"`
	// Pre means that it is a pre-release or a development version.
	Pre bool `json:"pre"`
	// Doubtful means that no installation known for 30 days runs it and that the
	// maintainer did not declare it, while others have that support: it may be
	// an invention. In an app that is younger, established installations count.
	// A doubtful release has no Adoption. The public does not see it.
	Doubtful bool `json:"doubtful"`
	// Released is the day that the maintainer set, or of first sight. The public
	// does not see the latter.
	Released collector.Day `json:"released,omitzero"`
	// Stated means that the maintainer set Released, or published the release.
	Stated bool `json:"stated"`
	// Active counts the installations that run it, of those active in the 28
	// days to the end of the range.
	Active Count `json:"active"`
	// Adoption is by days since Released: how many of the installations active
	// on that day run this version or a newer one.
	Adoption []AdoptionPoint `json:"adoption"`
	// HalfAfter is the number of days until half of the active installations
	// ran it or a newer version, or nil.
	HalfAfter *int `json:"half_after_days"`
}

// A ReleaseDay is the day of a release on a time axis.
type ReleaseDay struct {
	Version string        `json:"version"`
	Day     collector.Day `json:"day"`
	// Dated means that the release came out on that day, as the maintainer said.
	// Otherwise it was first seen then.
	Dated bool `json:"dated"`
}

// An AdoptionPoint is one point of a [Release].
type AdoptionPoint struct {
	Days   int     `json:"days"`
	Active Count   `json:"active"`
	Of     Count   `json:"of"`
	Share  float64 `json:"share"`
}

// A Move counts the changes from one version to another.
type Move struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Count Count  `json:"count"`
	Up    bool   `json:"up"`
}

// A Floor shows how many installations remain if a version becomes the oldest
// supported one. The denominator is the installations active in 28 days that
// report a version.
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
