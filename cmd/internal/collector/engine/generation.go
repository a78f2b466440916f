package engine

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Numbers follow first sight, so an import of earlier installations renumbers all
// of an app: it builds a further generation of the app beside the one in use. Each
// generation has an app number of its own, and the record of the app says which one
// counts. So one small commit switches from the old to the new one, and rows that
// belong to neither are left over only until [Engine.dropGenerations] has deleted
// them.

// A generationsRecord is what is stored of the numbers of apps.
type generationsRecord struct {
	// Last is the highest number that a generation ever had: no number is used twice.
	Last collector.AppNum `json:"last"`
	// Drop are the numbers whose rows are left over.
	Drop []collector.AppNum `json:"drop,omitempty"`
}

var generationsKey = collector.RecordKey{Kind: kindGeneration}

func (e *Engine) readGenerations(ctx context.Context) error {
	data, ok, err := e.store.Record(ctx, generationsKey)
	if err != nil || !ok {
		return err
	}
	return decodeRecord(collector.Record{RecordKey: generationsKey, Data: data}, &e.generations)
}

// maskOf returns what the keys of a generation differ by from those of the first
// one, so that the store can hold both.
func (e *Engine) maskOf(generation collector.AppNum) collector.Key {
	return e.keys.Key("\x00generation", strconv.Itoa(int(generation)))
}

// masked returns the key of the same installation in another generation.
func masked(key, mask collector.Key) collector.Key {
	for i := range key {
		key[i] ^= mask[i]
	}
	return key
}

// ownKey returns the key that an installation has in this generation.
func (f *fleet) ownKey(key collector.Key) collector.Key { return masked(key, f.mask) }

// appKinds are the kinds of records that belong to an app.
var appKinds = []string{
	kindFirst, kindActive, kindEver, kindDims, kindTotal, kindSplit, kindRetention, kindSurvival, kindOpen, kindRelease,
	kindFault, kindFaultDay, kindFaultBits, kindFaultCounts, kindSenders, kindToday, kindAside, kindRefusedID, kindSetting,
	kindTurned, kindDeclared, kindGeneration, kindImported,
}

// maxDrop bounds the rows of one commit that deletes a generation.
const maxDrop = 10_000

// dropGenerations deletes the rows of generations that do not count. All rows have
// been read.
func (e *Engine) dropGenerations(ctx context.Context) error {
	for _, num := range slices.Clone(e.generations.Drop) {
		if err := e.dropGeneration(ctx, num); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) dropGeneration(ctx context.Context, num collector.AppNum) error {
	if err := e.dropRows(ctx, num); err != nil {
		return err
	}
	for _, kind := range appKinds {
		var records []collector.Record
		flush := func() error {
			chunk := records
			records = nil
			return e.exec(ctx, func(ctx context.Context) error { return e.putRecords(ctx, chunk...) })
		}
		err := eachRecord(ctx, e.store, kind, num, allDays, func(r collector.Record) error {
			if records = append(records, collector.Record{RecordKey: r.RecordKey}); len(records) >= maxDrop/10 {
				return flush()
			}
			return nil
		})
		if err = cmp.Or(err, flush()); err != nil {
			return err
		}
	}
	return e.exec(ctx, func(ctx context.Context) error {
		left := generationsRecord{Last: e.generations.Last}
		left.Drop = slices.DeleteFunc(slices.Clone(e.generations.Drop), func(n collector.AppNum) bool { return n == num })
		if err := e.putRecords(ctx, jsonRecord(generationsKey, left)); err != nil {
			return err
		}
		e.generations = left
		return nil
	})
}

// dropRows deletes identities and installations.
func (e *Engine) dropRows(ctx context.Context, num collector.AppNum) error {
	drop := func(b *collector.Batch) error {
		err := e.exec(ctx, func(ctx context.Context) error { return e.commit(ctx, b) })
		if err == nil {
			e.index.drop(b.DropIdentities...)
		}
		return err
	}
	all := e.index.identities(num, func(collector.Num) bool { return true })
	for ids := range slices.Chunk(all, maxDrop) {
		b := &collector.Batch{}
		for _, id := range ids {
			b.DropIdentities = append(b.DropIdentities, id.Key)
			b.DropInstallations = append(b.DropInstallations, collector.Installation{App: num, Num: id.Num})
		}
		if err := drop(b); err != nil {
			return err
		}
	}
	b := &collector.Batch{} // rows without an identity
	for row, err := range e.store.Installations(ctx) {
		if err != nil {
			return err
		}
		if row.App != num {
			continue
		}
		b.DropInstallations = append(b.DropInstallations, collector.Installation{App: num, Num: row.Num})
		if len(b.DropInstallations) >= maxDrop {
			if err := drop(b); err != nil {
				return err
			}
			b = &collector.Batch{}
		}
	}
	return drop(b)
}
