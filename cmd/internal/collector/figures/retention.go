package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Retention is a cohort triangle. The denominator is the sum of the sizes.
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
	// Cells[n] counts those that were active n periods later; Cells[0] is the
	// cohort's own period.
	Cells []Cell `json:"cells"`
}

// A Cell is one cell of a [Retention].
type Cell struct {
	Active Count   `json:"active"`
	Share  float64 `json:"share"` // of the size; 0 if hidden
	// Open means that the period is not over, and Gap that the collector was
	// not running during all of it.
	Open bool `json:"open"`
	Gap  bool `json:"gap,omitzero"`
}

// A Survival has a curve for each version that installations began with: how
// many of them were active N weeks later.
type Survival struct {
	Meta
	Versions []VersionSurvival `json:"versions"`
}

// A VersionSurvival is one curve of a [Survival].
type VersionSurvival struct {
	Version string `json:"version"`
	Size    Count  `json:"size"`
	// Cells is indexed by weeks since the week of first sight.
	Cells []SurvivalCell `json:"cells"`
}

// A SurvivalCell is one point of a curve. Of counts the installations that are
// old enough for it.
type SurvivalCell struct {
	Active Count   `json:"active"`
	Of     Count   `json:"of"`
	Share  float64 `json:"share"`
}
