package engine

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// A merging adds a past to an app that may have figures already. It goes through
// all days once more, in a new generation: each day it adds what the app has of the
// day, then the reports of the past, and closes the day. What it computes from the
// bits of both, less what it computes from the app's own, is the difference that the
// past makes; the closed day gets this and its figures of before, which may contain
// installations that are deleted by now.
//
// Where both have an installation, the app's own reports count: a report of the past
// changes nothing if the installation is active here on the same day, and faults
// that are known here are not counted again.
type merging struct {
	e *Engine
	l *Loader
	// live is the app as it is. It is shown, but accepts no reports. rewrites are
	// its own at the beginning.
	live     *fleet
	rewrites int
	name     string // of the imported record
	// then is the app as it was at the end of the day that is being counted, in its
	// own numbers, and mapped its activity in the new ones.
	then, mapped *fleet
	// keys are those of the app's installations, by number, as far as they exist,
	// and nums their new numbers.
	keys  []collector.Key
	known *bits.Set
	nums  []collector.Num
	// unnamed are the identities of the app's installations that have no row yet.
	unnamed map[collector.Num]unnamed
	// first and version are the first and the current versions of the app's
	// installations, by number, in texts; firstNumbers are what rows have for first.
	first, version []uint32
	texts          []string
	// lastHere and lastPast hold each installation's last active day here, by its
	// number here, and in the past, by its new number.
	lastHere, lastPast []collector.Day
	clones             *bits.Set // those of the app, in the new numbers
	// blind are the days that have totals but no installations.
	blind collector.Range
	// earlier are the days of earlier imports.
	earlier []collector.Range
	span    collector.Range // of the past
	covered collector.Day   // the last day that the past has
	touched collector.Day   // the last day with an installation of the past
	// past are the installations of the past, and refused the reports of refused ones.
	past    *bits.Set
	refused int
	// reported has what installations reported of their faults here.
	reported map[collector.Num][]faultCount
	records  []collector.Record // further ones of the day
	due      []collector.Record // of closed days, to be written
}

// An unnamed is an installation of the app that has a new number and no row yet: its
// identity, and what its row will have for first.
type unnamed struct {
	collector.Identity
	first uint64
}

// An importedRecord is what is stored of a history that was imported.
type importedRecord struct {
	On   collector.Day `json:"on"`
	From collector.Day `json:"from"`
	To   collector.Day `json:"to"`
}

// unseen stands for an installation that has no new number yet.
const unseen collector.Num = maxNum

// Import begins to add a past to an app, which may have reports. The name is that
// of the past, such as its hash: a second import of the same name is
// [collector.ErrImported]. Until Close or Abort, reports of the app wait, and the
// app keeps its figures. Nothing of the past counts before Close, which switches to
// it in one commit.
func (e *Engine) Import(ctx context.Context, app collector.AppNum, name string) (*Loader, error) {
	select {
	case <-e.warmed:
	case <-e.stopping.Done():
		return nil, collector.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case e.imports <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: another import is running", collector.ErrUnavailable)
	}
	l := &Loader{e: e, interned: make(map[string]string)}
	if err := l.prepareMerge(ctx, app, name); err != nil {
		<-e.imports
		return nil, err
	}
	return l, nil
}

