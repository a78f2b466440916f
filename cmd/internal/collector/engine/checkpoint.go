package engine

import (
	"context"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// checkpoint writes what the journal has as records, and trims it.
func (e *Engine) checkpoint(ctx context.Context) error { return e.checkpointWith(ctx, nil) }

// checkpointWith is checkpoint, and writes further records in the same commit.
func (e *Engine) checkpointWith(ctx context.Context, records []collector.Record) error {
	e.unsaved.Store(false)
	b := &collector.Batch{TrimJournal: e.journaled, Records: []collector.Record{e.clockRecord()}}
	fleets := e.sorted()
	for _, f := range fleets {
		b.Records = append(b.Records, f.dirtyRecords()...)
	}
	b.Records = append(b.Records, records...)
	if err := e.commit(ctx, b); err != nil {
		return err
	}
	for _, f := range fleets {
		f.clean()
		f.dims.reconsider()
	}
	e.entries.Store(0)
	e.checkpointed = time.Now()
	e.clock.saved = e.checkpointed
	return nil
}

// dirtyRecords returns the bits and counters that differ from their records.
func (f *fleet) dirtyRecords() []collector.Record {
	var records []collector.Record
	if f.turnedDirty {
		records = append(records, f.record(kindTurned, 0, "", f.turned))
	}
	records = append(records, f.openRecord(), f.keysRecord("memory", f.memory), f.keysRecord("excluded", f.excluded))
	if n := len(f.first); n > 0 && f.first[n-1].Day == f.today {
		records = append(records, f.record(kindFirst, f.today, "", f.first[n-1].Num))
	}
	for day, set := range f.days {
		records = append(records, chunkRecords(f.recordKey(kindActive, day, ""), set)...)
	}
	for id, fault := range f.faults {
		for day, set := range fault.days {
			if chunks := chunkRecords(f.recordKey(kindFaultBits, day, id+"/"), set); len(chunks) > 0 {
				records = append(records, chunks...)
				records = append(records, f.record(kindFaultDay, day, id, fault.counts[day].faultDay()))
			}
		}
	}
	return append(records, f.everRecords()...)
}

// everRecords returns the dirty chunks of the sets that belong to no day.
func (f *fleet) everRecords() []collector.Record {
	return slices.Concat(
		chunkRecords(f.recordKey(kindEver, 0, "established/"), f.established),
		chunkRecords(f.recordKey(kindEver, 0, "clones/"), f.clones),
		chunkRecords(f.recordKey(kindEver, 0, "shared/"), f.shared),
	)
}

// chunkRecords returns the dirty chunks of a set. The name of the key is the
// prefix of their names.
func chunkRecords(key collector.RecordKey, set *bits.Set) []collector.Record {
	var records []collector.Record
	prefix := key.Name
	for _, chunk := range slices.Sorted(slices.Values(set.Dirty())) {
		key.Name = prefix + bits.ChunkName(chunk)
		records = append(records, collector.Record{RecordKey: key, Data: set.Encode(chunk)})
	}
	return records
}

// keysRecord returns the record of today's keys, to be deleted if there are none.
func (f *fleet) keysRecord(name string, keys map[collector.Key]struct{}) collector.Record {
	r := collector.Record{RecordKey: f.recordKey(kindToday, 0, name)}
	for key := range keys {
		r.Data = append(r.Data, key[:]...)
	}
	return r
}

// clean declares the bits written.
func (f *fleet) clean() {
	f.turnedDirty, f.faultQueue.made = false, false
	for _, set := range f.days {
		set.Clean()
	}
	f.established.Clean()
	f.clones.Clean()
	f.shared.Clean()
	for _, fault := range f.faults {
		for _, set := range fault.days {
			set.Clean()
		}
	}
}
