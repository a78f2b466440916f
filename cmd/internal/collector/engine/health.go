package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

func (ft *fleetTx) health(ctx context.Context, t *tx, key collector.Key, r *collector.ReceivedHealth) (collector.Receipt, error) {
	h := &r.Report
	if ft.excludes(h.Version) {
		return addAside(ft.excluded, ft.f.excluded, key)
	}
	found, ok, err := t.find(ctx, key)
	switch {
	case err != nil:
		return collector.Receipt{}, err
	case !ok && h.IDPersistence == report.InMemory:
		return addAside(ft.memory, ft.f.memory, key)
	}
	var receipt collector.Receipt
	if !ok {
		var labels []label
		if h.Version != "" {
			labels = []label{{collector.DimVersion, h.Version}}
		}
		if err := ft.addNew(t, key, ft.f.state(labels), h.Version); err != nil {
			return collector.Receipt{}, err
		}
		found, receipt.New = t.refs[key], true
	}
	counts, err := ft.faultCounts(ctx, t.e, found.num)
	if err != nil {
		return collector.Receipt{}, err
	}
	changed := false
	for i := range h.Faults {
		var events []string
		if i < len(r.Events) {
			events = r.Events[i]
		}
		more, known := ft.addFault(found.num, &counts, &h.Faults[i], events, h.Version)
		receipt.Counted += int(more)
		receipt.Known += known
		changed = changed || more > 0
	}
	wasActive := ft.markActive(found.num)
	receipt.Repeated = wasActive && !changed && !receipt.New
	if changed {
		ft.putFaultCounts(found.num, counts)
	}
	return receipt, nil
}

// addFault adds one fault of a report, unless there are too many faults. It
// returns the number of new occurrences, and of known ones.
func (ft *fleetTx) addFault(num collector.Num, counts *[]faultCount, r *report.Fault, events []string, version string) (more uint64, known int) {
	id, record := ft.fault(r)
	if record == nil {
		increase(&ft.counters.Refused, collector.RefusedFaults, 1)
		return 0, 0
	}
	i := slices.IndexFunc(*counts, func(c faultCount) bool { return c.Fault == id })
	if i < 0 {
		i = len(*counts)
		*counts = append(*counts, faultCount{Fault: id})
	}
	c := &(*counts)[i]
	if more, known = c.add(r, events); more == 0 {
		return 0, known
	}
	c.Last, record.LastSeen = ft.f.today, ft.f.today
	if version != "" && (record.OldestVersion == "" || report.CompareVersions(version, record.OldestVersion) < 0) {
		record.OldestVersion = version
	}
	ft.faults[id] = record
	ft.marks = append(ft.marks, faultMark{fault: id, num: num, more: more})
	return more, known
}

// putFaultCounts adds what an installation reported: at most maxFaults faults,
// those reported last.
func (ft *fleetTx) putFaultCounts(num collector.Num, counts []faultCount) {
	if len(counts) > maxFaults {
		slices.SortStableFunc(counts, func(a, b faultCount) int { return cmp.Compare(a.Last, b.Last) })
		counts = counts[len(counts)-maxFaults:]
	}
	if ft.counts == nil {
		ft.counts = make(map[collector.Num][]faultCount)
	}
	ft.counts[num] = counts
}

// faultCounts returns a copy of what an installation reported so far.
func (ft *fleetTx) faultCounts(ctx context.Context, e *Engine, num collector.Num) ([]faultCount, error) {
	if counts, ok := ft.counts[num]; ok {
		return slices.Clone(counts), nil
	}
	if num >= ft.f.next {
		return nil, nil
	}
	return e.faultCounts(ctx, ft.f, num)
}

// faultCounts reads what an installation reported.
func (e *Engine) faultCounts(ctx context.Context, f *fleet, num collector.Num) ([]faultCount, error) {
	data, ok, err := e.store.Record(ctx, f.faultCountsKey(num))
	if err != nil || !ok {
		return nil, err
	}
	var counts []faultCount
	if err := json.Unmarshal(data, &counts); err != nil {
		return nil, fmt.Errorf("read faults of an installation: %w", err)
	}
	return counts, nil
}

// fault returns the ID of a fault and a copy of its record, or nil if there are
// too many faults.
func (ft *fleetTx) fault(r *report.Fault) (id string, record *faultRecord) {
	id = faultID(r.Key())
	if ft.faults == nil {
		ft.faults = make(map[string]*faultRecord)
	}
	if record := ft.faults[id]; record != nil {
		return id, record
	}
	if known := ft.f.faults[id]; known != nil {
		record := known.faultRecord
		return id, &record
	}
	if len(ft.f.faults)+len(ft.faults) >= collector.MaxFaults {
		return id, nil
	}
	return id, &faultRecord{
		ID: id, Source: r.Source, Component: r.Component, Reason: r.Reason, Stage: r.Stage, Severity: string(r.Severity),
		FirstSeen: ft.f.today, LastSeen: ft.f.today,
	}
}

// add adds a report of the fault. It returns the number of new occurrences, and
// how many of the reported ones were known.
func (c *faultCount) add(r *report.Fault, events []string) (more uint64, known int) {
	switch {
	case events != nil:
		c.Events = slices.Clone(c.Events)
		for _, event := range events {
			if slices.Contains(c.Events, event) {
				known++
				continue
			}
			c.Events = append(c.Events, event)
			more++
		}
		c.Events = c.Events[max(0, len(c.Events)-maxKnownEvents):]
	case c.Since.Equal(r.Since):
		// Counts are cumulative. A report overtaken by a later one has nothing new.
		more = uint64(max(0, int64(r.Count)-int64(c.Count)))
		if more == 0 {
			known = 1
		}
		c.Count += more
	case r.Since.Before(c.Since):
		known = 1 // a late report of an earlier count, which was counted in its time
	default:
		c.Since, c.Count, more = r.Since, uint64(r.Count), uint64(r.Count)
	}
	c.Total += more
	return more, known
}
