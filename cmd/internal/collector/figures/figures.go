// Package figures holds what a collector answers: the types of all figures, the
// order they are shown in, and the rule that hides small groups from the
// public. Package engine computes them.
package figures

import "time"

// A View says who asks. The zero value is the maintainer, who sees everything.
type View struct {
	// Public hides groups smaller than K, and with them every figure that would
	// reveal one.
	Public bool
	// K is the app's.
	K int
}

// A Count is a number that may be hidden: nil, or null in JSON.
type Count = *uint64

// Meta is part of every answer.
type Meta struct {
	// AsOf is the moment up to which reports are counted: that of the last
	// report, or for the public the full hour.
	AsOf time.Time `json:"as_of"`
	// Complete means that the answer is final: all its days are closed, and
	// nothing was left out.
	Complete bool `json:"complete"`
	// Denominator is what shares are shares of. DenominatorOf describes it,
	// such as "installations active in the 28 days to 2026-05-06".
	Denominator   uint64 `json:"denominator"`
	DenominatorOf string `json:"denominator_of"`
	// Suppressed is the number of figures hidden from the public because their
	// group is too small. A hidden figure is null.
	Suppressed int `json:"suppressed"`
}

// Limits of answers.
const (
	// MaxTop bounds the values of a [Trend] and the curves of a [Survival].
	MaxTop = 20
	// MaxPairs bounds the values of each side of a [CoOccurrence].
	MaxPairs = 12
	// MaxMoves bounds the moves of [Versions].
	MaxMoves = 50
	// MaxReleases bounds the releases of [Versions]: the newest active ones.
	MaxReleases = 50
	// MaxAdoption bounds the releases whose adoption is followed, and
	// AdoptionDays for how long.
	MaxAdoption  = 12
	AdoptionDays = 90
)
