package engine

import (
	"context"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// maxClosedBytes bounds what a closedCache holds, as the size of the records.
// Decoded they take several times as much.
const maxClosedBytes = 16 << 20

// A closedCache caches decoded records of closed days, which never change:
// every page asks for a year of them. It is safe for concurrent use.
type closedCache struct {
	mu    sync.Mutex
	runs  map[closedKey]*closedRun
	bytes int
	clock uint64
}

// A closedKey names records. Loading replaces the fleet, importing changes
// created, and what changes closed days changes rewrites; all make new keys, and the
// old ones age.
type closedKey struct {
	f          *fleet
	created    collector.Day
	rewrites   int
	kind, name string
}

// A closedRun has all records of a key in a range of days.
type closedRun struct {
	collector.Range
	values map[collector.Day]any
	bytes  int
	used   uint64
}

// settled is how many days old a day must be to have all its records: splits of
// days that ended before the rows were read come late.
const settled = longestWindow + 2

// closed returns the records of a kind and name in the closed days of a range,
// decoded. They are shared, and must not be changed.
func closed[T any](ctx context.Context, e *Engine, f *fleet, kind, name string, r collector.Range) (map[collector.Day]T, error) {
	f.mu.RLock()
	key := closedKey{f, f.app.Created, f.rewrites, kind, name}
	today := f.today
	f.mu.RUnlock()
	r.To = min(r.To, today-1)
	found := make(map[collector.Day]T)
	if r.To < r.From {
		return found, nil
	}
	unread := e.closed.get(key, r, func(day collector.Day, value any) { found[day] = value.(T) })
	fresh, sizes := make(map[collector.Day]any), make(map[collector.Day]int)
	err := e.eachNamed(ctx, f.recordKey(kind, 0, name), unread, func(record collector.Record) error {
		var value T
		err := decodeRecord(record, &value)
		found[record.Day], fresh[record.Day], sizes[record.Day] = value, value, len(record.Data)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.closed.put(key, unread, today-settled, fresh, sizes)
	return found, nil
}

// eachNamed calls use with the records that differ from a key only in their day.
func (e *Engine) eachNamed(ctx context.Context, key collector.RecordKey, r collector.Range,
	use func(collector.Record) error,
) error {
	if key.Kind != kindSplit && key.Kind != kindFaultDay {
		return eachRecord(ctx, e.store, key.Kind, key.App, r, func(record collector.Record) error {
			if record.Name != key.Name {
				return nil
			}
			return use(record)
		})
	}
	for key.Day = r.From; key.Day <= r.To; key.Day++ { // each day has many others
		data, ok, err := e.store.Record(ctx, key)
		if err == nil && ok {
			err = use(collector.Record{RecordKey: key, Data: data})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// get calls use with what is cached of a range, and returns the rest, which is
// to be read.
func (c *closedCache) get(key closedKey, r collector.Range, use func(collector.Day, any)) (unread collector.Range) {
	c.mu.Lock()
	defer c.mu.Unlock()
	run := c.runs[key]
	if run == nil || r.From < run.From || r.From > run.To+1 {
		return r
	}
	c.clock++
	run.used = c.clock
	for day := r.From; day <= min(r.To, run.To); day++ {
		if value, ok := run.values[day]; ok {
			use(day, value)
		}
	}
	return collector.Range{From: run.To + 1, To: r.To}
}

// put caches what was read of a range, up to the first day without a record
// that may still come, being late or later.
func (c *closedCache) put(key closedKey, r collector.Range, late collector.Day,
	fresh map[collector.Day]any, sizes map[collector.Day]int,
) {
	c.mu.Lock()
	defer c.mu.Unlock()
	run := c.runs[key]
	if run != nil && r.From < run.From && r.To < run.To {
		return // the cached days are newer, and likelier to be asked for
	}
	if run == nil || r.From < run.From || r.From > run.To+1 {
		c.drop(key)
		run = &closedRun{Range: collector.Range{From: r.From, To: r.From - 1}, values: make(map[collector.Day]any)}
		if c.runs == nil {
			c.runs = make(map[closedKey]*closedRun)
		}
		c.runs[key] = run
	}
	c.clock++
	run.used = c.clock
	for day := run.To + 1; day <= r.To; day++ { // another caller may have been quicker
		value, ok := fresh[day]
		if !ok && day >= late {
			break
		}
		if ok {
			run.values[day] = value
			run.bytes += sizes[day]
			c.bytes += sizes[day]
		}
		run.To = day
	}
	for c.bytes > maxClosedBytes {
		oldest := key
		for other, r := range c.runs {
			if r.used < c.runs[oldest].used {
				oldest = other
			}
		}
		c.drop(oldest)
	}
}

func (c *closedCache) drop(key closedKey) {
	if run := c.runs[key]; run != nil {
		c.bytes -= run.bytes
		delete(c.runs, key)
	}
}
