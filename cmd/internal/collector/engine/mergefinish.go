package engine

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// beginMerge begins with the first day of the past, or of the app.
func (l *Loader) beginMerge(ctx context.Context, day collector.Day) error {
	m := l.m
	if err := m.enterPast(day); err != nil {
		return err
	}
	m.span = collector.Range{From: day, To: day}
	first := min(day, m.live.since())
	for _, f := range []*fleet{l.f, m.then, m.mapped} {
		f.today = first
	}
	l.begin()
	if err := m.enter(ctx); err != nil {
		return err
	}
	return l.mergeDays(ctx, day)
}

// mergeDays closes the days before day, which the past has.
func (l *Loader) mergeDays(ctx context.Context, day collector.Day) error {
	if err := l.m.enterPast(day); err != nil {
		return err
	}
	if err := l.mergeUntil(ctx, day); err != nil {
		return err
	}
	l.m.covered, l.m.span.To = day, day
	return nil
}

// mergeUntil closes the days before day.
func (l *Loader) mergeUntil(ctx context.Context, day collector.Day) error {
	for l.f.today < day {
		if err := l.flush(ctx); err != nil {
			return err
		}
		closing, err := l.m.closing(ctx)
		if err != nil {
			return err
		}
		l.m.due = append(append(l.m.due, l.f.dirtyRecords()...), closing...) // closing replaces what both have
		l.f.clean()
		l.m.startDay()
		err = l.e.exec(ctx, func(ctx context.Context) error { return l.e.reclaim(ctx, l.f) })
		if err == nil && len(l.m.due) >= mergeBatch {
			err = l.m.writeDue(ctx)
		}
		if err != nil {
			return err
		}
		l.begin()
		if err := l.m.enter(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mergeBatch is how many records of closed days are written at once.
const mergeBatch = 5000

// writeDue writes the records of closed days.
func (m *merging) writeDue(ctx context.Context) error {
	due := m.due
	m.due = nil
	return m.e.exec(ctx, func(ctx context.Context) error { return m.e.putRecords(ctx, due...) })
}

// nameRows adds the identities of the app's installations whose rows are written.
func (m *merging) nameRows(b *collector.Batch) {
	m.reported = make(map[collector.Num][]faultCount)
	for _, row := range b.PutInstallations {
		if u, ok := m.unnamed[row.Num]; ok {
			b.PutIdentities = append(b.PutIdentities, u.Identity)
			m.l.f.held++
			delete(m.unnamed, row.Num)
		}
	}
}

// finishMerge adds what the app has of today, and switches to the new generation.
func (l *Loader) finishMerge(ctx context.Context) error {
	err := l.merge(ctx)
	if err != nil {
		l.Abort(ctx)
		return err
	}
	<-l.e.imports
	return nil
}

func (l *Loader) merge(ctx context.Context) error {
	m, e := l.m, l.e
	if !l.begun {
		return fmt.Errorf("%w: it has no reports", collector.ErrArchive)
	}
	old := m.live.num
	for rowsOf, switched := false, false; !switched; {
		today := m.today()
		if err := l.mergeUntil(ctx, today); err != nil {
			return err
		}
		if err := cmp.Or(l.flush(ctx), m.writeDue(ctx)); err != nil {
			return err
		}
		if !rowsOf {
			if err := l.mergeRows(ctx); err != nil {
				return err
			}
			rowsOf = true
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// Whoever leaves now does not keep the writer from switching, so wait.
		err := e.exec(context.WithoutCancel(ctx), func(ctx context.Context) (err error) {
			switched, err = l.switchOver(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := e.dropGeneration(ctx, old); err != nil {
		e.log.Warn("Rows that an import left are not deleted yet; the next start or import does it", "error", err.Error())
	}
	return nil
}

// today returns the day that the app counts.
func (m *merging) today() collector.Day {
	m.live.mu.RLock()
	defer m.live.mu.RUnlock()
	return m.live.today
}

// mergeRows writes the rows of the app's installations, and what they reported of
// their faults, under their new numbers.
func (l *Loader) mergeRows(ctx context.Context) error {
	m := l.m
	err := m.eachRow(ctx, func(n collector.Num, st *state) error {
		if err := m.mergeRow(ctx, n, st); err != nil {
			return err
		}
		return l.changed(ctx)
	})
	if err == nil {
		err = l.flush(ctx)
	}
	if err != nil {
		return err
	}
	var records []collector.Record
	write := func() error {
		chunk := records
		records = nil
		return l.e.exec(ctx, func(ctx context.Context) error { return l.e.putRecords(ctx, chunk...) })
	}
	err = eachRecord(ctx, l.e.store, kindFaultCounts, m.live.num, noDay, func(r collector.Record) error {
		var n collector.Num
		if _, err := fmt.Sscanf(r.Name, "%08x", &n); err != nil {
			return describe(r.RecordKey, err)
		}
		if int(n) >= len(m.nums) || !m.known.Has(uint32(n)) {
			return nil
		}
		here, err := l.e.faultCounts(ctx, m.live, n)
		if err != nil {
			return err
		}
		past, err := l.e.faultCounts(ctx, l.f, m.nums[n])
		if err != nil {
			return err
		}
		records = append(records, jsonRecord(l.f.faultCountsKey(m.nums[n]), mergeCounts(past, here, m.today())))
		if len(records) >= importBatch {
			return write()
		}
		return nil
	})
	return cmp.Or(err, write())
}

// mergeRow sets the values of an installation to the app's, unless the past has
// later ones.
func (m *merging) mergeRow(ctx context.Context, n collector.Num, st *state) error {
	l, num := m.l, m.nums[n]
	if num == unseen {
		return fmt.Errorf("installation %d of app %s has no first day", n, l.f.key)
	}
	later := int(num) < len(l.rows) && l.rows[num] != "" && int(num) < len(m.lastPast) && m.lastPast[num] > m.lastHere[n]
	if later {
		return nil
	}
	var labels []label
	for _, p := range st.pairs {
		if text := m.live.dims.text(p); text != "" {
			labels = append(labels, label{m.live.dims.numbers.at(p.dim).name, text})
		}
	}
	row := l.ft.state(labels, introducer{num: num, known: true})
	row.before, row.flips, row.flipped = st.before, st.flips, st.flipped
	before, err := l.ft.current(ctx, l, num)
	if err == nil {
		row.first = before.first
		l.ft.put(num, before.old, row)
	}
	return err
}

// switchOver makes the new generation the one that counts, unless a day has begun
// meanwhile.
func (l *Loader) switchOver(ctx context.Context) (bool, error) {
	m, e, f := l.m, l.e, l.f
	live := m.live
	switch {
	case live.today != f.today:
		return false, nil
	case e.held != nil || live.aside != nil || live.rewrites != m.rewrites:
		return false, fmt.Errorf("%w: the day was corrected meanwhile; import again", collector.ErrUnavailable)
	}
	e.mergeRefused()
	m.join()
	records, err := m.settings(ctx)
	if err != nil {
		return false, err
	}
	records = append(records, m.everything()...)
	next := generationsRecord{Last: e.generations.Last, Drop: []collector.AppNum{live.num}}
	records = append(records, jsonRecord(generationsKey, next))
	if err := e.checkpointWith(ctx, records); err != nil {
		return false, err
	}
	e.generations = next
	f.clean()
	f.dims.committed()
	e.replace(live, f)
	e.day = min(e.day, f.today)
	e.requestPreload()
	if err := e.purge(ctx, f); err != nil {
		e.log.Warn("Inactive installations are not deleted yet", "error", err.Error())
	}
	return true, nil
}

// join adds to the new generation what the app has besides rows and closed days.
func (m *merging) join() {
	f, live := m.l.f, m.live
	num := f.num
	f.app = live.app
	f.app.Num = num
	f.open.add(&live.open)
	for _, part := range []struct{ into, from map[collector.Key]struct{} }{{f.memory, live.memory}, {f.excluded, live.excluded}} {
		for key := range part.from {
			part.into[masked(masked(key, live.mask), f.mask)] = struct{}{}
		}
	}
	for key, refused := range live.refusedIDs {
		f.refusedIDs[masked(masked(key, live.mask), f.mask)] = refused
	}
	for n := range live.established.All() {
		f.established.Add(uint32(m.nums[n]))
	}
	f.clones.Or(m.clones)
	for n := range live.shared.All() {
		f.shared.Add(uint32(m.nums[n]))
	}
	for n, senders := range live.two {
		if num := m.nums[n]; m.known.Has(uint32(n)) {
			f.two[num] = senders
		}
	}
	f.asOf, f.purged, f.gap = live.asOf, live.purged, live.gap
	f.spans.clear() // versions have got places, and lost them, since
	past := f.turned
	f.turned = turnedAway{Since: live.turned.Since}
	f.turn(&live.turned)
	f.turn(&past)
	f.turnedDirty = true
	f.declare(live.declarations)
	for version, release := range live.releases {
		known, ok := f.releases[version]
		if ok && known.FirstSeen != 0 && (release.FirstSeen == 0 || known.FirstSeen < release.FirstSeen) {
			release.FirstSeen = known.FirstSeen
		}
		release.Earned = release.Earned || known.Earned
		f.releases[version] = release
	}
	for id, fault := range live.faults {
		merged := f.faults.get(id)
		merged.faultRecord = joinFaults(f, merged.faultRecord, fault.faultRecord)
		merged.addOccurrences(f.today, fault.counts[f.today])
	}
	m.dropFaults()
}

// joinFaults joins what the past and the app say of a fault.
func joinFaults(f *fleet, past, here faultRecord) faultRecord {
	if past.Severity == "" {
		return here
	}
	joined := here
	joined.FirstSeen, joined.LastSeen = min(past.FirstSeen, here.FirstSeen), max(past.LastSeen, here.LastSeen)
	if past.OldestVersion != "" {
		joined.sawVersion(f.app.VersionOrder, past.OldestVersion, !past.OldestDoubtful)
	}
	if joined.Sample == nil || past.Sample != nil && past.LastSeen > here.LastSeen {
		joined.Sample = past.Sample
	}
	return joined
}

// dropFaults drops faults of the past alone if there are too many: those that were
// reported first.
func (m *merging) dropFaults() {
	f := m.l.f
	if len(f.faults) <= collector.MaxFaults {
		return
	}
	var past []*fault
	for id, fault := range f.faults {
		if m.live.faults[id] == nil {
			past = append(past, fault)
		}
	}
	slices.SortFunc(past, func(a, b *fault) int { return cmp.Or(cmp.Compare(a.LastSeen, b.LastSeen), strings.Compare(a.ID, b.ID)) })
	for _, fault := range past[:min(len(past), len(f.faults)-collector.MaxFaults)] {
		m.records = append(m.records, f.faultRemoval(fault)...)
		f.turned.add(tableFaults, 1, faultText(fault.Source, fault.Component, fault.Reason, fault.Stage))
		delete(f.faults, fault.ID)
	}
}

// settings returns the settings of the app, as those of the new generation.
func (m *merging) settings(ctx context.Context) (records []collector.Record, err error) {
	for _, kind := range []string{kindSetting, kindImported} {
		err = cmp.Or(err, eachRecord(ctx, m.e.store, kind, m.live.num, allDays, func(r collector.Record) error {
			r.App = m.l.f.num
			records = append(records, r)
			return nil
		}))
	}
	return records, err
}

// everything returns the records of the new generation that a start reads, and that
// are not written yet.
func (m *merging) everything() []collector.Record {
	f := m.l.f
	records := append(m.records, f.dirtyRecords()...)
	for name := range f.dims.byName {
		f.dims.dirty[name] = struct{}{}
	}
	f.dims.dirty[dimensionCounter] = struct{}{}
	records = append(records, f.dims.records(f.num)...)
	for version, release := range f.releases {
		records = append(records, f.record(kindRelease, 0, version, release))
	}
	for id, fault := range f.faults {
		records = append(records, f.record(kindFault, 0, id, fault.faultRecord))
		if o := fault.counts[f.today]; o.total() > 0 {
			records = append(records, f.record(kindFaultDay, f.today, id, o.faultDay()))
		}
	}
	for key, refused := range f.refusedIDs {
		records = append(records, f.record(kindRefusedID, 0, hex.EncodeToString(key[:]), refused))
	}
	for num, senders := range f.two {
		records = append(records, jsonRecord(f.sendersKey(num), senders))
	}
	return append(records,
		f.record(kindDeclared, 0, "", f.declarations),
		f.record(kindGeneration, 0, "", true),
		f.record(kindImported, 0, m.name, importedRecord{On: f.today, From: m.span.From, To: m.span.To}),
		appRecord(f.app))
}

// replace publishes a fleet in place of another one, and lets its reports in.
func (e *Engine) replace(old, f *fleet) {
	f.mu.Lock()
	f.revision = max(f.revision, old.revision+1)
	f.mu.Unlock()
	e.mu.Lock()
	delete(e.fleets, old.num)
	e.fleets[f.num], e.byKey[f.key] = f, f
	for from, to := range e.moved {
		if to == old.num {
			e.moved[from] = f.num
		}
	}
	e.moved[old.num] = f.num
	e.mu.Unlock()
	close(old.importing) // it stays busy for whoever still has it
}

// Abort ends an import that is not closed. The app is as it was.
func (l *Loader) Abort(ctx context.Context) {
	l.abandon(ctx)
	<-l.e.imports
}

// abandon is Abort before another import may begin.
func (l *Loader) abandon(ctx context.Context) {
	e, live := l.e, l.m.live
	ctx = context.WithoutCancel(ctx)
	live.mu.Lock()
	importing := live.importing
	live.importing = nil
	live.mu.Unlock()
	if importing != nil {
		close(importing)
	}
	if err := e.dropGenerations(ctx); err != nil && !errors.Is(err, collector.ErrClosed) {
		e.log.Warn("Rows that an import left are not deleted yet; the next start or import does it", "error", err.Error())
	}
}

func (f *fleet) isImporting() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.importing != nil
}

// importing returns an error if the past of an app is being imported.
func (e *Engine) importing() error {
	for _, f := range e.sorted() {
		if f.isImporting() {
			return fmt.Errorf("%w: the past of %s is being imported; try again afterwards", collector.ErrUnavailable, f.key)
		}
	}
	return nil
}
