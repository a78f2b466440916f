package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Forget deletes everything that is held about an installation ID in canonical
// form, with the texts that only the installation has. Totals remain. When it
// returns, nothing of the installation can be found, as far as the store promises. It waits until
// all rows are read: only then it is known what nobody else has.
func (e *Engine) Forget(ctx context.Context, id string) (collector.Deletion, error) {
	return e.ForgetKeys(ctx, func(app string) collector.Key { return e.keys.Key(app, id) })
}

// ForgetKeys is Forget of an installation that is known by its key in each app.
func (e *Engine) ForgetKeys(ctx context.Context, keyOf func(app string) collector.Key) (collector.Deletion, error) {
	var deletion collector.Deletion
	select {
	case <-e.warmed:
	case <-e.stopping.Done():
		return deletion, collector.ErrClosed
	case <-ctx.Done():
		return deletion, ctx.Err()
	}
	err := e.exec(ctx, func(ctx context.Context) error {
		if err := cmp.Or(e.importing(), e.rollover(ctx)); err != nil {
			return err
		}
		d := collector.Deletion{At: e.clock.read().UTC().Truncate(time.Second), Erased: e.store.Erases()}
		d.Promise = d.Erased.Promise()
		for _, f := range e.sorted() {
			deleted, err := e.forget(ctx, f, f.ownKey(keyOf(f.key)))
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
	unique, err := e.uniqueTo(ctx, f, num)
	if err != nil {
		return false, err
	}
	records, err := e.olderWithout(ctx, f, num)
	if err != nil {
		return false, err
	}
	texts, forgetTexts, err := e.withoutUnique(ctx, f, num, unique)
	if err != nil {
		return false, err
	}
	counts, err := e.faultCounts(ctx, f, num)
	if err != nil {
		return false, err
	}
	f.unfinished[num] = unique
	f.mu.Lock()
	records = slices.Concat(records, texts, unique.renameOpen(f))
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
	var samples []collector.Record
	for _, c := range counts {
		if fault := f.faults[c.Fault]; fault != nil && fault.Sample != nil { // it may be the installation's
			fault.Sample = nil
			samples = append(samples, f.record(kindFault, 0, c.Fault, fault.faultRecord))
		}
	}
	records = append(samples, records...) // which delete the faults that nobody else has
	f.spans.remove(uint32(num))
	f.history.clear()
	if counted {
		f.open.Forgotten++
	}
	records = append(records, f.openRecord())
	if f.turned.dropExamples() { // one of them may be the installation's
		records = append(records, f.record(kindTurned, 0, "", f.turned))
	}
	f.mu.Unlock()
	if err := e.drop(ctx, f, []collector.Identity{{Key: key, App: f.num, Num: num}}, records, true); err != nil {
		return false, err
	}
	f.mu.Lock()
	forgetTexts()
	f.mu.Unlock()
	for _, set := range append(changed, f.established, f.clones, f.shared) {
		set.Clean() // the checkpoint above left nothing else to write
	}
	return true, nil
}

// forgetAside deletes the key of an ID that is no installation. The day's total
// still counts it. If that fails, the key stays, so that it can be repeated.
func (e *Engine) forgetAside(ctx context.Context, f *fleet, key collector.Key) (deleted bool, err error) {
	_, memory := f.memory[key]
	_, excluded := f.excluded[key]
	if f.holds() {
		asideMemory, asideExcluded := f.aside.has(key)
		memory, excluded = memory || asideMemory, excluded || asideExcluded
	}
	if !memory && !excluded {
		return false, nil
	}
	defer func() {
		if err == nil {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if memory {
			f.memory[key] = struct{}{}
			f.open.InMemory--
		}
		if excluded {
			f.excluded[key] = struct{}{}
			f.open.Excluded--
		}
	}()
	f.mu.Lock()
	var records []collector.Record
	if f.holds() {
		delete(f.aside.memory, key)
		delete(f.aside.excluded, key)
		records = f.asideRecords(f.aside)
	}
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
	return true, e.commit(ctx, &collector.Batch{Records: records, Scrub: true})
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

// eachOlder calls use for each day from first until end where the installation's
// bit is set. The set has only its chunk, and the name of the key is the prefix.
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