func (l *Loader) prepareMerge(ctx context.Context, app collector.AppNum, name string) error {
	e := l.e
	if err := e.dropGenerations(ctx); err != nil {
		return err
	}
	m := &merging{e: e, l: l, name: name, unnamed: make(map[collector.Num]unnamed), known: &bits.Set{}, clones: &bits.Set{}, past: &bits.Set{}, reported: make(map[collector.Num][]faultCount)}
	var num collector.AppNum
	if err := ctx.Err(); err != nil {
		return err
	}
	// Whoever leaves now does not keep the writer from beginning, so wait.
	err := e.exec(context.WithoutCancel(ctx), func(ctx context.Context) error {
		if err := e.rollover(ctx); err != nil {
			return err
		}
		f, err := e.fleet(app)
		switch {
		case err != nil:
			return err
		case e.held != nil || f.aside != nil:
			return fmt.Errorf("%w: the clock is not trusted, so the day is uncertain", collector.ErrUnavailable)
		case !f.warm:
			return fmt.Errorf("%w: the installations are still being read", collector.ErrUnavailable)
		}
		if err := m.readImports(ctx, f); err != nil {
			return err
		}
		e.mergeRefused()
		if err := e.checkpoint(ctx); err != nil { // everything of the app is in records now
			return err
		}
		num = e.generations.Last
		for _, other := range e.sorted() {
			num = max(num, other.num)
		}
		num++
		begun := generationsRecord{Last: num, Drop: []collector.AppNum{num}}
		if err := e.putRecords(ctx, jsonRecord(generationsKey, begun)); err != nil {
			return err
		}
		e.generations = begun
		m.live, m.rewrites = f, f.rewrites
		f.mu.Lock()
		f.importing = make(chan struct{})
		f.mu.Unlock()
		return nil
	})
	if err != nil {
		return err
	}
	f := m.live
	a := f.settings()
	a.Num = num
	l.m, l.f = m, newWarmFleet(a, f.today)
	l.f.masked, l.f.mask = true, e.maskOf(num)
	l.limit, l.f.app.MaxNewPerDay = a.MaxNewPerDay, math.MaxInt
	l.f.declare(f.declarations)
	m.then, m.mapped = newWarmFleet(a, f.today), newWarmFleet(a, f.today)
	if err := m.readLive(ctx); err != nil {
		l.abandon(ctx)
		return err
	}
	return nil
}

// readImports reads which histories were imported, and refuses one of them.
func (m *merging) readImports(ctx context.Context, f *fleet) error {
	return eachRecord(ctx, m.e.store, kindImported, f.num, noDay, func(r collector.Record) error {
		var imported importedRecord
		if err := decodeRecord(r, &imported); err != nil {
			return err
		}
		if r.Name == m.name {
			return fmt.Errorf("%w on %s; nothing has changed", collector.ErrImported, imported.On)
		}
		m.earlier = append(m.earlier, collector.Range{From: imported.From, To: imported.To})
		return nil
	})
}

// readLive reads the identities and rows of the app.
func (m *merging) readLive(ctx context.Context) error {
	f := m.live
	n := int(f.next)
	m.keys, m.nums = make([]collector.Key, n), make([]collector.Num, n)
	m.first, m.version = make([]uint32, n), make([]uint32, n)
	m.lastHere = make([]collector.Day, n)
	for i := range m.nums {
		m.nums[i], m.lastHere[i] = unseen, firstEver
	}
	for _, id := range m.e.index.identities(f.num, func(num collector.Num) bool { return num < f.next }) {
		m.keys[id.Num] = masked(masked(id.Key, f.mask), m.l.f.mask)
		m.known.Add(uint32(id.Num))
	}
	m.texts = []string{""}
	numbers := map[string]uint32{"": 0}
	number := func(text string) uint32 {
		i, ok := numbers[text]
		if !ok {
			i = uint32(len(m.texts))
			numbers[text], m.texts = i, append(m.texts, text)
		}
		return i
	}
	err := m.eachRow(ctx, func(num collector.Num, st *state) error {
		if p, ok := f.dims.firstVersion(st); ok {
			m.first[num] = number(f.dims.text(p))
		}
		m.version[num] = number(f.dims.textIn(st, collector.DimVersion))
		return nil
	})
	if err != nil {
		return err
	}
	return m.findBlind(ctx)
}

