package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// A Value is one value of a dimension, and how many installations have it.
type Value struct {
	Value string  `json:"value"`
	Count Count   `json:"count"`
	Share float64 `json:"share"` // of the installations that report the dimension; 0 if hidden
}

// A Breakdown splits the installations active in a window by one dimension. The
// denominator is Active.
type Breakdown struct {
	Meta
	Dimension string `json:"dimension"`
	// Window is 1, 7, 28 or 30 days, and To its last day.
	Window int           `json:"window_days"`
	To     collector.Day `json:"to"`
	// Active is how many installations are active, and Reporting how many of
	// them report the dimension.
	Active    Count `json:"active"`
	Reporting Count `json:"reporting"`
	// Values are ordered by count, largest first; versions newest first.
	Values []Value `json:"values"`
}

// A Trend is a breakdown day by day.
type Trend struct {
	Meta
	collector.Range
	Dimension string `json:"dimension"`
	Window    int    `json:"window_days"`
	// Values are those with the largest counts on the last day, and Other for
	// the rest.
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

// A CoOccurrence counts the pairs of values of two dimensions, over a window as
// in [Breakdown].
type CoOccurrence struct {
	Meta
	Row     string        `json:"row"`
	Column  string        `json:"column"`
	Window  int           `json:"window_days"`
	To      collector.Day `json:"to"`
	Rows    []string      `json:"rows"`    // at most MaxPairs values, the most frequent first
	Columns []string      `json:"columns"` // likewise
	Counts  [][]Count     `json:"counts"`  // Counts[row][column]
}
