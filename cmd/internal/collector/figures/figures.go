// Package figures holds what a collector answers: the types of all figures, the
// order they are shown in, and the rule that hides small groups from the
// public. Package engine computes them.
package figures

import (
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A View says who asks. The zero value is the maintainer, who sees everything.
type View struct {
	// Public shows windows that are over, without groups smaller than K.
	Public bool
	// Pairs lets the public see the table of two dimensions too.
	Pairs bool
	// K is the app's.
	K int
	// Segment selects the installations that are counted. The public has none.
	Segment collector.Segment
}

// PublicView returns what the public may see of a public app.
func PublicView(app collector.App) View { return View{Public: true, Pairs: app.PublicPairs, K: app.K} }

// A Count is a number that may be hidden: nil, or null in JSON.
type Count = *uint64

// Meta is part of every answer.
type Meta struct {
	// AsOf is the moment up to which reports are counted: that of the last
	// report, or for the public the end of a window.
	AsOf time.Time `json:"as_of"`
	// Complete means that the answer is final: all its days are closed, and
	// nothing was left out.
	Complete bool `json:"complete"`
	// Denominator is what shares are shares of. DenominatorOf describes it,
	// such as "installations active in the 28 days to 2026-05-06".
	Denominator   uint64 `json:"denominator"`
	DenominatorOf string `json:"denominator_of"`
	// Suppressed is the number of figures of the answer that are hidden from the
	// public, and null, because their group is too small.
	Suppressed int `json:"suppressed"`
	// Next is the day on which the public gets the figures of the next window;
	// missing for the maintainer.
	Next collector.Day `json:"next,omitzero"`
	// Segment is the canonical text of the segment that the answer is about. All
	// values in it, also those of past days, are those that installations have now.
	Segment string `json:"segment,omitempty"`
	// Reaches is the first day whose activity a segment can see; missing if that is
	// the app's first. What needs earlier days is left out.
	Reaches collector.Day `json:"reaches,omitzero"`
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
