package engine

import (
	"encoding/json"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The kinds of records, and what their Day and Name are. Data is JSON where nothing else is said.
const (
	kindApp         = "app"       // Name: the app's key. An App, with the AppNum 0 in the record's key.
	kindFirst       = "first"     // Day. The Num that was next when the day began; see [fleet.first].
	kindActive      = "active"    // Day, Name: chunk. One chunk of the day's bits.
	kindEver        = "ever"      // Name: "established/" or "clones/" and the chunk.
	kindDims        = "dims"      // Name: the dimension. Its number and its values; see [dimensionRecord].
	kindTotal       = "total"     // Day. A dayTotal.
	kindSplit       = "split"     // Day, Name: dimension. A split: the counts of each value in all windows.
	kindRetention   = "retention" // Day: when the period begins, Name: grain. A retentionRow.
	kindSurvival    = "survival"  // Day: Monday, Name: first version. A retentionRow by weeks.
	kindOpen        = "open"      // An openDay: the day that is being counted.
	kindRelease     = "release"   // Name: version. A releaseRecord.
	kindFault       = "issue"     // Name: fault. A faultRecord.
	kindFaultDay    = "issueday"  // Day, Name: fault. A faultDay.
	kindFaultBits   = "issuebits" // Day, Name: fault and chunk with '/' between. The installations that reported it.
	kindFaultCounts = "faults"    // Name: Num in hexadecimal. []faultCount: what an installation reported; deleted with it.
	kindToday       = "today"     // Name: "memory" or "excluded". The keys, one after the other; deleted with the day.
	kindSetting     = "setting"   // Name: of the setting; see Setting.
)

// An openDay is what is kept of the day that is being counted, as far as the journal does not have it.
type openDay struct {
	Today    collector.Day `json:"today"`
	Next     collector.Num `json:"next"`
	Counters dayCounters   `json:"counters"`
}

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
	Forgotten      uint64            `json:"forgotten,omitzero"`
	InMemory       uint64            `json:"in_memory,omitzero"`
	Excluded       uint64            `json:"excluded,omitzero"`
	Accepted       uint64            `json:"accepted,omitzero"`
	Repeated       uint64            `json:"repeated,omitzero"`
	DroppedFields  uint64            `json:"dropped_fields,omitzero"`
	DroppedFacts   uint64            `json:"dropped_facts,omitzero"`
	DroppedContext uint64            `json:"dropped_context,omitzero"`
	Skewed         uint64            `json:"skewed,omitzero"`
	Upgrades       uint64            `json:"upgrades,omitzero"`
	Downgrades     uint64            `json:"downgrades,omitzero"`
	Refused        map[string]uint64 `json:"refused,omitempty"`
	Moves          map[string]uint64 `json:"moves,omitempty"` // by "from\x00to"
}

// A split is how many of a day's active installations had each value of a dimension. Windows are in the order of
// windowDays. The values are those at the end of the day.
type split struct {
	Values map[string][4]uint64 `json:"values"`
}

// A retentionRow is one period: how many of each cohort were active in it.
type retentionRow struct {
	Gap bool `json:"gap,omitzero"`
	// From is the first day of the oldest cohort. What follows is by cohort: one for each period from then to the row's own.
	From collector.Day `json:"from"`
	// Active is how many were active in the period, and Size how many were new in the cohort's own.
	Active []uint64 `json:"active"`
	Size   []uint64 `json:"size"`
}

// at gives the figures of the cohort that begins with a day; ok is false if the row does not have it.
func (r *retentionRow) at(g collector.Grain, cohort collector.Day) (active, size uint64, ok bool) {
	i := g.Periods(r.From, cohort)
	if cohort < r.From || i >= len(r.Active) || i >= len(r.Size) {
		return 0, 0, false
	}
	return r.Active[i], r.Size[i], true
}

// jsonRecord gives a record with a value in JSON.
func jsonRecord(key collector.RecordKey, value any) collector.Record {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // all of them can be encoded
	}
	return collector.Record{RecordKey: key, Data: data}
}

// maxMovesPerDay bounds the different changes of version that are kept of a day; further ones are in the sums only.
const maxMovesPerDay = 1000

// add adds what happened.
func (c *dayCounters) add(d *dayCounters) {
	c.Forgotten += d.Forgotten
	c.InMemory += d.InMemory
	c.Excluded += d.Excluded
	c.Accepted += d.Accepted
	c.Repeated += d.Repeated
	c.DroppedFields += d.DroppedFields
	c.DroppedFacts += d.DroppedFacts
	c.DroppedContext += d.DroppedContext
	c.Skewed += d.Skewed
	c.Upgrades += d.Upgrades
	c.Downgrades += d.Downgrades
	for reason, n := range d.Refused {
		if c.Refused == nil {
			c.Refused = make(map[string]uint64)
		}
		c.Refused[reason] += n
	}
	for move, n := range d.Moves {
		if c.Moves == nil {
			c.Moves = make(map[string]uint64)
		}
		if _, known := c.Moves[move]; known || len(c.Moves) < maxMovesPerDay {
			c.Moves[move] += n
		}
	}
}

// decodeRecord reads JSON that jsonRecord made.
func decodeRecord(r collector.Record, into any) error {
	if err := json.Unmarshal(r.Data, into); err != nil {
		return fmt.Errorf("record %s/%d/%s/%q is broken: %w", r.Kind, r.App, r.Day, r.Name, err)
	}
	return nil
}
