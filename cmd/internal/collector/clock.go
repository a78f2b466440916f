package collector

import "time"

// A Clock says whether the collector trusts its clock. If it does not, reports
// are counted provisionally: no day ends and nothing is purged until the day is
// confirmed.
type Clock struct {
	Trusted bool `json:"trusted"`
	// Day is the day that reports count on, provisionally if the clock is not
	// trusted.
	Day Day `json:"day"`
	// Reads is what the clock reads, and Expected what it was expected to read,
	// by the last reading that was trusted and the time that has passed since
	// the collector started. Both are zero while the clock is trusted.
	Reads    time.Time `json:"reads,omitzero"`
	Expected time.Time `json:"expected,omitzero"`
	// Agree and Against count the known installations whose clocks agree with
	// this one, and those that contradict it. Needed is how many have to agree.
	Agree   int `json:"agree,omitzero"`
	Against int `json:"against,omitzero"`
	Needed  int `json:"needed,omitzero"`
}
