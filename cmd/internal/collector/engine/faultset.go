package engine

import (
	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// A faultSet is the faults of an app.
type faultSet struct {
	byID map[string]*fault
}

// A fault is one fault, known by the codes of its group.
type fault struct {
	faultRecord
	// days are the installations that reported it, by day: today and the longestWindow days before.
	days map[collector.Day]*bits.Set
	// counts are how often it happened, by the day of the report, for the same days.
	counts map[collector.Day]uint64
}

// A faultRecord is what is kept of a fault.
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
	OldestVersion string                `json:"oldest_version,omitempty"`
	Status        collector.FaultStatus `json:"status,omitempty"`
	FixedIn       string                `json:"fixed_in,omitempty"`
	Note          string                `json:"note,omitempty"`
}

// A faultDay is what is kept of a fault's day for good.
type faultDay struct {
	Occurrences uint64 `json:"occurrences"`
	// Affected is by window, in the order of windowDays.
	Affected [4]uint64 `json:"affected"`
	// Versions counts those of the 28-day window by version, among the affected.
	Versions map[string]uint64 `json:"versions,omitempty"`
}

// put gives the fault of that ID, a new one if need be.
func (s *faultSet) put(id string) *fault {
	if s.byID == nil {
		s.byID = make(map[string]*fault)
	}
	is := s.byID[id]
	if is == nil {
		is = &fault{faultRecord: faultRecord{ID: id}, days: make(map[collector.Day]*bits.Set), counts: make(map[collector.Day]uint64)}
		s.byID[id] = is
	}
	return is
}

// mark counts what an installation reported.
func (s *faultSet) mark(day collector.Day, m faultMark) {
	is := s.put(m.fault)
	set := is.days[day]
	if set == nil {
		set = &bits.Set{}
		is.days[day] = set
	}
	set.Add(uint32(m.num))
	is.counts[day] += m.more
}
