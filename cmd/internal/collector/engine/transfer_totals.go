package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// The kinds of records that are kept for good and have no identity in them, and what each holds. They are what an app's
// totals consist of when they are carried to another collector.
var archived = map[string]func() any{
	kindTotal:     func() any { return new(dayTotal) },
	kindSplit:     func() any { return new(split) },
	kindRetention: func() any { return new(retentionRow) },
	kindSurvival:  func() any { return new(retentionRow) },
	kindRelease:   func() any { return new(releaseRecord) },
	kindFault:     func() any { return new(faultRecord) },
	kindFaultDay:  func() any { return new(faultDay) },
}

// The limits of what ImportTotals takes.
const (
	// maxTotalName bounds its name, in bytes.
	maxTotalName = 512
	// maxImportedNames bounds the releases and faults together.
	maxImportedNames = collector.MaxFaults + 10_000
	// longestPeriod is how long before a day the period begins that it belongs to.
	longestPeriod = 31
	// importBatch is how many records are written at once.
	importBatch = 1000
)

// ExportTotals gives the totals of an app's closed days, and what is known of its releases and faults. Nothing in it
// stands for an installation. Of each record only Kind, Day, Name and Data count.
func (c *Engine) ExportTotals(ctx context.Context, app collector.AppNum) iter.Seq2[collector.Record, error] {
	return func(yield func(collector.Record, error) bool) {
		if _, err := c.fleet(app); err != nil {
			yield(collector.Record{}, err)
			return
		}
		for _, kind := range archiveOrder() {
			for r, err := range c.store.Records(ctx, kind, app, firstEver, lastEver) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

// archiveOrder gives the kinds, always in the same order.
func archiveOrder() []string {
	var kinds []string
	for kind := range archived {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// ImportTotals puts totals of ExportTotals into an app that has counted nothing yet; the days have to lie before the one on
// which the app was added. Nothing is seen of them before the last one is written, and an import that failed can be
// repeated. It gives the days of which there are totals now. Since no installations come with them, those that report
// from then on are new ones: figures that compare days before the import with days after it begin anew.
func (c *Engine) ImportTotals(ctx context.Context, app collector.AppNum, records iter.Seq2[collector.Record, error]) (span collector.Range, days int, err error) {
	f, err := c.fleet(app)
	if err != nil {
		return span, 0, err
	}
	f.mu.RLock()
	created := f.app.Created
	f.mu.RUnlock()
	if err := c.mayImport(ctx, f); err != nil {
		return span, 0, err
	}
	span.From = created
	var batch, last []collector.Record
	flush := func() error {
		b := &collector.Batch{Records: batch}
		err := c.exec(ctx, func(ctx context.Context) error { return c.commit(ctx, b) })
		batch = nil
		return err
	}
	for r, err := range records {
		if err != nil {
			return collector.Range{}, 0, err
		}
		if r, err = checkTotal(r, created); err != nil {
			return collector.Range{}, 0, err
		}
		if r.Kind == kindTotal {
			days++
			span.From, span.To = min(span.From, r.Day), max(span.To, r.Day)
		}
		r.App = app
		if ofNoDay(r.Kind) { // the next start would show them
			if last = append(last, r); len(last) > maxImportedNames {
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
	return span, days, c.show(ctx, f, span.From, last)
}

// mayImport tells whether the app has counted nothing yet.
func (c *Engine) mayImport(ctx context.Context, f *fleet) error {
	f.mu.RLock()
	empty := f.next == 0 && f.open.Accepted == 0 && len(f.memory) == 0 && len(f.excluded) == 0
	created := f.app.Created
	f.mu.RUnlock()
	if !empty {
		return collector.ErrNotEmpty
	}
	for _, err := range c.store.Records(ctx, kindTotal, f.num, created, lastEver) {
		if err == nil {
			err = collector.ErrNotEmpty
		}
		return err
	}
	return nil
}

// checkTotal looks whether a record is what it says, and gives it as it is written.
func checkTotal(r collector.Record, before collector.Day) (collector.Record, error) {
	form := archived[r.Kind]
	switch {
	case form == nil:
		return r, fmt.Errorf("%w: unknown kind %q", collector.ErrArchive, r.Kind)
	case len(r.Data) > collector.MaxTotalBytes || len(r.Name) > maxTotalName || !utf8.ValidString(r.Name):
		return r, fmt.Errorf("%w: a record of the kind %s is too long, or its name is no text", collector.ErrArchive, r.Kind)
	case ofNoDay(r.Kind) != (r.Day == 0):
		return r, fmt.Errorf("%w: a record of the kind %s has a day too many or too few", collector.ErrArchive, r.Kind)
	case r.Day == 0:
	case r.Day >= before:
		return r, fmt.Errorf("%w: day %s is not before %s, when the app was added", collector.ErrArchive, r.Day, before)
	case r.Day < before-collector.MaxRangeDays-longestPeriod:
		return r, fmt.Errorf("%w: day %s is too long ago", collector.ErrArchive, r.Day)
	}
	value := form()
	if err := json.NewDecoder(bytes.NewReader(r.Data)).Decode(value); err != nil {
		return r, fmt.Errorf("%w: a record of the kind %s is broken", collector.ErrArchive, r.Kind)
	}
	if is, ok := value.(*faultRecord); ok && is.ID != r.Name {
		return r, fmt.Errorf("%w: a fault has another name than its record", collector.ErrArchive)
	}
	return jsonRecord(r.RecordKey, value), nil
}

// ofNoDay tells whether records of the kind belong to no day.
func ofNoDay(kind string) bool { return kind == kindFault || kind == kindRelease }

// show writes the last records and makes the imported days those of the app, from its new first day on.
func (c *Engine) show(ctx context.Context, f *fleet, from collector.Day, last []collector.Record) error {
	return c.exec(ctx, func(ctx context.Context) error {
		app := f.app
		app.Created = from
		records := append(last, jsonRecord(collector.RecordKey{Kind: kindApp, Name: app.Key}, app))
		if err := c.commit(ctx, &collector.Batch{Records: records}); err != nil {
			return err
		}
		fresh := newFleet(app, f.today)
		if err := fresh.readArchived(ctx, c.store); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.app, f.faults, f.releases = app, fresh.faults, fresh.releases
		f.revision++
		return nil
	})
}

// readArchived reads what a fleet has in memory of imported records.
func (f *fleet) readArchived(ctx context.Context, store collector.Store) error {
	for r, err := range store.Records(ctx, kindFault, f.num, firstEver, lastEver) {
		if err != nil {
			return err
		}
		if err := decodeRecord(r, &f.faults.put(r.Name).faultRecord); err != nil {
			return err
		}
	}
	for r, err := range store.Records(ctx, kindRelease, f.num, firstEver, lastEver) {
		if err != nil {
			return err
		}
		var release releaseRecord
		if err := decodeRecord(r, &release); err != nil {
			return err
		}
		f.releases[r.Name] = release
	}
	return nil
}
