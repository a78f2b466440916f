package engine

import (
	"context"
	"iter"
	"math"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// firstEver and lastEver are days before and after all others. allDays includes
// both; records that belong to no day are those of noDay.
const (
	firstEver collector.Day = math.MinInt32
	lastEver  collector.Day = math.MaxInt32
)

var (
	allDays = collector.Range{From: firstEver, To: lastEver}
	noDay   = collector.Range{}
)

// eachRecord calls use with the records of a kind and app in a range of days.
func eachRecord(ctx context.Context, store collector.Store, kind string, app collector.AppNum, r collector.Range,
	use func(collector.Record) error,
) error {
	if r.To < r.From {
		return nil
	}
	return each(store.Records(ctx, kind, app, r.From, r.To), use)
}

// each calls use with each record until one fails.
func each(records iter.Seq2[collector.Record, error], use func(collector.Record) error) error {
	for record, err := range records {
		if err != nil {
			return err
		}
		if err := use(record); err != nil {
			return err
		}
	}
	return nil
}

// eachBits calls use with the bits of a kind in a range of days, a chunk of a
// day at a time.
func (e *Engine) eachBits(ctx context.Context, f *fleet, kind string, r collector.Range,
	use func(collector.RecordKey, *bits.Set),
) error {
	return eachRecord(ctx, e.store, kind, f.num, r, func(record collector.Record) error {
		set := &bits.Set{}
		if err := decodeChunk(set, record); err != nil {
			return err
		}
		use(record.RecordKey, set)
		return nil
	})
}

// decodeChunk decodes a chunk of a set. What precedes the last '/' in the name
// of the record is a prefix.
func decodeChunk(set *bits.Set, r collector.Record) error {
	chunk, err := bits.ParseChunk(r.Name[strings.LastIndexByte(r.Name, '/')+1:])
	if err == nil {
		err = set.Decode(chunk, r.Data)
	}
	return describe(r.RecordKey, err)
}
