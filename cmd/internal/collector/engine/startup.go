package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// firstEver and lastEver are days before and after all others.
const (
	firstEver collector.Day = math.MinInt32
	lastEver  collector.Day = math.MaxInt32
)

// read takes in all but the rows: the apps, the bits of the last days, and the journal.
func (c *Engine) read(ctx context.Context) error {
	c.day = collector.DayOf(time.Now())
	for r, err := range c.store.Records(ctx, kindApp, 0, 0, 0) {
		if err != nil {
			return err
		}
		var app collector.App
		if err := decodeRecord(r, &app); err != nil {
			return err
		}
		c.adopt(newFleet(app, 0))
	}
	for _, f := range c.sorted() {
		if err := f.read(ctx, c.store); err != nil {
			return err
		}
		c.day = min(c.day, f.today)
	}
	for entry, err := range c.store.Journal(ctx) {
		if err != nil {
			return err
		}
		if err := c.replay(entry.Data); err != nil {
			return fmt.Errorf("entry %d: %w", entry.Number, err)
		}
		c.journaled = entry.Number
		c.entries.Add(1)
	}
	return nil
}

func (f *fleet) read(ctx context.Context, store collector.Store) error {
	var open openDay
	data, ok, err := store.Record(ctx, collector.RecordKey{Kind: kindOpen, App: f.num})
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("app %s has no day", f.key)
	}
	if err := decodeRecord(collector.Record{RecordKey: collector.RecordKey{Kind: kindOpen, App: f.num}, Data: data}, &open); err != nil {
		return err
	}
	f.today, f.next, f.open = open.Today, open.Next, open.Counters
	since := f.today - longestWindow
	each := func(kind string, from, to collector.Day, take func(collector.Record) error) {
		if err != nil {
			return
		}
		for r, failed := range store.Records(ctx, kind, f.num, from, to) {
			if err = failed; err != nil {
				return
			}
			if err = take(r); err != nil {
				err = fmt.Errorf("record %s/%d/%s/%q: %w", r.Kind, r.App, r.Day, r.Name, err)
				return
			}
		}
	}
	each(kindFirst, firstEver, lastEver, func(r collector.Record) error {
		first := firstNum{Day: r.Day}
		err := decodeRecord(r, &first.Num)
		f.first = append(f.first, first)
		return err
	})
	each(kindActive, since, f.today, func(r collector.Record) error {
		if f.days[r.Day] == nil {
			f.days[r.Day] = &bits.Set{}
		}
		return readChunk(f.days[r.Day], r, "")
	})
	each(kindEver, 0, 0, func(r collector.Record) error {
		if strings.HasPrefix(r.Name, "clones/") {
			return readChunk(f.clones, r, "clones/")
		}
		return readChunk(f.established, r, "established/")
	})
	each(kindDims, 0, 0, f.dims.read)
	each(kindToday, 0, 0, func(r collector.Record) error {
		keys := f.memory
		if r.Name == "excluded" {
			keys = f.excluded
		}
		if len(r.Data)%len(collector.Key{}) != 0 {
			return errJournal
		}
		for key := range slices.Chunk(r.Data, len(collector.Key{})) {
			keys[collector.Key(key)] = struct{}{}
		}
		return nil
	})
	each(kindRelease, 0, 0, func(r collector.Record) error {
		var release releaseRecord
		err := decodeRecord(r, &release)
		f.releases[r.Name] = release
		return err
	})
	each(kindFault, 0, 0, func(r collector.Record) error { return decodeRecord(r, &f.faults.put(r.Name).faultRecord) })
	each(kindFaultBits, since, f.today, func(r collector.Record) error {
		id, _, ok := strings.Cut(r.Name, "/")
		if !ok {
			return errors.New("its name has no chunk")
		}
		is := f.faults.put(id)
		if is.days[r.Day] == nil {
			is.days[r.Day] = &bits.Set{}
		}
		return readChunk(is.days[r.Day], r, id+"/")
	})
	each(kindFaultDay, since, f.today, func(r collector.Record) error {
		var day faultDay
		err := decodeRecord(r, &day)
		f.faults.put(r.Name).counts[r.Day] = day.Occurrences
		return err
	})
	return err
}

// warmChunk is how many rows are taken in at once.
const warmChunk = 8192

// warm reads all rows: the identities into the index, and the values of the installations into the dimensions. Reports
// are counted meanwhile, so the writer takes the rows in, between its commits, and leaves out those that it wrote itself.
func (c *Engine) warm() {
	defer close(c.warmed)
	began := time.Now()
	ctx, cancel := c.untilStop()
	defer cancel()
	err := c.warmIdentities(ctx)
	if err == nil {
		err = c.warmInstallations(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.log.Error("Rows cannot be read; versions and other values are not shown", "error", err.Error())
		}
		return
	}
	c.log.Debug("All rows are read", "duration", time.Since(began))
}

// untilStop gives a context for what runs beside the writer.
func (c *Engine) untilStop() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-c.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (c *Engine) warmIdentities(ctx context.Context) error {
	chunk := make([]collector.Identity, 0, warmChunk)
	for id, err := range c.store.Identities(ctx) {
		if err != nil {
			return err
		}
		if chunk = append(chunk, id); len(chunk) == warmChunk {
			c.index.read(chunk)
			chunk = chunk[:0]
		}
	}
	c.index.read(chunk)
	c.index.setWhole()
	return nil
}

func (c *Engine) warmInstallations(ctx context.Context) error {
	chunk := make([]collector.Installation, 0, warmChunk)
	take := func() error {
		taken := chunk
		chunk = make([]collector.Installation, 0, warmChunk)
		return c.exec(ctx, func(context.Context) error { return c.takeRows(taken) })
	}
	for row, err := range c.store.Installations(ctx) {
		if err != nil {
			return err
		}
		row.State = append([]byte(nil), row.State...)
		if chunk = append(chunk, row); len(chunk) == warmChunk {
			if err := take(); err != nil {
				return err
			}
		}
	}
	if err := take(); err != nil {
		return err
	}
	return c.exec(ctx, func(ctx context.Context) error {
		for _, f := range c.sorted() {
			f.mu.Lock()
			f.warm, f.touched = true, nil
			f.revision++
			f.mu.Unlock()
			if err := c.closePending(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// takeRows takes in rows that were read. They are of few fleets, and in order.
func (c *Engine) takeRows(rows []collector.Installation) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].App == rows[0].App {
			n++
		}
		f, err := c.fleet(rows[0].App)
		if err == nil && !f.warm {
			err = f.takeRows(rows[:n])
		} else {
			err = nil // an app that was added since, or rows of none
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (f *fleet) takeRows(rows []collector.Installation) error {
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
		f.dims.set(row.Num, nil, &st)
		if int(row.Num) >= len(f.hashes) {
			f.hashes = append(f.hashes, make([]uint64, int(row.Num)+1-len(f.hashes))...)
		}
		f.hashes[row.Num] = st.hash()
		f.held++
	}
	return nil
}
