package engine

import (
	"context"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Forget deletes everything that is held about an installation ID in canonical
// form. Totals remain. When it returns, the store's files contain nothing of the
// installation.
func (e *Engine) Forget(ctx context.Context, id string) (collector.Deletion, error) {
	var deletion collector.Deletion
	err := e.exec(ctx, func(ctx context.Context) error {
		now := time.Now()
		if err := e.rollover(ctx, now); err != nil {
			return err
		}
		d := collector.Deletion{At: now.UTC().Truncate(time.Second)}
		for _, f := range e.sorted() {
			deleted, err := e.forget(ctx, f, e.keys.key(f.key, id))
			if err != nil {
				return err
			}
			if deleted {
				d.Deleted++
			}
		}
		deletion = d
		return nil
	})
	return deletion, err
}

// forget deletes an installation of one app, and reports whether there was one.
func (e *Engine) forget(ctx context.Context, f *fleet, key collector.Key) (bool, error) {
	found, ok, err := e.lookup(ctx, key)
	if err != nil {
		return false, err
	}
	if !ok {
		return e.forgetAside(ctx, f, key)
	}
	// The journal must not restore what is deleted.
	if err := e.checkpoint(ctx); err != nil {
		return false, err
	}
	num := found.num
	records, err := e.olderWithout(ctx, f, num)
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	counted := f.firstDay(num) == f.today // in the 28-day figure of yesterday, or new today
	for day := f.today - lostAfter; day < f.today; day++ {
		counted = counted || f.days[day].Has(uint32(num))
	}
	var changed []*bits.Set
	remove := func(set *bits.Set, key collector.RecordKey) {
		if set.Remove(uint32(num)) {
			changed = append(changed, set)
			records = append(records, chunkRecords(key, set)...)
		}
	}
	for day, set := range f.days {
		remove(set, f.recordKey(kindActive, day, ""))
	}
	for id, fault := range f.faults {
		for day, set := range fault.days {
			remove(set, f.recordKey(kindFaultBits, day, id+"/"))
		}
	}
	f.spans.remove(uint32(num))
	if counted {
		f.open.Forgotten++
	}
	records = append(records, f.openRecord())
	f.mu.Unlock()
	if err := e.drop(ctx, f, []collector.Identity{{Key: key, App: f.num, Num: num}}, records, true); err != nil {
		return false, err
	}
	for _, set := range append(changed, f.established, f.clones) {
		set.Clean() // the checkpoint above left nothing else to write
	}
	return true, nil
}

// forgetAside deletes the key of an ID that is no installation. The day's total
// still counts it.
func (e *Engine) forgetAside(ctx context.Context, f *fleet, key collector.Key) (bool, error) {
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
	if err := e.checkpoint(ctx); err != nil {
		return false, err
	}
	return true, e.commit(ctx, &collector.Batch{Scrub: true})
}

// olderWithout returns the records of days that are only in the store, without
// the installation's bits.
func (e *Engine) olderWithout(ctx context.Context, f *fleet, num collector.Num) ([]collector.Record, error) {
	var records []collector.Record
	without := func(key collector.RecordKey, set *bits.Set) {
		set.Remove(uint32(num))
		records = append(records, chunkRecords(key, set)...)
	}
	first, inMemory := f.firstDay(num), f.today-longestWindow
	if err := e.eachOlder(ctx, f, kindActive, "", num, first, inMemory, without); err != nil {
		return nil, err
	}
	counts, err := e.faultCounts(ctx, f, num)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		if err := e.eachOlder(ctx, f, kindFaultBits, c.Fault+"/", num, first, inMemory, without); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// eachOlder calls use with those days from first until end on which the bit of
// an installation is set. The set has its chunk only, and the name of the key is
// the prefix.
func (e *Engine) eachOlder(ctx context.Context, f *fleet, kind, prefix string, num collector.Num, first, end collector.Day,
	use func(collector.RecordKey, *bits.Set),
) error {
	chunk := uint32(num) >> bits.ChunkBits
	for day := first; day < end; day++ {
		key := f.recordKey(kind, day, prefix+bits.ChunkName(chunk))
		data, ok, err := e.store.Record(ctx, key)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		set := &bits.Set{}
		if err := decodeChunk(set, collector.Record{RecordKey: key, Data: data}); err != nil {
			return err
		}
		if set.Has(uint32(num)) {
			key.Name = prefix
			use(key, set)
		}
	}
	return nil
}
