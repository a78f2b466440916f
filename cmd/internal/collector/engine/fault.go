package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/report"
)

// A fault is one fault of an app.
type fault struct {
	faultRecord
	// days are the installations that reported it, by day: today and the
	// longestWindow days before.
	days map[collector.Day]*bits.Set
	// counts is how often it occurred, by day of the report, on the same days.
	counts map[collector.Day]occurrences
}

// A faultSet is the faults of an app by ID.
type faultSet map[string]*fault

// faultID returns the ID of the fault with these codes.
func faultID(key report.FaultKey) string {
	h := sha256.New()
	for _, code := range []string{key.Source, key.Component, key.Reason, key.Stage, string(key.Severity)} {
		fmt.Fprintf(h, "%d:%s,", len(code), code)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// get returns the fault of that ID, which it adds if need be.
func (s faultSet) get(id string) *fault {
	f := s[id]
	if f == nil {
		f = &fault{
			faultRecord: faultRecord{ID: id},
			days:        make(map[collector.Day]*bits.Set),
			counts:      make(map[collector.Day]occurrences),
		}
		s[id] = f
	}
	return f
}

// A faultMark says that an installation reported new occurrences of a fault.
type faultMark struct {
	fault string
	num   collector.Num
	more  uint64
	// version is the one that reported them; "" is unknown.
	version string
}

// mark counts what an installation reported.
func (s faultSet) mark(day collector.Day, m faultMark) {
	f := s.get(m.fault)
	daySet(f.days, day).Add(uint32(m.num))
	f.addOccurrences(day, occurrences{m.version: m.more})
}

func (f *fault) addOccurrences(day collector.Day, more occurrences) {
	o := f.counts[day]
	o.addAll(more)
	f.counts[day] = o
}

// A faultCount is what one installation reported of one fault. Its record is
// deleted with the installation.
type faultCount struct {
	Fault string `json:"issue"` // the name in every store
	// Since is when the sender began to count, and Count how often the fault
	// has occurred since.
	Since time.Time `json:"since,omitzero"`
	Count uint64    `json:"count"`
	// Total is how often it occurred in all.
	Total uint64 `json:"total"`
	// Last is the day of the last report with a new occurrence.
	Last collector.Day `json:"last"`
	// Known are the known events; see [collector.ReceivedHealth].
	Known knownEvents `json:"known,omitzero"`
	// Events are those of records that were written before Known was.
	Events []string `json:"events,omitempty"`
}

// maxFaults bounds the faults kept per installation: those reported last.
const maxFaults = 100

// faultCountsKey returns the key of what an installation reported.
func (f *fleet) faultCountsKey(num collector.Num) collector.RecordKey {
	return f.recordKey(kindFaultCounts, 0, fmt.Sprintf("%08x", num))
}
