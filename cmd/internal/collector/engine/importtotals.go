package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// exported are the kinds of records that identify nobody and are kept for good,
// with what each is decoded into. They are an app's totals when it moves to
// another collector.
var exported = map[string]func() any{
	kindTotal:     func() any { return new(dayTotal) },
	kindSplit:     func() any { return new(split) },
	kindRetention: func() any { return new(retentionRow) },
	kindSurvival:  func() any { return new(retentionRow) },
	kindRelease:   func() any { return new(releaseRecord) },
	kindFault:     func() any { return new(faultRecord) },
	kindFaultDay:  func() any { return new(faultDay) },
}

// belongsToNoDay reports whether records of the kind have no day.
func belongsToNoDay(kind string) bool { return kind == kindFault || kind == kindRelease }

// Limits of ImportTotals.
const (
	// maxTotalName bounds the name of a record in bytes.
	maxTotalName = 512
	// maxImportedNames bounds the releases and faults together.
	maxImportedNames = collector.MaxFaults + 10_000
	// longestPeriod is how many days before a day its period may begin.
	longestPeriod = 31
	// importBatch is how many records are written at once.
	importBatch = 1000
	// leftoversTimeout bounds the cleanup after a failed import.
	leftoversTimeout = 30 * time.Second
)

// ExportTotals yields the totals of an app's closed days, and what is known of
// its releases and faults. Nothing in it identifies an installation. The App of
// the records is of no use elsewhere.
func (e *Engine) ExportTotals(ctx context.Context, app collector.AppNum) iter.Seq2[collector.Record, error] {
	return func(yield func(collector.Record, error) bool) {
		f, err := e.fleet(app)
		if err != nil {
			yield(collector.Record{}, err)
			return
		}
		f.mu.RLock()
		closed := f.today - 1 // a checkpoint writes the open day's faults, too
		f.mu.RUnlock()
		for _, kind := range slices.Sorted(maps.Keys(exported)) {
			for r, err := range e.store.Records(ctx, kind, app, firstEver, closed) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// ImportTotals adds exported totals to an app that has counted nothing yet. All
// days must precede the one the app was added on. Nothing is visible before the
// last record is written, and a failed import can be repeated. It returns the
// days that have totals now.
//
// No installations come with the totals. Those that report from then on are new,
// so figures that compare with days before the import start afresh.
func (e *Engine) ImportTotals(ctx context.Context, app collector.AppNum,
	records iter.Seq2[collector.Record, error],
) (span collector.Range, days int, err error) {
	f, err := e.fleet(app)
	if err != nil {
		return span, 0, err
	}
	if !f.takesTotals.CompareAndSwap(false, true) {
		return span, 0, collector.ErrBusy
	}
	defer f.takesTotals.Store(false)
	created := f.settings().Created
	if err := e.checkEmpty(ctx, f, created); err != nil {
		return span, 0, err
	}
	if err := e.dropLeftovers(ctx, app, created); err != nil { // of an import that was killed
		return span, 0, err
	}
	finishing := false // the records may be visible from here on
	defer func() {
		if err != nil && !finishing {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leftoversTimeout)
			defer cancel()
			_ = e.dropLeftovers(ctx, app, created) // if this fails, the next import retries
		}
	}()
	span.From = created
	var batch, names []collector.Record
	flush := func() error {
		records := batch
		batch = nil
		return e.exec(ctx, func(ctx context.Context) error { return e.putRecords(ctx, records...) })
	}
	for r, err := range records {
		if err == nil {
			r, err = checkTotal(r, created)
		}
		if err != nil {
			return collector.Range{}, 0, err
		}
		if r.Kind == kindTotal {
			days++
			span.From, span.To = min(span.From, r.Day), max(span.To, r.Day)
		}
		r.App = app
		if belongsToNoDay(r.Kind) { // the next start would show them
			if names = append(names, r); len(names) > maxImportedNames {
				return collector.Range{}, 0, fmt.Errorf("%w: more than %d releases and faults", collector.ErrArchive, maxImportedNames)
			}
			continue
		}
		if batch = append(batch, r); len(batch) >= importBatch {
			if err := flush(); err != nil {
				return collector.Range{}, 0, err
			}
		}
	}
	if err := flush(); err != nil {
		return collector.Range{}, 0, err
	}
	if days == 0 {
		return collector.Range{}, 0, fmt.Errorf("%w: it has no days", collector.ErrArchive)
	}
	finishing = true
	return span, days, e.finishImport(ctx, f, span.From, names)
}

// dropLeftovers deletes what a failed import wrote: all records of days before
// the app was added. The app must have no figures.
func (e *Engine) dropLeftovers(ctx context.Context, app collector.AppNum, created collector.Day) error {
	for kind := range exported {
		if belongsToNoDay(kind) {
			continue
		}
		for {
			var batch []collector.Record
			for r, err := range e.store.Records(ctx, kind, app, firstEver, created-1) {
				if err != nil {
					return err
				}
				if batch = append(batch, collector.Record{RecordKey: r.RecordKey}); len(batch) == importBatch {
					break
				}
			}
			if len(batch) == 0 {
				break
			}
			if err := e.exec(ctx, func(ctx context.Context) error { return e.putRecords(ctx, batch...) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEmpty returns ErrNotEmpty if the app has counted something. It ignores
// days without reports.
func (e *Engine) checkEmpty(ctx context.Context, f *fleet, created collector.Day) error {
	f.mu.RLock()
	empty := f.next == 0 && f.open.Accepted == 0 && len(f.memory) == 0 && len(f.excluded) == 0
	f.mu.RUnlock()
	if !empty {
		return collector.ErrNotEmpty
	}
	return eachRecord(ctx, e.store, kindTotal, f.num, collector.Range{From: created, To: lastEver}, func(r collector.Record) error {
		var total dayTotal
		err := decodeRecord(r, &total)
		if err == nil && !reflect.DeepEqual(total, dayTotal{Gap: total.Gap}) {
			err = collector.ErrNotEmpty
		}
		return err
	})
}

// checkTotal checks a record, and returns it as it is to be written.
func checkTotal(r collector.Record, before collector.Day) (collector.Record, error) {
	fail := func(format string, args ...any) (collector.Record, error) {
		return r, fmt.Errorf("%w: %s", collector.ErrArchive, fmt.Sprintf(format, args...))
	}
	newValue := exported[r.Kind]
	switch {
	case newValue == nil:
		return fail("unknown kind %q", r.Kind)
	case len(r.Data) > collector.MaxTotalBytes || len(r.Name) > maxTotalName || !utf8.ValidString(r.Name):
		return fail("a record of kind %s is too long, or its name is not text", r.Kind)
	case belongsToNoDay(r.Kind) != (r.Day == 0):
		return fail("a record of kind %s should have a day, or should not", r.Kind)
	case r.Day == 0:
	case r.Day >= before:
		return fail("day %s is not before %s, when the app was added", r.Day, before)
	case r.Day < before-collector.MaxRangeDays-longestPeriod:
		return fail("day %s is too long ago", r.Day)
	}
	value := newValue()
	if err := json.NewDecoder(bytes.NewReader(r.Data)).Decode(value); err != nil {
		return fail("a record of kind %s is malformed", r.Kind)
	}
	if fault, ok := value.(*faultRecord); ok && fault.ID != r.Name {
		return fail("a fault and its record have different names")
	}
	return jsonRecord(r.RecordKey, value), nil
}

// finishImport writes the releases and faults, and makes the imported days
// those of the app.
func (e *Engine) finishImport(ctx context.Context, f *fleet, from collector.Day, names []collector.Record) error {
	return e.exec(ctx, func(ctx context.Context) error {
		app := f.app
		app.Created = from
		if err := e.putRecords(ctx, append(names, appRecord(app))...); err != nil {
			return err
		}
		imported := newFleet(app, f.today)
		if err := imported.readNames(ctx, e.store); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.app, f.faults, f.releases = app, imported.faults, imported.releases
		f.revision++
		return nil
	})
}
