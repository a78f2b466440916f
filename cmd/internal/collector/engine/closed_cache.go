package engine

import (
	"context"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// shelfBytes bounds what a shelf keeps, as records; decoded they take several times as much.
const shelfBytes = 16 << 20

// A shelf keeps records of closed days decoded, as these never change: a year of days is asked for with every page.
type shelf struct {
	mu    sync.Mutex
	runs  map[shelfKey]*shelfRun
	bytes int
	clock uint64
}

type shelfKey struct {
	app        collector.AppNum
	kind, name string
}

// A shelfRun is all that there is of a key from one day to another.
type shelfRun struct {
	owner    *fleet        // loading makes another one of the app
	created  collector.Day // importing changes it
	from, to collector.Day
	values   map[collector.Day]any
	bytes    int
	used     uint64
}

// settled is for how long a record may still come late: the splits of days that were closed before the rows were read.
const settled = longestWindow + 2

// closed gives the records of a kind and name in the closed days of a range, decoded. They are shared: nobody may change
// them.
func closed[T any](ctx context.Context, c *Engine, f *fleet, kind, name string, r collector.Range) (map[collector.Day]T, error) {
	f.mu.RLock()
	created, today := f.app.Created, f.today
	f.mu.RUnlock()
	r.To = min(r.To, today-1)
	found := make(map[collector.Day]T)
	if r.To < r.From {
		return found, nil
	}
	key := shelfKey{f.num, kind, name}
	from := c.shelf.take(key, f, created, r, func(day collector.Day, value any) { found[day] = value.(T) })
	fresh, sizes := make(map[collector.Day]any), make(map[collector.Day]int)
	read := func(record collector.Record) error {
		var value T
		if err := decodeRecord(record, &value); err != nil {
			return err
		}
		fresh[record.Day], sizes[record.Day] = value, len(record.Data)
		if record.Day >= r.From {
			found[record.Day] = value
		}
		return nil
	}
	if err := c.each(ctx, collector.RecordKey{Kind: kind, App: f.num, Name: name}, collector.Range{From: from, To: r.To}, read); err != nil {
		return nil, err
	}
	c.shelf.put(key, f, created, from, r.To, today-settled, fresh, sizes)
	return found, nil
}

// each reads the records of a kind and name in a range of days.
func (c *Engine) each(ctx context.Context, key collector.RecordKey, r collector.Range, take func(collector.Record) error) error {
	if key.Kind == kindSplit { // there are many other ones of each day
		for key.Day = r.From; key.Day <= r.To; key.Day++ {
			data, ok, err := c.store.Record(ctx, key)
			if err == nil && ok {
				err = take(collector.Record{RecordKey: key, Data: data})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if r.To < r.From {
		return nil
	}
	for record, err := range c.store.Records(ctx, key.Kind, key.App, r.From, r.To) {
		if err == nil && record.Name == key.Name {
			err = take(record)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take gives what is kept of a range, and the first day that has to be read: all from there on has to be.
func (s *shelf) take(key shelfKey, f *fleet, created collector.Day, r collector.Range, each func(collector.Day, any)) (from collector.Day) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.runs[key]
	if run == nil || run.owner != f || run.created != created || r.From < run.from || r.From > run.to+1 {
		return r.From
	}
	s.clock++
	run.used = s.clock
	for day, value := range run.values {
		if day >= r.From && day <= r.To {
			each(day, value)
		}
	}
	return run.to + 1
}

// put keeps what was read of the days from from to to, as far as nothing can come late: up to the first day without a
// record that is not before late.
func (s *shelf) put(key shelfKey, f *fleet, created, from, to, late collector.Day, fresh map[collector.Day]any, sizes map[collector.Day]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.runs[key]
	valid := run != nil && run.owner == f && run.created == created
	if valid && from < run.from && to < run.to {
		return // what is kept is newer, and likelier to be asked for again
	}
	if !valid || from < run.from || from > run.to+1 {
		s.drop(key)
		run = &shelfRun{owner: f, created: created, from: from, to: from - 1, values: make(map[collector.Day]any)}
		if s.runs == nil {
			s.runs = make(map[shelfKey]*shelfRun)
		}
		s.runs[key] = run
	}
	s.clock++
	run.used = s.clock
	for ; run.to < to; run.to++ { // another one may have been quicker
		value, ok := fresh[run.to+1]
		if ok {
			run.values[run.to+1] = value
			run.bytes += sizes[run.to+1]
			s.bytes += sizes[run.to+1]
		} else if run.to+1 >= late {
			break
		}
	}
	for s.bytes > shelfBytes {
		oldest := key
		for other, r := range s.runs {
			if r.used < s.runs[oldest].used {
				oldest = other
			}
		}
		s.drop(oldest)
	}
}

func (s *shelf) drop(key shelfKey) {
	if run := s.runs[key]; run != nil {
		s.bytes -= run.bytes
		delete(s.runs, key)
	}
}
