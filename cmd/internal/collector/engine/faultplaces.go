package engine

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// makePlace reports whether there is a place for a further fault. If need be, the
// fault that is supported least makes way.
func (ft *fleetTx) makePlace(id string, by introducer) bool {
	f := ft.f
	a := admission{ft: ft, by: by, age: f.age(by)}
	s := a.support()
	if !a.mayPay(s) {
		return false
	}
	if ft.faultCount() >= collector.MaxFaults {
		found, ok := f.faultQueue.next(s, ft.evictable, ft.faultSupport)
		if !ok {
			return false
		}
		if ft.evicted == nil {
			ft.evicted = make(map[string]*fault)
		}
		ft.evicted[found.ID] = found
		ft.turnAway(tableFaults, faultText(found.Source, found.Component, found.Reason, found.Stage))
	}
	a.pay(s)
	if ft.admitted == nil {
		ft.admitted = make(map[string]support)
	}
	ft.admitted[id] = s
	return true
}

// faultCount counts the faults that there will be once the tx is applied.
func (ft *fleetTx) faultCount() int {
	n := len(ft.f.faults) - len(ft.evicted)
	for id := range ft.faults {
		if ft.f.faults[id] == nil || ft.evicted[id] != nil {
			n++
		}
	}
	return n
}

// evictable returns the faults that may make way, in the order of their IDs.
func (ft *fleetTx) evictable() (all []queued[*fault]) {
	for _, f := range ft.f.faults {
		if s, ok := ft.faultSupport(f); ok {
			all = append(all, queued[*fault]{f, s})
		}
	}
	slices.SortFunc(all, func(a, b queued[*fault]) int { return cmp.Compare(a.entry.ID, b.entry.ID) })
	return all
}

// faultSupport returns the support of a fault, by the installations that reported
// it lately, and whether it may make way.
func (ft *fleetTx) faultSupport(fault *fault) (s support, ok bool) {
	f := ft.f
	if f.faults[fault.ID] != fault || ft.evicted[fault.ID] != nil || ft.faults[fault.ID] != nil || fault.triaged() {
		return s, false
	}
	for _, set := range fault.days {
		s.age = max(s.age, f.oldest(set))
		if !set.IsEmpty() {
			s.latest = fault.LastSeen
		}
	}
	if s.holders = math.MaxUint64; s.age < seniority {
		s.holders = 0
		for _, set := range fault.days {
			s.holders += f.holders(set, s.age)
		}
	}
	return s, true
}

// triaged reports whether the maintainer has dealt with a fault. It then keeps
// its place.
func (f *fault) triaged() bool {
	return f.Note != "" || cmp.Or(f.Status, collector.FaultOpen) != collector.FaultOpen
}

// dropEvicted drops faults without a record: those that have lost their place.
// The journal, and days that are no longer in memory, may still name them.
func (s faultSet) dropEvicted() {
	maps.DeleteFunc(s, func(_ string, f *fault) bool { return f.Severity == "" })
}

// faultText names a fault for people.
func faultText(source, component, reason, stage string) string {
	return strings.TrimRight(strings.Join([]string{source, component, reason, stage}, "/"), "/")
}

// faultRemoval removes the records of a fault, except those of days that are no
// longer in memory: these are purged with their day.
func (f *fleet) faultRemoval(fault *fault) []collector.Record {
	records := []collector.Record{{RecordKey: f.recordKey(kindFault, 0, fault.ID)}}
	for day, set := range fault.days {
		for _, chunk := range set.Chunks() {
			records = append(records, collector.Record{RecordKey: f.recordKey(kindFaultBits, day, fault.ID+"/"+bits.ChunkName(chunk))})
		}
		records = append(records, collector.Record{RecordKey: f.recordKey(kindFaultDay, day, fault.ID)})
	}
	return records
}
