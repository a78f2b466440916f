package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
		if err := ft.addNew(t, key, labels, introducer{prefix: r.Prefix}); err != nil {
			return collector.Receipt{}, err
		}
		found, receipt.New = t.refs[key], true
	}
	counts, err := ft.faultCounts(ctx, t.e, found.num)
	if err != nil {
		return collector.Receipt{}, err
	}
	changed := false
	by := introducer{num: found.num, known: ok, prefix: r.Prefix}
	named := occurred{day: ft.f.today}
	if r.Batch != "" {
		named.batch = new(eventIDOf(r.Batch))
		if slices.ContainsFunc(counts, func(c faultCount) bool { return c.Known.has(*named.batch) }) {
			h.Faults, receipt.Known = nil, len(h.Faults)
		}
	}
	var here []faultCount
	if ft.m != nil {
		if here, err = ft.m.counted(ctx, key); err != nil {
			return collector.Receipt{}, err
		}
	}
	for i := range h.Faults {
		if named.events = nil; i < len(r.Events) {
			named.events = eventIDsOf(r.Events[i])
		}
		if named.here = nil; here != nil {
			named.here = countOf(here, faultID(h.Faults[i].Key()))
		}
		more, known := ft.addFault(by, &counts, &h.Faults[i], named, h.Version)
		receipt.Counted += int(more)
		receipt.Known += known
		changed = changed || more > 0
	}
	wasActive := ft.markActive(found.num)
	ft.watch(found.num, r.Prefix, wasActive && !receipt.New)
	receipt.Repeated = wasActive && !changed && !receipt.New
	if changed {
		ft.putFaultCounts(found.num, counts)
	}
	return receipt, nil
}

// occurred says what identifies the occurrences in a report.
type occurred struct {
	day collector.Day
	// batch is the report's own ID, or nil.
	batch *eventID
	// events are those of a fault, or nil.
	events []eventID
	// here is what the installation reported of the fault here, or nil; see [merging].
	here *faultCount
}

// addFault adds one fault of a report, unless there are too many faults. It
// returns the number of new occurrences, and of known ones.
func (ft *fleetTx) addFault(by introducer, counts *[]faultCount, r *report.Fault, o occurred, version string) (more uint64, known int) {
	id, record := ft.fault(r, by)
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
	more, known = c.add(r, o)
	if o.here != nil && o.events == nil && more > 0 && ft.m.reportedToday(id, by.num) && !r.Since.Equal(o.here.Since) {
		c.Total -= more // they were counted here on the day
		more, known = 0, known+1
	}
	if more == 0 {
		return 0, known
	}
	c.Last, record.LastSeen = ft.f.today, ft.f.today
	if len(r.Context) > 0 {
		record.Sample = maps.Clone(r.Context)
	}
	record.sawVersion(ft.f.app.VersionOrder, version, ft.f.age(by) > 0)
	ft.faults[id] = record
	ft.marks = append(ft.marks, faultMark{fault: id, num: by.num, more: more, version: ft.f.occurrenceVersion(id, version)})
	return more, known
}

// sawVersion adds a version that reported the fault. What established
// installations say replaces what others said.
func (r *faultRecord) sawVersion(order report.VersionOrder, version string, established bool) {
	switch {
	case version == "" || !established && r.OldestVersion != "" && !r.OldestDoubtful:
	case r.OldestVersion == "", established && r.OldestDoubtful, order.Compare(version, r.OldestVersion) < 0:
		r.OldestVersion, r.OldestDoubtful = version, !established
	}
}

// putFaultCounts adds what an installation reported: at most maxFaults faults,
// those reported last.
func (ft *fleetTx) putFaultCounts(num collector.Num, counts []faultCount) {
	forgetEvents(counts, ft.f.today)
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
	for i := range counts {
		if c := &counts[i]; len(c.Events) > 0 {
			c.Known.add(c.Last, eventIDsOf(c.Events))
			c.Events = nil
		}
	}
	return counts, nil
}

// fault returns the ID of a fault and a copy of its record, or nil if there is no
// place for it.
func (ft *fleetTx) fault(r *report.Fault, by introducer) (id string, record *faultRecord) {
	id = faultID(r.Key())
	if ft.faults == nil {
		ft.faults = make(map[string]*faultRecord)
	}
	if record := ft.faults[id]; record != nil {
		return id, record
	}
	if known := ft.f.faults[id]; known != nil && ft.evicted[id] == nil {
		record := known.faultRecord
		return id, &record
	}
	if !ft.makePlace(id, by) {
		ft.turnAway(tableFaults, faultText(r.Source, r.Component, r.Reason, r.Stage))
		return id, nil
	}
	return id, &faultRecord{
		ID: id, Source: r.Source, Component: r.Component, Reason: r.Reason, Stage: r.Stage, Severity: string(r.Severity),
		FirstSeen: ft.f.today, LastSeen: ft.f.today,
	}
}

// add adds a report of the fault. It returns the number of new occurrences, and
// how many of the reported ones were known.
func (c *faultCount) add(r *report.Fault, o occurred) (more uint64, known int) {
	if o.here != nil {
		n := len(o.events)
		o.events = o.here.Known.without(o.events)
		known = n - len(o.events)
		if n > 0 && len(o.events) == 0 {
			return 0, known
		}
		if r.Since.Equal(o.here.Since) && o.here.Count > 0 && (!c.Since.Equal(r.Since) || c.Count < o.here.Count) {
			c.Since, c.Count = o.here.Since, o.here.Count // what was counted here
		}
	}
	switch {
	case o.events != nil:
		added := c.Known.add(o.day, o.events)
		more, known = uint64(added), known+len(o.events)-added
	case o.batch != nil:
		c.Known.add(o.day, []eventID{*o.batch})
		more = uint64(r.Count)
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
