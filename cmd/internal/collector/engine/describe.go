package engine

import (
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Describe returns everything that is held about an installation ID in
// canonical form, for each app that knows it.
func (e *Engine) Describe(ctx context.Context, id string) ([]collector.Held, error) {
	return e.DescribeKeys(ctx, func(app string) collector.Key { return e.keys.Key(app, id) })
}

// DescribeKeys is Describe of an installation that is known by its key in each app.
func (e *Engine) DescribeKeys(ctx context.Context, keyOf func(app string) collector.Key) ([]collector.Held, error) {
	all := []collector.Held{}
	for _, f := range e.sorted() {
		key := f.ownKey(keyOf(f.key))
		found, ok, err := e.lookup(ctx, key)
		if err != nil {
			return nil, err
		}
		if !ok {
			if held, ok := f.describeAside(key); ok {
				all = append(all, held)
			}
			continue
		}
		held, err := e.describe(ctx, f, found.num)
		if err != nil {
			return nil, err
		}
		all = append(all, held)
	}
	return all, nil
}

// describeAside describes an ID that is no installation, if it was seen today.
func (f *fleet) describeAside(key collector.Key) (collector.Held, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, memory := f.memory[key]
	_, excluded := f.excluded[key]
	if f.holds() {
		asideMemory, asideExcluded := f.aside.has(key)
		memory, excluded = memory || asideMemory, excluded || asideExcluded
	}
	return collector.Held{
		App: f.key, FirstSeen: f.today, LastSeen: f.today, Days: []collector.Day{f.today}, InMemory: memory, Excluded: excluded,
		Values: map[string]string{}, Faults: []collector.HeldFault{},
	}, memory || excluded
}

func (e *Engine) describe(ctx context.Context, f *fleet, num collector.Num) (held collector.Held, err error) {
	row, ok, err := e.store.Installation(ctx, f.num, num)
	if err != nil {
		return held, err
	}
	var st state
	if ok {
		if st, err = decodeState(row.State); err != nil {
			return held, err
		}
	}
	counts, err := e.faultCounts(ctx, f, num)
	if err != nil {
		return held, err
	}
	days, err := e.activeDays(ctx, f, num)
	if err != nil {
		return held, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	held = collector.Held{
		App: f.key, FirstSeen: f.firstDay(num), LastSeen: f.firstDay(num), Days: days,
		Established: f.established.Has(uint32(num)), Values: f.dims.texts(&st), Faults: []collector.HeldFault{},
	}
	if n := len(days); n > 0 {
		held.LastSeen = days[n-1]
	}
	for _, c := range counts {
		hf := collector.HeldFault{Count: c.Total, Since: c.Since, Last: c.Last}
		if fault := f.faults[c.Fault]; fault != nil {
			hf.Source, hf.Component, hf.Reason = fault.Source, fault.Component, fault.Reason
			hf.Stage, hf.Severity = fault.Stage, fault.Severity
		}
		held.Faults = append(held.Faults, hf)
	}
	return held, nil
}

// activeDays returns the days on which an installation was active, as far as
// they are kept.
func (e *Engine) activeDays(ctx context.Context, f *fleet, num collector.Num) ([]collector.Day, error) {
	f.mu.RLock()
	var days []collector.Day
	for day, set := range f.days {
		if set.Has(uint32(num)) {
			if day > f.today { // put aside, or not reached yet
				day = f.today
			}
			days = append(days, day)
		}
	}
	first, inMemory := f.firstDay(num), f.today-longestWindow
	f.mu.RUnlock()
	err := e.eachOlder(ctx, f, kindActive, "", num, first, inMemory, func(key collector.RecordKey, _ *bits.Set) {
		days = append(days, key.Day)
	})
	slices.Sort(days)
	return slices.Compact(days), err
}
