package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// read reads everything but the rows: apps, the bits of the last days, and the
// journal.
func (e *Engine) read(ctx context.Context) error {
	fleets := false
	err := eachRecord(ctx, e.store, kindApp, 0, noDay, func(r collector.Record) error {
		var app collector.App
		err := decodeRecord(r, &app)
		e.publish(newFleet(app, 0))
		return err
	})
	if err != nil {
		return err
	}
	if err := e.readGenerations(ctx); err != nil {
		return err
	}
	for _, f := range e.sorted() {
		if err := f.read(ctx, e.store); err != nil {
			return err
		}
		if f.masked {
			f.mask = e.maskOf(f.num)
		}
		if e.day = min(e.day, f.today); !fleets {
			e.day, fleets = f.today, true
		}
	}
	if !fleets {
		e.day = collector.DayOf(e.clock.read())
	}
	for entry, err := range e.store.Journal(ctx) {
		if err != nil {
			return err
		}
		if err := e.replay(entry.Data); err != nil {
			return fmt.Errorf("entry %d: %w", entry.Number, err)
		}
		e.journaled = entry.Number
		e.entries.Add(1)
	}
	for _, f := range e.sorted() {
		f.faults.dropEvicted()
	}
	return e.readClock(ctx)
}

// readClock reads what is stored of the clock.
func (e *Engine) readClock(ctx context.Context) error {
	key := collector.RecordKey{Kind: kindClock}
	data, ok, err := e.store.Record(ctx, key)
	if err != nil {
		return err
	}
	wall := e.clock.read()
	if !ok { // the store was made before the clock was judged, or is new
		e.clock.restore((e.day + 1).Time().Add(-time.Second))
		return nil
	}
	var r clockRecord
	if err := decodeRecord(collector.Record{RecordKey: key, Data: data}, &r); err != nil {
		return err
	}
	e.clock.restore(r.Trusted)
	if !r.Held {
		return nil
	}
	for _, f := range e.sorted() {
		if f.aside == nil { // added since
			f.aside = newAside(0)
		}
	}
	e.held = e.newHolding(wall, r.For)
	e.logHeld(wall)
	return nil
}

func (f *fleet) read(ctx context.Context, store collector.Store) error {
	key := f.recordKey(kindOpen, 0, "")
	data, ok, err := store.Record(ctx, key)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("app %s has no day", f.key)
	}
	var open openDay
	if err := decodeRecord(collector.Record{RecordKey: key, Data: data}, &open); err != nil {
		return err
	}
	f.today, f.next, f.open, f.gap = open.Today, open.Next, open.Counters, open.Gap
	f.purged = cmp.Or(open.Purged, open.Today)
	if err := f.readAside(ctx, store); err != nil {
		return err
	}
	f.turned.Since = f.today
	recent := collector.Range{From: f.today - longestWindow, To: f.today}
	for _, part := range []struct {
		kind string
		days collector.Range
		use  func(collector.Record) error
	}{
		{kindFirst, allDays, func(r collector.Record) error {
			first := firstNum{Day: r.Day}
			err := decodeRecord(r, &first.Num)
			f.first = append(f.first, first)
			return err
		}},
		{kindActive, recent, f.readActive},
		{kindEver, noDay, func(r collector.Record) error {
			switch {
			case strings.HasPrefix(r.Name, "clones/"):
				return decodeChunk(f.clones, r)
			case strings.HasPrefix(r.Name, "shared/"):
				return decodeChunk(f.shared, r)
			}
			return decodeChunk(f.established, r)
		}},
		{kindDims, noDay, f.dims.read},
		{kindTurned, noDay, func(r collector.Record) error { return decodeRecord(r, &f.turned) }},
		{kindDeclared, noDay, func(r collector.Record) error {
			var declared collector.Declarations
			err := decodeRecord(r, &declared)
			f.declare(declared)
			return err
		}},
		{kindToday, noDay, f.readKeys},
		{kindGeneration, noDay, func(collector.Record) error { f.masked = true; return nil }},
		{kindRefusedID, noDay, f.readRefusedID},
		{kindSenders, noDay, f.readSenders},
		{kindFaultBits, recent, f.readFaultBits},
		{kindFaultDay, recent, f.readFaultDay},
	} {
		if err := eachRecord(ctx, store, part.kind, f.num, part.days, part.use); err != nil {
			return err
		}
	}
	return f.readNames(ctx, store)
}

func (f *fleet) readActive(r collector.Record) error { return decodeChunk(daySet(f.days, r.Day), r) }

func (f *fleet) readFaultBits(r collector.Record) error {
	id, _, _ := strings.Cut(r.Name, "/")
	return decodeChunk(daySet(f.faults.get(id).days, r.Day), r)
}

func (f *fleet) readFaultDay(r collector.Record) error {
	var day faultDay
	err := decodeRecord(r, &day)
	f.faults.get(r.Name).counts[r.Day] = day.occurrences()
	return err
}

