package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// countOf returns what an installation reported of a fault, or nil.
func countOf(counts []faultCount, fault string) *faultCount {
	if i := slices.IndexFunc(counts, func(c faultCount) bool { return c.Fault == fault }); i >= 0 {
		return &counts[i]
	}
	return nil
}

// isAside reports whether a heartbeat is of an ID that counts on its day only.
func (ft *fleetTx) isAside(e *Engine, key collector.Key, r *collector.Received) bool {
	_, known, _ := e.index.get(key)
	return ft.excludes(r.Heartbeat.Version) || !known && r.Heartbeat.IDPersistence == report.InMemory
}

// counted returns what the installation with a key reported of its faults here.
func (m *merging) counted(ctx context.Context, key collector.Key) ([]faultCount, error) {
	found, ok, _ := m.e.index.get(masked(masked(key, m.l.f.mask), m.live.mask))
	if !ok || found.app != m.live.num {
		return nil, nil
	}
	counts, ok := m.reported[found.num]
	if ok {
		return counts, nil
	}
	counts, err := m.e.faultCounts(ctx, m.live, found.num)
	if err == nil {
		m.reported[found.num] = counts
	}
	return counts, err
}

// reportedToday reports whether an installation reported a fault here on the day.
func (m *merging) reportedToday(fault string, num collector.Num) bool {
	here := m.mapped.faults[fault]
	return here != nil && here.days[m.l.f.today].Has(uint32(num))
}

// mergeCounts joins what an installation reported in the past and here.
func mergeCounts(past, here []faultCount, today collector.Day) []faultCount {
	all := slices.Clone(past)
	for _, h := range here {
		c := countOf(all, h.Fault)
		if c == nil {
			all = append(all, h)
			continue
		}
		c.Total += h.Total
		c.Last = max(c.Last, h.Last)
		switch {
		case h.Since.After(c.Since):
			c.Since, c.Count = h.Since, h.Count
		case h.Since.Equal(c.Since):
			c.Count = max(c.Count, h.Count)
		}
		c.Known = c.Known.union(h.Known)
	}
	forgetEvents(all, today)
	if len(all) > maxFaults {
		slices.SortStableFunc(all, func(a, b faultCount) int { return cmp.Compare(a.Last, b.Last) })
		all = all[len(all)-maxFaults:]
	}
	return all
}

// union returns the events of both, in the order of their days.
func (k knownEvents) union(other knownEvents) (all knownEvents) {
	type dated struct {
		day collector.Day
		id  eventID
	}
	var events []dated
	for _, k := range []knownEvents{k, other} {
		i, left := 0, 0
		for id := range k.each {
			for left == 0 && i < len(k.Days) {
				left = k.Days[i].N
				i++
			}
			day := collector.Day(0)
			if i > 0 {
				day = k.Days[i-1].Day
			}
			left--
			events = append(events, dated{day, id})
		}
	}
	slices.SortStableFunc(events, func(a, b dated) int { return cmp.Compare(a.day, b.day) })
	for len(events) > 0 {
		n := slices.IndexFunc(events, func(d dated) bool { return d.day != events[0].day })
		if n < 0 {
			n = len(events)
		}
		ids := make([]eventID, n)
		for i := range ids {
			ids[i] = events[i].id
		}
		all.add(events[0].day, ids)
		events = events[n:]
	}
	return all
}
