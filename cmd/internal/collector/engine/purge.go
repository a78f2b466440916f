package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// retentionDays returns the number of days without a report after which an
// installation is purged.
func (f *fleet) retentionDays() collector.Day {
	return collector.Day(cmp.Or(f.app.Retention, collector.DefaultRetention))
}

// maxPurge bounds the installations that one commit purges.
const maxPurge = 50_000

// maxPurgeDays bounds the days' worth of installations that one day purges, so
// that a wrong day that was confirmed all the same deletes little.
const maxPurgeDays = 7

// purgeAll purges all apps once a day, when the clock is trusted for good.
func (e *Engine) purgeAll(ctx context.Context) error {
	if !e.purgeDue || e.believed != nil {
		return nil
	}
	if err := e.flush(ctx); err != nil {
		return err
	}
	for _, f := range e.sorted() {
		if err := e.purge(ctx, f); err != nil {
			return err
		}
	}
	e.purgeDue = false
	return nil
}

// purge deletes the bits of days before the retention, and the installations
// that have not been active since.
func (e *Engine) purge(ctx context.Context, f *fleet) error {
	if !f.warm || f.isImporting() {
		return nil // another day will
	}
	asOf := min(f.today, f.purged+maxPurgeDays)
	oldest := asOf - f.retentionDays()
	expired := collector.Range{From: firstEver, To: oldest - 1}
	var records []collector.Record
	inactive := &bits.Set{}
	err := e.eachBits(ctx, f, kindActive, expired, func(key collector.RecordKey, set *bits.Set) {
		inactive.Or(set)
		records = append(records, collector.Record{RecordKey: key})
	})
	if err != nil {
		return err
	}
	if len(records) == 0 {
		f.purged = asOf // the next checkpoint writes it
		return nil
	}
	err = eachRecord(ctx, e.store, kindFaultBits, f.num, expired, func(r collector.Record) error {
		records = append(records, collector.Record{RecordKey: r.RecordKey})
		return nil
	})
	if err != nil {
		return err
	}
	if err := e.subtractActive(ctx, f, inactive, oldest); err != nil {
		return err
	}
	purged := e.index.identities(f.num, func(num collector.Num) bool { return inactive.Has(uint32(num)) })
	for ids := range slices.Chunk(purged, maxPurge) {
		if err := e.drop(ctx, f, ids, nil, false); err != nil {
			return err
		}
	}
	f.purged = asOf
	// The journal is empty, so its counters cannot be added to these again.
	if err := e.putRecords(ctx, append(records, f.openRecord())...); err != nil {
		return err
	}
	if len(purged) > 0 {
		e.log.Info("Inactive installations were deleted", "app", f.key, "installations", len(purged), "inactive_since", oldest.String())
	}
	return nil
}

// subtractActive removes the installations that were active since a day from a
// set.
func (e *Engine) subtractActive(ctx context.Context, f *fleet, set *bits.Set, since collector.Day) error {
	for _, active := range f.days {
		set.AndNot(active)
	}
	if set.Count() == 0 {
		return nil
	}
	// The writer waits for this, and a year of a large fleet takes seconds to
	// read. Most of it is usually cached.
	cached := f.spans.within(collector.Range{From: since, To: f.today}, activeOnly)
	set.AndNot(cached.active)
	for _, unread := range []collector.Range{{From: since, To: cached.From - 1}, {From: cached.To + 1, To: f.today}} {
		err := e.eachBits(ctx, f, kindActive, unread, func(_ collector.RecordKey, active *bits.Set) { set.AndNot(active) })
		if err != nil {
			return err
		}
	}
	return nil
}

// drop deletes installations: their identities, rows and faults, and the given
// records. Scrub is as in [collector.Batch].
func (e *Engine) drop(ctx context.Context, f *fleet, ids []collector.Identity, records []collector.Record, scrub bool) error {
	b := &collector.Batch{Records: records, Scrub: scrub}
	nums := make([]uint32, 0, len(ids))
	dropped := &bits.Set{}
	f.mu.Lock()
	for _, id := range ids {
		nums = append(nums, uint32(id.Num))
		b.DropIdentities = append(b.DropIdentities, id.Key)
		b.DropInstallations = append(b.DropInstallations, collector.Installation{App: id.App, Num: id.Num})
		b.Records = append(b.Records, collector.Record{RecordKey: f.faultCountsKey(id.Num)})
		if f.two[id.Num] != nil {
			b.Records = append(b.Records, collector.Record{RecordKey: f.sendersKey(id.Num)})
		}
		f.established.Remove(uint32(id.Num))
		f.clones.Remove(uint32(id.Num))
		dropped.Add(uint32(id.Num))
		f.shared.Remove(uint32(id.Num))
		if int(id.Num) < len(f.hashes) {
			f.hashes[id.Num] = 0 // nobody has the number any more
		}
	}
	f.dims.remove(dropped)
	gone := f.goneReleases()
	f.revision++
	f.mu.Unlock()
	b.Records = append(b.Records, f.everRecords()...)
	b.Records = append(b.Records, f.dims.records(f.num)...)
	b.Records = append(b.Records, f.releaseRemovals(gone)...)
	if err := e.commit(ctx, b); err != nil {
		// The sets are ahead of the store until the next attempt: installations
		// that are being deleted do not count.
		return err
	}
	e.index.drop(b.DropIdentities...)
	f.mu.Lock()
	f.held -= uint64(len(ids))
	for _, id := range ids {
		delete(f.two, id.Num)
	}
	f.dropReleases(gone)
	f.dims.committed()
	f.spans.remove(nums...) // they may have been read again before the commit
	f.history.clear()
	f.mu.Unlock()
	return nil
}
