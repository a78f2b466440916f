package engine

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// checkpoint writes what the journal holds as records, and trims it.
func (c *Engine) checkpoint(ctx context.Context) error {
	c.unsaved.Store(false)
	b := &collector.Batch{TrimJournal: c.journaled}
	for _, f := range c.sorted() {
		f.addRecords(b)
	}
	if err := c.commit(ctx, b); err != nil {
		return err
	}
	for _, f := range c.sorted() {
		f.clean()
	}
	c.entries.Store(0)
	c.checkpointed = time.Now()
	return nil
}

// addRecords adds what changed of the bits and of what else is only in the journal.
func (f *fleet) addRecords(b *collector.Batch) {
	app := f.num
	b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindOpen, App: app},
		openDay{Today: f.today, Next: f.next, Counters: f.open}))
	if n := len(f.first); n > 0 && f.first[n-1].Day == f.today {
		b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindFirst, App: app, Day: f.today}, f.first[n-1].Num))
	}
	for day, set := range f.days {
		addChunks(b, collector.RecordKey{Kind: kindActive, App: app, Day: day}, set)
	}
	addChunks(b, collector.RecordKey{Kind: kindEver, App: app, Name: "established/"}, f.established)
	addChunks(b, collector.RecordKey{Kind: kindEver, App: app, Name: "clones/"}, f.clones)
	for id, is := range f.faults.byID {
		for day, set := range is.days {
			if len(set.Dirty()) == 0 {
				continue
			}
			addChunks(b, collector.RecordKey{Kind: kindFaultBits, App: app, Day: day, Name: id + "/"}, set)
			b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindFaultDay, App: app, Day: day, Name: id},
				faultDay{Occurrences: is.counts[day]}))
		}
	}
	b.Records = append(b.Records, keysRecord(app, "memory", f.memory), keysRecord(app, "excluded", f.excluded))
}

// addChunks adds the dirty chunks of a set; the key's name is what comes before the chunk's.
func addChunks(b *collector.Batch, key collector.RecordKey, set *bits.Set) {
	prefix := key.Name
	for _, chunk := range slices.Sorted(slices.Values(set.Dirty())) {
		key.Name = prefix + bits.ChunkName(chunk)
		b.Records = append(b.Records, collector.Record{RecordKey: key, Data: set.Encode(chunk)})
	}
}

func keysRecord(app collector.AppNum, name string, keys map[collector.Key]struct{}) collector.Record {
	r := collector.Record{RecordKey: collector.RecordKey{Kind: kindToday, App: app, Name: name}}
	for key := range keys {
		r.Data = append(r.Data, key[:]...)
	}
	return r
}

// clean says that all is written.
func (f *fleet) clean() {
	for _, set := range f.days {
		set.Clean()
	}
	f.established.Clean()
	f.clones.Clean()
	for _, is := range f.faults.byID {
		for _, set := range is.days {
			set.Clean()
		}
	}
}

// sorted gives the fleets in the order of their apps.
func (c *Engine) sorted() []*fleet {
	c.mu.RLock()
	defer c.mu.RUnlock()
	fleets := make([]*fleet, 0, len(c.fleets))
	for _, app := range slices.Sorted(maps.Keys(c.fleets)) {
		fleets = append(fleets, c.fleets[app])
	}
	return fleets
}

// readChunks reads the chunks of a set whose records' names begin with prefix.
func readChunk(set *bits.Set, r collector.Record, prefix string) error {
	chunk, err := bits.ChunkOf(strings.TrimPrefix(r.Name, prefix))
	if err != nil {
		return err
	}
	return set.Decode(chunk, r.Data)
}
