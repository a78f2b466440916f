package engine

import (
	"encoding/json"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The kinds of records, with their Day and Name. Data is JSON unless stated
// otherwise. These names are in every store: they never change, even where the
// code calls the thing something else by now (a fault was once an issue).
const (
	kindApp         = "app"        // Name: the app's key; the record's App is 0. A collector.App.
	kindFirst       = "first"      // Day. The Num that was next when the day began; see [fleet.first].
	kindActive      = "active"     // Day, Name: chunk. One chunk of the day's bits.
	kindEver        = "ever"       // Name: "established/", "clones/" or "shared/", and the chunk. Bits.
	kindDims        = "dims"       // Name: dimension. A dimensionRecord.
	kindTotal       = "total"      // Day. A dayTotal.
	kindSplit       = "split"      // Day, Name: dimension. A split.
	kindRetention   = "retention"  // Day: start of the period, Name: grain. A retentionRow.
	kindSurvival    = "survival"   // Day: Monday, Name: first version. A retentionRow by weeks.
	kindOpen        = "open"       // An openDay: the day being counted.
	kindRelease     = "release"    // Name: version. A releaseRecord.
	kindFault       = "issue"      // Name: fault. A faultRecord.
	kindFaultDay    = "issueday"   // Day, Name: fault. A faultDay.
	kindFaultBits   = "issuebits"  // Day, Name: fault, '/', chunk. Bits of the installations that reported it.
	kindFaultCounts = "faults"     // Name: Num in hexadecimal. []faultCount; deleted with the installation.
	kindSenders     = "senders"    // Name: Num in hexadecimal. A twoSenders; deleted with the installation.
	kindToday       = "today"      // Name: "memory" or "excluded", after "aside/" for the day put aside. Concatenated keys; deleted with the day.
	kindAside       = "aside"      // An asideDay, while there is one.
	kindRefusedID   = "refusedid"  // Name: the key in hexadecimal. A collector.RefusedID.
	kindClock       = "clock"      // The record's App is 0. A clockRecord.
	kindSetting     = "setting"    // Name: the setting's.
	kindTurned      = "turned"     // A turnedAway.
	kindDeclared    = "declared"   // A collector.Declarations.
	kindGeneration  = "generation" // The record's App is 0: a generationsRecord. Otherwise: true, and the keys are masked.
	kindImported    = "imported"   // Name: the SHA-256 of a history. An importedRecord.
)

// An openDay is what is stored of the day being counted, up to the last
// checkpoint.
type openDay struct {
	Today    collector.Day `json:"today"`
	Next     collector.Num `json:"next"`
	Counters dayCounters   `json:"counters"`
	// Purged is [fleet.purged]; 0 if the record was written before it was kept.
	Purged collector.Day `json:"purged,omitzero"`
	// Gap is [fleet.gap].
	Gap bool `json:"gap,omitzero"`
}

// A dayTotal is what is kept of a day for good. It identifies nobody. Arrays are
// indexed by window.
type dayTotal struct {
	// Gap means that the collector was not running on that day.
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

// A dayCounters counts events as they happen.
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
	// MoveAges has for each of Moves how long the oldest installation that made
	// it had been known. Totals do not have it.
	MoveAges map[string]collector.Day `json:"move_ages,omitempty"`
}

// maxMovesPerDay bounds the distinct changes of version kept per day. Beyond it,
// those made by the oldest installations are kept. The others are only part of
// the sums.
const maxMovesPerDay = 1000

// add adds d to c. It does not keep d's maps.
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
		increase(&c.Refused, reason, n)
	}
	for move, n := range d.Moves {
		c.addMove(move, n, d.MoveAges[move])
	}
}

// addMove counts a change of version, by an installation of that age.
func (c *dayCounters) addMove(move string, n uint64, age collector.Day) {
	if _, known := c.Moves[move]; !known && len(c.Moves) >= maxMovesPerDay {
		least := move
		for other := range c.Moves {
			if c.moveAge(other, age) < c.moveAge(least, age) {
				least = other
			}
		}
		if least == move {
			return
		}
		delete(c.Moves, least)
		delete(c.MoveAges, least)
	}
	increase(&c.Moves, move, n)
	if age > c.MoveAges[move] {
		if c.MoveAges == nil {
			c.MoveAges = make(map[string]collector.Day)
		}
		c.MoveAges[move] = age
	}
}

