package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// The tables that turn away, besides the dimensions.
const (
	tableFacts  = "facts"
	tableFaults = "faults"
)

// maxExamples bounds the examples of each table, and maxTables the tables.
const (
	maxExamples = 5
	maxTables   = 200
)

// A turnedAway is what is stored of names and values that got no place, or lost
// it. It is written at checkpoints: a crash may lose that of the last minute.
type turnedAway struct {
	Since  collector.Day           `json:"since"`
	Tables map[string]*turnedTable `json:"tables,omitempty"`
}

type turnedTable struct {
	Count    uint64   `json:"count"`
	Examples []string `json:"examples"` // the first ones
}

// add adds one text, or what another has counted.
func (t *turnedAway) add(table string, count uint64, examples ...string) {
	if t.Tables == nil {
		t.Tables = make(map[string]*turnedTable)
	}
	if t.Tables[table] == nil && len(t.Tables) >= maxTables {
		table = collector.Other
	}
	entry := t.Tables[table]
	if entry == nil {
		entry = &turnedTable{Examples: []string{}}
		t.Tables[table] = entry
	}
	entry.Count += count
	for _, example := range examples {
		if len(entry.Examples) < maxExamples && !slices.Contains(entry.Examples, example) {
			entry.Examples = append(entry.Examples, example)
		}
	}
}

// dropExamples drops all examples, and reports whether there were any.
func (t *turnedAway) dropExamples() (dropped bool) {
	for _, entry := range t.Tables {
		dropped = dropped || len(entry.Examples) > 0
		entry.Examples = []string{}
	}
	return dropped
}

func (ft *fleetTx) turnAway(table, text string) { ft.turned.add(table, 1, text) }

// turn adds what a tx has turned away, and reports whether there was anything.
func (f *fleet) turn(t *turnedAway) bool {
	for table, entry := range t.Tables {
		f.turned.add(table, entry.Count, entry.Examples...)
		f.turnedDirty = true
	}
	return len(t.Tables) > 0
}

// shown returns it for the maintainer.
func (t *turnedAway) shown() figures.TurnedAway {
	shown := figures.TurnedAway{Since: t.Since, Tables: []figures.TurnedTable{}}
	for _, name := range slices.Sorted(maps.Keys(t.Tables)) {
		entry := t.Tables[name]
		shown.Tables = append(shown.Tables, figures.TurnedTable{
			Table: name, Count: entry.Count, Examples: slices.Clone(entry.Examples),
		})
	}
	return shown
}

// TurnedAway returns what was turned away. It is for the maintainer only.
func (e *Engine) TurnedAway(app collector.AppNum) (t figures.TurnedAway, err error) {
	err = e.inspect(app, func(f *fleet) { t = f.turned.shown() })
	return t, err
}

// Clear empties the list of what was turned away, and frees the places of names
// and values that no established installation has and that are not declared. It
// returns how many it freed. The next report of one of these brings it back, if
// there is a place.
func (e *Engine) Clear(ctx context.Context, app collector.AppNum) (freed int, err error) {
	err = e.exec(ctx, func(ctx context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		if err := e.importing(); err != nil {
			return err
		}
		if !f.warm {
			return fmt.Errorf("%w: the installations are still being read", collector.ErrUnavailable)
		}
		if err := e.checkpoint(ctx); err != nil { // the journal must not restore a fault
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dims.undone = nil
		freed = f.evictUnearned()
		var records []collector.Record
		var faults []string
		for id, fault := range f.faults {
			if !f.earnedFault(fault) && !fault.triaged() {
				faults = append(faults, id)
				records = append(records, f.faultRemoval(fault)...)
			}
		}
		freed += len(faults)
		gone := f.goneReleases()
		records = append(records, f.releaseRemovals(gone)...)
		empty := turnedAway{Since: f.today}
		records = append(records, f.record(kindTurned, 0, "", empty))
		records = append(records, f.dims.records(f.num)...)
		if err := e.putRecords(ctx, records...); err != nil {
			f.dims.undo()
			return err
		}
		f.dims.committed()
		for _, id := range faults {
			delete(f.faults, id)
		}
		f.dropReleases(gone)
		f.spans.clear()
		f.turned, f.turnedDirty, f.newcomers = empty, false, make(newcomers)
		f.dims.reconsider()
		f.revision++
		return nil
	})
	return freed, err
}

// evictUnearned evicts the values and facts that no established installation has,
// unless they are declared, and returns how many.
func (f *fleet) evictUnearned() (n int) {
	for _, dim := range f.dims.sorted() {
		if !f.earnedDimension(dim) {
			f.dims.evictDimension(dim)
			n++
			continue
		}
		for _, v := range dim.byText {
			if !f.earned(dim, v) {
				f.dims.evict(dim, v)
				n++
			}
		}
	}
	return n
}

// earnedFault reports the same of a fault.
func (f *fleet) earnedFault(fault *fault) bool {
	for _, set := range fault.days {
		if _, ok := bits.FirstBoth(set, f.established); ok {
			return true
		}
	}
	return false
}
