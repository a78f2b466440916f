package figures

import "github.com/rollcall-dev/rollcall/cmd/internal/collector"

// An Active counts the distinct installations in the windows that end with a
// day, and include it.
type Active struct {
	Day    Count `json:"day"`
	Week   Count `json:"week"`   // 7 days
	Days28 Count `json:"days28"` // 28 days
	Days30 Count `json:"days30"` // 30 days
}

// A SeriesPoint is one day.
type SeriesPoint struct {
	Day collector.Day `json:"day"`
	// Open means that the day is not over.
	Open bool `json:"open"`
	// Gap means that the collector was not running on that day: its figures are
	// unknown, not zero.
	Gap bool `json:"gap"`
	// Active counts all installations, and Established those seen on at least
	// two different days up to this one.
	Active      Active `json:"active"`
	Established Active `json:"established"`
	// New installations were seen for the first time. Returning ones are active,
	// not new, and were not active in the 28 days before. Lost ones were last
	// seen 28 days before. Forgotten ones were active in the 28 days before and
	// asked to be deleted. The 28-day figure is therefore the previous day's,
	// plus New and Returning, minus Lost and Forgotten.
	New       Count `json:"new"`
	Returning Count `json:"returning"`
	Lost      Count `json:"lost"`
	Forgotten Count `json:"forgotten"`
	// InMemory counts IDs that are not persisted, and Excluded those of
	// development versions if the app excludes them. No other figure includes
	// them.
	InMemory Count `json:"in_memory"`
	Excluded Count `json:"excluded"`
}

// A Series is the figures day by day. The denominator is the 28-day figure of
// the last day. For the public it has the last days of windows, with the
// established installations of 28 days only.
type Series struct {
	Meta
	collector.Range
	Points []SeriesPoint `json:"points"`
	// MedianAge is the median number of days since first sight of the
	// installations active in the last 28 days.
	MedianAge Count `json:"median_age_days"`
}