// moveAge returns the age of a move, or that of a new one.
func (c *dayCounters) moveAge(move string, age collector.Day) collector.Day {
	if _, known := c.Moves[move]; known {
		return c.MoveAges[move]
	}
	return age
}

// increase adds n to m[key], and makes the map if it is nil.
func increase(m *map[string]uint64, key string, n uint64) {
	if *m == nil {
		*m = make(map[string]uint64)
	}
	(*m)[key] += n
}

// A split counts the installations with each value of a dimension, by window,
// as of the end of a day.
type split struct {
	Values map[string][4]uint64 `json:"values"`
	// Public counts the established installations of 28 days, at the end of a
	// public window.
	Public map[string]uint64 `json:"public,omitempty"`
}

// A retentionRow is one period: how many of each cohort were active in it.
type retentionRow struct {
	Gap bool `json:"gap,omitzero"`
	// From is the first day of the oldest cohort. The slices have an entry for
	// each period from there to the row's own.
	From collector.Day `json:"from"`
	// Active counts the installations active in the period, and Size those that
	// were new in the cohort's own.
	Active []uint64 `json:"active"`
	Size   []uint64 `json:"size"`
}

// at returns the figures of the cohort that begins with a day; ok is false if
// the row does not have it.
func (r *retentionRow) at(g collector.Grain, cohort collector.Day) (active, size uint64, ok bool) {
	i := g.Periods(r.From, cohort)
	if cohort < r.From || i >= len(r.Active) || i >= len(r.Size) {
		return 0, 0, false
	}
	return r.Active[i], r.Size[i], true
}

// A faultRecord describes a fault.
type faultRecord struct {
	ID        string        `json:"id"`
	Source    string        `json:"source"`
	Component string        `json:"component"`
	Reason    string        `json:"reason"`
	Stage     string        `json:"stage,omitempty"`
	Severity  string        `json:"severity"`
	FirstSeen collector.Day `json:"first_seen"`
	LastSeen  collector.Day `json:"last_seen"`
	// OldestVersion is the oldest version that reported it.
	OldestVersion string `json:"oldest_version,omitempty"`
	// OldestDoubtful means that no established installation reported it with a
	// version yet, so OldestVersion may be a stranger's invention.
	OldestDoubtful bool `json:"oldest_doubtful,omitzero"`
	// Sample is the context of the last report with one, of any installation.
	Sample  map[string]string     `json:"sample,omitempty"`
	Status  collector.FaultStatus `json:"status,omitempty"`
	FixedIn string                `json:"fixed_in,omitempty"`
	Note    string                `json:"note,omitempty"`
	// History has every triage, the latest last.
	History []collector.Triage `json:"history,omitempty"`
}

// A faultDay is what is kept of a fault's day for good.
type faultDay struct {
	Occurrences uint64 `json:"occurrences"`
	// ByVersion splits the occurrences of the day by the version that reported
	// them, as far as it is known.
	ByVersion map[string]uint64 `json:"occurrences_by_version,omitempty"`
	// Affected counts the installations by window.
	Affected [4]uint64 `json:"affected"`
	// Public counts the established ones of 28 days, at the end of a public window.
	Public uint64 `json:"public,omitzero"`
	// Versions splits those of the 28-day window by version.
	Versions map[string]uint64 `json:"versions,omitempty"`
}

// jsonRecord returns a record with the value as JSON.
func jsonRecord(key collector.RecordKey, value any) collector.Record {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // all record types can be encoded
	}
	return collector.Record{RecordKey: key, Data: data}
}

// decodeRecord decodes JSON that jsonRecord wrote.
func decodeRecord(r collector.Record, into any) error {
	return describe(r.RecordKey, json.Unmarshal(r.Data, into))
}

// describe adds to an error, if there is one, which record it is about.
func describe(key collector.RecordKey, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("record %s/%d/%s/%q: %w", key.Kind, key.App, key.Day, key.Name, err)
}
