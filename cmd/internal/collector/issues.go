package collector

import "github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"

// An issueSet is the issues of an app.
type issueSet struct {
	byID map[string]*issue
}

// An issue is one fault, known by the codes of its group.
type issue struct {
	issueRecord
	// days are the installations that reported it, by day: today and the longestWindow days before.
	days map[Day]*bits.Set
	// counts are how often it happened, by the day of the report, for the same days.
	counts map[Day]uint64
}

// An issueRecord is what is kept of an issue.
type issueRecord struct {
	ID        string `json:"id"`
	Source    string `json:"source"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Stage     string `json:"stage,omitempty"`
	Severity  string `json:"severity"`
	FirstSeen Day    `json:"first_seen"`
	LastSeen  Day    `json:"last_seen"`
	// OldestVersion is the oldest version that reported it.
	OldestVersion string      `json:"oldest_version,omitempty"`
	Status        IssueStatus `json:"status,omitempty"`
	FixedIn       string      `json:"fixed_in,omitempty"`
	Note          string      `json:"note,omitempty"`
}

// An issueDay is what is kept of an issue's day for good.
type issueDay struct {
	Occurrences uint64 `json:"occurrences"`
	// Affected is by window, in the order of windowDays.
	Affected [4]uint64 `json:"affected"`
	// Versions counts those of the 28-day window by version, among the affected.
	Versions map[string]uint64 `json:"versions,omitempty"`
}

// put gives the issue of that ID, a new one if need be.
func (s *issueSet) put(id string) *issue {
	if s.byID == nil {
		s.byID = make(map[string]*issue)
	}
	is := s.byID[id]
	if is == nil {
		is = &issue{issueRecord: issueRecord{ID: id}, days: make(map[Day]*bits.Set), counts: make(map[Day]uint64)}
		s.byID[id] = is
	}
	return is
}

// mark counts what an installation reported.
func (s *issueSet) mark(day Day, m issueMark) {
	is := s.put(m.issue)
	set := is.days[day]
	if set == nil {
		set = &bits.Set{}
		is.days[day] = set
	}
	set.Add(uint32(m.num))
	is.counts[day] += m.more
}