// readAside reads the day put aside, if there is one.
func (f *fleet) readAside(ctx context.Context, store collector.Store) error {
	key := f.recordKey(kindAside, 0, "")
	data, ok, err := store.Record(ctx, key)
	if err != nil || !ok {
		return err
	}
	f.aside = newAside(0)
	if err := decodeRecord(collector.Record{RecordKey: key, Data: data}, f.aside); err != nil {
		return err
	}
	day := collector.Range{From: f.aside.Day, To: f.aside.Day}
	return cmp.Or(
		eachRecord(ctx, store, kindActive, f.num, day, f.readActive),
		eachRecord(ctx, store, kindFaultBits, f.num, day, f.readFaultBits),
		eachRecord(ctx, store, kindFaultDay, f.num, day, f.readFaultDay),
	)
}

// readNames reads the releases and faults that were ever seen.
func (f *fleet) readNames(ctx context.Context, store collector.Store) error {
	err := eachRecord(ctx, store, kindRelease, f.num, noDay, func(r collector.Record) error {
		var release releaseRecord
		err := decodeRecord(r, &release)
		f.releases[r.Name] = release
		return err
	})
	if err != nil {
		return err
	}
	err = eachRecord(ctx, store, kindFault, f.num, noDay, func(r collector.Record) error {
		return decodeRecord(r, &f.faults.get(r.Name).faultRecord)
	})
	f.faults.dropEvicted()
	return err
}

// readKeys reads today's keys that are no installations.
func (f *fleet) readKeys(r collector.Record) error {
	keys := f.memory
	switch {
	case r.Name == "excluded":
		keys = f.excluded
	case f.aside != nil && r.Name == "aside/memory":
		keys = f.aside.memory
	case f.aside != nil && r.Name == "aside/excluded":
		keys = f.aside.excluded
	}
	if len(r.Data)%len(collector.Key{}) != 0 {
		return describe(r.RecordKey, errors.New("not a list of keys"))
	}
	for key := range slices.Chunk(r.Data, len(collector.Key{})) {
		keys[collector.Key(key)] = struct{}{}
	}
	return nil
}

// warmChunk is how many rows are added at once.
const warmChunk = 8192

// warmUp reads all rows: identities for the index, and installations for the
// dimensions. Reports are counted meanwhile. The writer therefore adds the rows
// between its commits, and skips those that it has written itself.
func (e *Engine) warmUp() {
	defer close(e.warmed)
	began := time.Now()
	err := e.readIdentities(e.stopping)
	if err == nil {
		err = e.readInstallations(e.stopping)
	}
	switch {
	case err == nil:
		e.log.Debug("All rows are read", "duration", time.Since(began))
		if err := e.dropGenerations(e.stopping); err != nil && e.stopping.Err() == nil {
			e.log.Warn("Rows that an import left are not deleted yet; the next start or import does it", "error", err.Error())
		}
	case e.stopping.Err() == nil:
		e.log.Error("Rows cannot be read; versions and other values are not shown", "error", err.Error())
	}
}

func (e *Engine) readIdentities(ctx context.Context) error {
	chunk := make([]collector.Identity, 0, warmChunk)
	for id, err := range e.store.Identities(ctx) {
		if err != nil {
			return err
		}
		if chunk = append(chunk, id); len(chunk) == warmChunk {
			e.index.read(chunk)
			chunk = chunk[:0]
		}
	}
	e.index.read(chunk)
	e.index.finish()
	return nil
}

func (e *Engine) readInstallations(ctx context.Context) error {
	chunk := make([]collector.Installation, 0, warmChunk)
	add := func() error {
		return e.exec(ctx, func(context.Context) error { return e.addRows(chunk) })
	}
	for row, err := range e.store.Installations(ctx) {
		if err != nil {
			return err
		}
		row.State = slices.Clone(row.State)
		if chunk = append(chunk, row); len(chunk) == warmChunk {
			if err := add(); err != nil {
				return err
			}
			chunk = chunk[:0]
		}
	}
	if err := add(); err != nil {
		return err
	}
	return e.exec(ctx, func(ctx context.Context) error {
		for _, f := range e.sorted() {
			f.mu.Lock()
			f.warm, f.touched = true, nil
			f.revision++
			f.mu.Unlock()
			if err := e.writeSplitsDue(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// addRows adds rows to their fleets. They are sorted by app.
func (e *Engine) addRows(rows []collector.Installation) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].App == rows[0].App {
			n++
		}
		// Rows of an app that was added since are known; those of none are ignored.
		if f, err := e.fleet(rows[0].App); err == nil && !f.warm {
			if err := f.addRows(rows[:n]); err != nil {
				return err
			}
		}
		rows = rows[n:]
	}
	return nil
}

func (f *fleet) addRows(rows []collector.Installation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, row := range rows {
		if _, touched := f.touched[row.Num]; touched {
			continue
		}
		st, err := decodeState(row.State)
		if err != nil {
			return fmt.Errorf("installation %d of app %s: %w", row.Num, f.key, err)
		}
		f.dims.update(row.Num, nil, &st)
		f.setHash(row.Num, &st)
		f.held++
	}
	return nil
}