// eachRow calls use with the rows of the app.
func (m *merging) eachRow(ctx context.Context, use func(collector.Num, *state) error) error {
	for row, err := range m.e.store.Installations(ctx) {
		if err != nil {
			return err
		}
		if row.App != m.live.num || row.Num >= m.live.next || !m.known.Has(uint32(row.Num)) {
			continue
		}
		st, err := decodeState(row.State)
		if err == nil {
			err = use(row.Num, &st)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// findBlind finds the days that have totals but no installations: purged days, and
// days of imported totals.
func (m *merging) findBlind(ctx context.Context) error {
	f := m.live
	seen := f.today
	if len(f.first) > 0 {
		seen = f.first[0].Day
	}
	seen = max(seen, f.purged-f.retentionDays())
	m.blind = collector.Range{From: 0, To: -1}
	return eachRecord(ctx, m.e.store, kindTotal, f.num, collector.Range{From: firstEver, To: seen - 1}, func(r collector.Record) error {
		var total dayTotal
		err := decodeRecord(r, &total)
		if total.Active[0] > 0 {
			if m.blind.To < m.blind.From {
				m.blind.From = r.Day
			}
			m.blind.To = r.Day
		}
		return err
	})
}

// enterPast begins a day of the past, and refuses one that cannot be combined.
func (m *merging) enterPast(day collector.Day) error {
	if m.blind.From <= m.blind.To && m.blind.From-longestPeriod <= day && day <= m.blind.To+longestPeriod {
		return fmt.Errorf("%w: %s is within %d days of %s to %s, for which the app has totals but no installations", collector.ErrTotalsOnly,
			day, longestPeriod, m.blind.From, m.blind.To)
	}
	if day > m.today() {
		return fmt.Errorf("day %s has not begun yet", day)
	}
	return nil
}

// enter adds what the app has of the day that begins: the installations that were
// new on it, those that were active, and their faults.
func (m *merging) enter(ctx context.Context) error {
	f, live := m.l.f, m.live
	day := f.today
	lo, hi := live.newOn(day)
	if hi > lo {
		m.then.first = append(m.then.first, firstNum{day, collector.Num(lo)})
		m.then.next = collector.Num(hi)
	}
	for n := lo; n < hi; n++ {
		m.see(collector.Num(n))
	}
	m.mapped.next = f.next
	today := collector.Range{From: day, To: day}
	err := m.e.eachBits(ctx, live, kindActive, today, func(_ collector.RecordKey, set *bits.Set) {
		m.then.activate(numsOf(set))
		for n := range set.All() {
			if n < uint32(len(m.lastHere)) {
				m.lastHere[n] = day
			}
		}
		here := m.inNew(set)
		daySet(m.mapped.days, day).Or(here)
		f.activate(numsOf(here))
	})
	if err != nil {
		return err
	}
	return m.e.eachBits(ctx, live, kindFaultBits, today, func(key collector.RecordKey, set *bits.Set) {
		id := key.Name[:max(0, len(key.Name)-len("/0000"))]
		known, here := live.faults[id], m.inNew(set)
		if known == nil { // it has lost its place, and may get another
			m.records = append(m.records, chunkRecords(f.recordKey(kindFaultBits, day, id+"/"), here)...)
			return
		}
		daySet(m.then.faults.get(id).days, day).Or(set)
		daySet(m.mapped.faults.get(id).days, day).Or(here)
		fault := f.faults.get(id)
		if fault.Severity == "" {
			fault.faultRecord = known.faultRecord
			fault.FirstSeen, fault.Sample, fault.OldestVersion, fault.OldestDoubtful = day, nil, "", false
		}
		fault.LastSeen = day
		daySet(fault.days, day).Or(here)
	})
}

func numsOf(set *bits.Set) func(yield func(collector.Num) bool) {
	return func(yield func(collector.Num) bool) {
		for n := range set.All() {
			if !yield(collector.Num(n)) {
				return
			}
		}
	}
}

// map_ returns a set in the new numbers.
func (m *merging) inNew(set *bits.Set) *bits.Set {
	here := &bits.Set{}
	for n := range set.All() {
		if n < uint32(len(m.nums)) && m.nums[n] != unseen {
			here.Add(uint32(m.nums[n]))
		}
	}
	return here
}

// see assigns its new number to an installation that was new here. It reuses the
// number from the past, if there is one. A deleted installation keeps a number
// too, because cohorts contain it.
func (m *merging) see(n collector.Num) {
	f, ft := m.l.f, m.l.ft
	key, text := m.keys[n], m.texts[m.first[n]]
	exists := m.known.Has(uint32(n))
	if exists {
		if found, ok, _ := m.e.index.get(key); ok && found.app == f.num {
			m.nums[n] = found.num
			m.moved(found.num, text)
		}
	}
	if m.nums[n] == unseen {
		var first uint64
		if k := len(f.first); k == 0 || f.first[k-1].Day != f.today {
			f.first = append(f.first, firstNum{f.today, f.next})
		}
		m.nums[n] = f.next
		f.next++
		if exists {
			id := collector.Identity{Key: key, App: f.num, Num: m.nums[n]}
			m.e.index.put(id)
			defer func() { m.unnamed[id.Num] = unnamed{id, first} }()
		}
		if text != "" {
			p, ok := ft.number(label{collector.DimFirstVersion, text}, introducer{num: m.nums[n], known: true}, nil)
			if ok {
				first = uint64(p.value) + 1
				f.dims.update(m.nums[n], nil, &state{first: first})
			}
		}
	}
	if text != "" {
		m.then.dims.ensure(collector.DimFirstVersion, text).set.Add(uint32(n))
	}
	if m.live.clones.Has(uint32(n)) {
		m.clones.Add(uint32(m.nums[n]))
	}
}

// moved counts the change of version between the past of an installation and its
// first report here.
func (m *merging) moved(num collector.Num, to string) {
	row, ok, _ := m.l.Installation(context.Background(), m.l.f.num, num)
	if !ok || to == "" {
		return
	}
	if before, err := decodeState(row.State); err == nil {
		m.l.ft.countMoveOf(num, m.l.f.dims.textIn(&before, collector.DimVersion), to)
	}
}

// before prepares a report of the past, and reports whether the app refuses it.
func (m *merging) before(key collector.Key) (refused bool) {
	l := m.l
	l.ft.silent = false
	if _, refused := m.live.refusedIDs[masked(masked(key, l.f.mask), m.live.mask)]; refused {
		m.refused++
		return true
	}
	m.touched = l.f.today
	if found, ok := m.find(key); ok {
		l.ft.silent = m.mapped.days[l.f.today].Has(uint32(found))
	}
	return false
}

// after notes a report of the past.
func (m *merging) after(key collector.Key, heartbeat bool) {
	num, ok := m.find(key)
	if !ok {
		return // it is no installation
	}
	if m.past.Add(uint32(num)); !heartbeat {
		return
	}
	for len(m.lastPast) <= int(num) {
		m.lastPast = append(m.lastPast, firstEver)
	}
	m.lastPast[num] = m.l.f.today
}

// Merged describes what an import has added.
type Merged struct {
	// Known are the installations of the past that the app had already, and New
	// those that it had not.
	Known int
	New   int
	// Refused are the reports of IDs that the app refuses.
	Refused int
}

// Merged returns what was added. It is for a loader of [Engine.Import] that is
// closed.
func (l *Loader) Merged() (done Merged) {
	m := l.m
	for n, num := range m.nums {
		if m.known.Has(uint32(n)) && num != unseen && m.past.Has(uint32(num)) {
			done.Known++
		}
	}
	done.New, done.Refused = int(m.past.Count())-done.Known, m.refused
	return done
}

// find returns the new number of the installation with a key.
func (m *merging) find(key collector.Key) (collector.Num, bool) {
	found, ok := m.l.t.refs[key]
	if !ok {
		found, ok, _ = m.e.index.get(key)
	}
	return found.num, ok
}

// again reports whether a day was imported before.
func (m *merging) again(day collector.Day) bool {
	return slices.ContainsFunc(m.earlier, func(r collector.Range) bool { return r.From <= day && day <= r.To })
}
