package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Describe gives all that is held about an installation ID, in canonical form, for each app that knows it.
func (c *Engine) Describe(ctx context.Context, id string) ([]collector.Held, error) {
	all := []collector.Held{}
	for _, f := range c.sorted() {
		key := c.keys.key(f.key, id)
		found, ok, err := c.lookup(ctx, key)
		if err != nil {
			return nil, err
		}
		if !ok {
			if held, ok := f.heldToday(key); ok {
				all = append(all, held)
			}
			continue
		}
		held, err := c.held(ctx, f, found.num)
		if err != nil {
			return nil, err
		}
		all = append(all, held)
	}
	return all, nil
}

// heldToday says what is held of an ID that is no installation.
func (f *fleet) heldToday(key collector.Key) (collector.Held, bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	_, memory := f.memory[key]
	_, excluded := f.excluded[key]
	if !memory && !excluded {
		return collector.Held{}, false
	}
	return collector.Held{
		App: f.key, FirstSeen: f.today, LastSeen: f.today, Days: []collector.Day{f.today}, InMemory: memory, Excluded: excluded,
		Values: map[string]string{}, Faults: []collector.HeldFault{},
	}, true
}

func (c *Engine) held(ctx context.Context, f *fleet, num collector.Num) (collector.Held, error) {
	row, _, err := c.store.Installation(ctx, f.num, num)
	if err != nil {
		return collector.Held{}, err
	}
	held := collector.Held{App: f.key, Values: map[string]string{}, Faults: []collector.HeldFault{}}
	if held.Days, err = c.daysOf(ctx, f, num); err != nil {
		return collector.Held{}, err
	}
	f.mu.RLock()
	held.FirstSeen, held.LastSeen = f.firstDay(num), f.firstDay(num)
	held.Established = f.established.Has(uint32(num))
	if len(row.State) > 0 {
		st, err := decodeState(row.State)
		if err != nil {
			f.mu.RUnlock()
			return collector.Held{}, err
		}
		held.Values = f.dims.texts(&st)
	}
	f.mu.RUnlock()
	if n := len(held.Days); n > 0 {
		held.LastSeen = held.Days[n-1]
	}
	faults, err := c.faultCounts(ctx, f, num)
	if err != nil {
		return collector.Held{}, err
	}
	for _, fault := range faults {
		f.mu.RLock()
		is := f.faults.byID[fault.Fault]
		fault := collector.HeldFault{Count: fault.Total, Since: fault.Since, Last: fault.Last}
		if is != nil {
			fault.Source, fault.Component, fault.Reason = is.Source, is.Component, is.Reason
			fault.Stage, fault.Severity = is.Stage, is.Severity
		}
		f.mu.RUnlock()
		held.Faults = append(held.Faults, fault)
	}
	return held, nil
}

func (c *Engine) faultCounts(ctx context.Context, f *fleet, num collector.Num) ([]faultCount, error) {
	data, ok, err := c.store.Record(ctx, faultCountsKey(f.num, num))
	if err != nil || !ok {
		return nil, err
	}
	var faults []faultCount
	if err := json.Unmarshal(data, &faults); err != nil {
		return nil, fmt.Errorf("read faults of an installation: %w", err)
	}
	return faults, nil
}

// daysOf gives the days on which an installation was active, as far as they are kept.
func (c *Engine) daysOf(ctx context.Context, f *fleet, num collector.Num) ([]collector.Day, error) {
	f.mu.RLock()
	var days []collector.Day
	for d, set := range f.days {
		if set.Has(uint32(num)) {
			days = append(days, d)
		}
	}
	first, inMemory := f.firstDay(num), f.today-longestWindow
	f.mu.RUnlock()
	err := c.olderChunks(ctx, f, kindActive, "", num, first, inMemory, func(day collector.Day, _ collector.RecordKey, _ *bits.Set) {
		days = append(days, day)
	})
	slices.Sort(days)
	return days, err
}

// olderChunks finds the chunks of days from first up to and without end in which an installation's bit is set.
func (c *Engine) olderChunks(ctx context.Context, f *fleet, kind, prefix string, num collector.Num, first, end collector.Day,
	found func(collector.Day, collector.RecordKey, *bits.Set),
) error {
	chunk := uint32(num) >> bits.ChunkBits
	for day := first; day < end; day++ {
		key := collector.RecordKey{Kind: kind, App: f.num, Day: day, Name: prefix + bits.ChunkName(chunk)}
		data, ok, err := c.store.Record(ctx, key)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		set := &bits.Set{}
		if err := set.Decode(chunk, data); err != nil {
			return fmt.Errorf("bits of %s: %w", day, err)
		}
		if set.Has(uint32(num)) {
			found(day, key, set)
		}
	}
	return nil
}

