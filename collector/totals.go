package collector

// The kinds of records, and what their Day and Name are. Data is JSON where nothing else is said.
const (
	kindApp       = "app"       // Name: the app's key. An App, with the AppNum 0 in the record's key.
	kindFirst     = "first"     // Day. The Num that was next when the day began; see [fleet.first].
	kindActive    = "active"    // Day, Name: chunk. One chunk of the day's bits.
	kindEver      = "ever"      // Name: "established/" or "clones/" and the chunk.
	kindDims      = "dims"      // Name: the dimension. Its number and its values; see [dimensionRecord].
	kindTotal     = "total"     // Day. A dayTotal.
	kindSplit     = "split"     // Day, Name: dimension. A split: the counts of each value in all windows.
	kindRetention = "retention" // Day: when the period begins, Name: grain. A retentionRow.
	kindSurvival  = "survival"  // Day: Monday, Name: first version. A retentionRow by weeks.
	kindMoves     = "moves"     // Day. []move.
	kindRelease   = "release"   // Name: version. A releaseRecord.
	kindIssue     = "issue"     // Name: issue. An issueRecord.
	kindIssueDay  = "issueday"  // Day, Name: issue. An issueDay.
	kindIssueBits = "issuebits" // Day, Name: issue and chunk with '/' between. The installations that reported it.
	kindFaults    = "faults"    // Name: Num in hexadecimal. What an installation reported; deleted with it.
	kindToday     = "today"     // Name: "memory" or "excluded". The keys, one after the other; deleted with the day.
	kindSetting   = "setting"   // Name: of the setting; see Setting.
)

// A dayTotal is what is kept of a day for good. It has no identity in it. Windows are in the order of windowDays.
type dayTotal struct {
	// Gap says that the collector was not running on that day.
	Gap         bool        `json:"gap,omitzero"`
	Active      [4]uint64   `json:"active"`
	Established [4]uint64   `json:"established"`
	New         uint64      `json:"new"`
	Returning   uint64      `json:"returning"`
	Lost        uint64      `json:"lost"`
	Clones      uint64      `json:"clones"`
	MedianAge   uint64      `json:"median_age"`
	Counters    dayCounters `json:"counters"`
}

// dayCounters are what is counted while it happens.
type dayCounters struct {
	Forgotten      uint64            `json:"forgotten"`
	InMemory       uint64            `json:"in_memory"`
	Excluded       uint64            `json:"excluded"`
	Accepted       uint64            `json:"accepted"`
	Repeated       uint64            `json:"repeated"`
	DroppedFields  uint64            `json:"dropped_fields"`
	DroppedFacts   uint64            `json:"dropped_facts"`
	DroppedContext uint64            `json:"dropped_context"`
	Skewed         uint64            `json:"skewed"`
	Upgrades       uint64            `json:"upgrades"`
	Downgrades     uint64            `json:"downgrades"`
	Refused        map[string]uint64 `json:"refused,omitempty"`
	Moves          map[string]uint64 `json:"moves,omitempty"` // by "from\x00to"
}

// A split is how many of a day's active installations had each value of a dimension. Windows are in the order of
// windowDays. The values are those at the end of the day.
type split struct {
	Values map[string][4]uint64 `json:"values"`
}

// A retentionRow is one period: how many of each cohort were active in it, by the first day of the cohort's own period.
type retentionRow struct {
	Gap    bool           `json:"gap,omitzero"`
	Active map[Day]uint64 `json:"active"`
	// Size is how many were new in each of these cohorts, by the same key, as far as Active has them.
	Size map[Day]uint64 `json:"size"`
}