// Forget deletes all that is held about an installation ID, in canonical form. Totals stay. When it returns, nothing of
// it can be found in the store's files.
func (c *Engine) Forget(ctx context.Context, id string) (collector.Deletion, error) {
	var receipt collector.Deletion
	err := c.exec(ctx, func(ctx context.Context) error {
		now := time.Now()
		if err := c.turn(ctx, now); err != nil {
			return err
		}
		deletion := collector.Deletion{At: now.UTC().Truncate(time.Second)}
		for _, f := range c.sorted() {
			deleted, err := c.forget(ctx, f, c.keys.key(f.key, id))
			if err != nil {
				return err
			}
			if deleted {
				deletion.Deleted++
			}
		}
		receipt = deletion
		return nil
	})
	return receipt, err
}

func (c *Engine) forget(ctx context.Context, f *fleet, key collector.Key) (bool, error) {
	found, ok, err := c.lookup(ctx, key)
	if err != nil {
		return false, err
	}
	if !ok {
		return c.forgetToday(ctx, f, key)
	}
	// The journal must not bring back what goes.
	if err := c.checkpoint(ctx); err != nil {
		return false, err
	}
	num := found.num
	records, err := c.withoutBits(ctx, f, num)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	wasActive := f.window(f.today-1, 28).Has(uint32(num)) || f.firstDay(num) == f.today
	var sets []*bits.Set
	take := func(set *bits.Set, key collector.RecordKey, prefix string) {
		if set.Remove(uint32(num)) {
			sets = append(sets, set)
			chunk := uint32(num) >> bits.ChunkBits
			key.Name = prefix + bits.ChunkName(chunk)
			records = append(records, collector.Record{RecordKey: key, Data: set.Encode(chunk)})
		}
	}
	for day, set := range f.days {
		take(set, collector.RecordKey{Kind: kindActive, App: f.num, Day: day}, "")
	}
	f.past.forget(uint32(num))
	for id, is := range f.faults.byID {
		for day, set := range is.days {
			take(set, collector.RecordKey{Kind: kindFaultBits, App: f.num, Day: day}, id+"/")
		}
	}
	if wasActive {
		f.open.Forgotten++
	}
	open := openDay{Today: f.today, Next: f.next, Counters: f.open}
	f.mu.Unlock()
	records = append(records, jsonRecord(collector.RecordKey{Kind: kindOpen, App: f.num}, open))
	err = c.dropInstallations(ctx, f, []collector.Identity{{Key: key, App: f.num, Num: num}}, records, true)
	if err != nil {
		return false, err
	}
	for _, set := range sets {
		set.Clean() // the checkpoint before left nothing else to write
	}
	f.established.Clean()
	f.clones.Clean()
	return true, nil
}

// withoutBits gives the records of days that are not in memory, without the installation's bits.
func (c *Engine) withoutBits(ctx context.Context, f *fleet, num collector.Num) ([]collector.Record, error) {
	var records []collector.Record
	without := func(_ collector.Day, key collector.RecordKey, set *bits.Set) {
		set.Remove(uint32(num))
		records = append(records, collector.Record{RecordKey: key, Data: set.Encode(uint32(num) >> bits.ChunkBits)})
	}
	first, inMemory := f.firstDay(num), f.today-longestWindow
	if err := c.olderChunks(ctx, f, kindActive, "", num, first, inMemory, without); err != nil {
		return nil, err
	}
	faults, err := c.faultCounts(ctx, f, num)
	if err != nil {
		return nil, err
	}
	for _, fault := range faults {
		if err := c.olderChunks(ctx, f, kindFaultBits, fault.Fault+"/", num, first, inMemory, without); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// forgetToday deletes an ID that is no installation. What was counted of it stays in the day's total.
func (c *Engine) forgetToday(ctx context.Context, f *fleet, key collector.Key) (bool, error) {
	_, memory := f.memory[key]
	_, excluded := f.excluded[key]
	if !memory && !excluded {
		return false, nil
	}
	f.mu.Lock()
	if memory {
		delete(f.memory, key)
		f.open.InMemory++
	}
	if excluded {
		delete(f.excluded, key)
		f.open.Excluded++
	}
	f.revision++
	f.mu.Unlock()
	if err := c.checkpoint(ctx); err != nil {
		return false, err
	}
	return true, c.commit(ctx, &collector.Batch{Scrub: true})
}
