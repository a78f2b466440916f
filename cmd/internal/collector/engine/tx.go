package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A tx collects the changes of one commit. Nobody sees them before they are
// durable and applied.
type tx struct {
	e      *Engine
	now    time.Time
	fleets map[collector.AppNum]*fleetTx
	// refs are the identities that are new, and those read for this tx.
	refs map[collector.Key]ref
	rows rowReader
	// votes are what the reports say about the clock.
	votes []vote
}

// A vote is the time of an installation's clock.
type vote struct {
	fleet  *fleet
	num    collector.Num
	sentAt time.Time
}

// A rowReader reads current rows of installations.
type rowReader interface {
	Installation(ctx context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error)
}

// A fleetTx is the part of a tx that belongs to one app.
type fleetTx struct {
	f          *fleet
	identities []collector.Identity // numbered from f.next
	active     map[collector.Num]struct{}
	states     map[collector.Num]*pendingState
	memory     map[collector.Key]struct{}
	excluded   map[collector.Key]struct{}
	clones     []collector.Num
	shared     []collector.Num
	two        map[collector.Num]*twoSenders
	past       map[collector.Day]map[collector.Num]struct{} // days before today
	counters   dayCounters
	releases   map[string]releaseRecord // seen for the first time
	faults     map[string]*faultRecord
	evicted    map[string]*fault  // faults that make way for others
	admitted   map[string]support // new faults
	marks      []faultMark
	counts     map[collector.Num][]faultCount
	turned     turnedAway
	// silent means that what is reported was counted before.
	silent bool
	// m is not nil while a past is added.
	m *merging
	// claims are what [fleetTx.claimed] returns; nil until it is needed.
	claims map[pair]collector.Day
}

// A pendingState is a row that changes.
type pendingState struct {
	old *state // nil for a new installation
	state
}

// maxClockSkew is how far a sender's clock may be off before its report counts
// as skewed.
const maxClockSkew = time.Hour

func (e *Engine) begin(now time.Time) *tx {
	return &tx{e: e, now: now, fleets: make(map[collector.AppNum]*fleetTx), refs: make(map[collector.Key]ref), rows: e.store}
}

// fleet returns the part of an app that accepts reports.
func (t *tx) fleet(app collector.AppNum) (*fleetTx, error) {
	if ft := t.fleets[app]; ft != nil {
		return ft, nil
	}
	f, err := t.e.accepting(app)
	if err != nil {
		return nil, err
	}
	ft := newFleetTx(f)
	t.fleets[app] = ft
	return ft, nil
}

func newFleetTx(f *fleet) *fleetTx {
	f.dims.undone = nil
	return &fleetTx{
		f: f, active: make(map[collector.Num]struct{}), states: make(map[collector.Num]*pendingState),
		memory: make(map[collector.Key]struct{}), excluded: make(map[collector.Key]struct{}),
	}
}

// find returns the installation with a key.
func (t *tx) find(ctx context.Context, key collector.Key) (ref, bool, error) {
	if r, ok := t.refs[key]; ok {
		return r, true, nil
	}
	return t.e.lookup(ctx, key)
}

// add adds a report.
func (t *tx) add(ctx context.Context, j *job) (receipt collector.Receipt, err error) {
	app, dropped, sentAt := j.envelope()
	ft, err := t.fleet(app)
	if err != nil {
		return receipt, err
	}
	if j.fleet != ft.f {
		return receipt, collector.ErrBusy // the app was imported meanwhile, and the key is another
	}
	if _, refused := ft.f.refusedIDs[j.key]; refused {
		return receipt, collector.ErrRefusedID
	}
	if j.heartbeat != nil {
		receipt, err = ft.heartbeat(ctx, t, j.key, j.heartbeat)
	} else {
		receipt, err = ft.health(ctx, t, j.key, j.health)
	}
	if err != nil {
		return collector.Receipt{}, err
	}
	ft.accept(receipt)
	ft.counters.DroppedFields += uint64(dropped.Fields)
	ft.counters.DroppedFacts += uint64(dropped.Facts)
	ft.counters.DroppedContext += uint64(dropped.Context)
	switch {
	case sentAt.IsZero(): // some older clients do not say
	case j.heartbeat != nil && j.heartbeat.Exported && t.maybeMade(sentAt):
		// It was made at another time, which says nothing about a clock.
	default:
		if t.e.voting() != nil {
			if found, ok, err := t.find(ctx, j.key); ok && err == nil {
				t.votes = append(t.votes, vote{ft.f, found.num, sentAt})
			}
		}
		if t.e.held == nil && t.now.Sub(sentAt).Abs() > maxClockSkew { // else it may be ours that is wrong
			ft.counters.Skewed++
		}
	}
	return receipt, nil
}

// accept counts an accepted report.
func (ft *fleetTx) accept(receipt collector.Receipt) {
	ft.counters.Accepted++
	if receipt.Repeated {
		ft.counters.Repeated++
	}
}

func (ft *fleetTx) heartbeat(ctx context.Context, t *tx, key collector.Key, r *collector.Received) (collector.Receipt, error) {
	h := &r.Heartbeat
	if ft.excludes(h.Version) {
		return addAside(ft.excluded, ft.f.excluded, key)
	}
	found, ok, err := t.find(ctx, key)
	switch {
	case err != nil:
		return collector.Receipt{}, err
	case !ok && h.IDPersistence == report.InMemory:
		return addAside(ft.memory, ft.f.memory, key)
	}
	by := introducer{num: found.num, known: ok, prefix: r.Prefix}
	var buf [report.MaxFacts + 8]label
	labels := appendLabels(buf[:0], h, r.Country)
	if !ok {
		return collector.Receipt{New: true}, ft.addNew(t, key, labels, by)
	}
	st := ft.state(labels, by)
	if day, ok := ft.exportedDay(t, r, found.num); ok {
		return ft.exported(ctx, t.rows, found.num, day, st)
	}
	wasActive := ft.markActive(found.num)
	ft.watch(found.num, r.Prefix, wasActive)
	if ft.f.app.Legacy {
		if err := ft.combine(ctx, t.rows, found.num, &st, r.Legacy); err != nil {
			return collector.Receipt{}, err
		}
	}
	changed, err := ft.change(ctx, t.rows, found.num, st)
	return collector.Receipt{Repeated: wasActive && !changed}, err
}

// excludes reports whether the app excludes a version.
func (ft *fleetTx) excludes(version string) bool {
	return ft.f.app.ExcludeDevelopment && report.IsDevelopment(version)
}

// addAside adds a key to those of today that are no installations.
func addAside(pending, today map[collector.Key]struct{}, key collector.Key) (collector.Receipt, error) {
	_, known := today[key]
	if _, added := pending[key]; known || added {
		return collector.Receipt{Repeated: true}, nil
	}
	if len(today)+len(pending) >= collector.MaxInMemoryPerDay {
		return collector.Receipt{}, collector.ErrNewLimit
	}
	pending[key] = struct{}{}
	return collector.Receipt{}, nil
}

// addNew adds a new installation. If there are too many, its values get no place.
func (ft *fleetTx) addNew(t *tx, key collector.Key, labels []label, by introducer) error {
	f := ft.f
	newToday := int(f.next-f.numAt(f.today)) + len(ft.identities)
	num := f.next + collector.Num(len(ft.identities))
	if newToday >= cmp.Or(f.app.MaxNewPerDay, collector.DefaultMaxNewPerDay) || num == maxNum {
		return collector.ErrNewLimit
	}
	st := ft.state(labels, by)
	for _, l := range labels {
		if l.dim == collector.DimVersion {
			p, _ := ft.number(label{collector.DimFirstVersion, l.text}, by, st.pairs)
			st.first = uint64(p.value) + 1
		}
	}
	ft.identities = append(ft.identities, collector.Identity{Key: key, App: f.num, Num: num})
	ft.put(num, nil, st)
	t.refs[key] = ref{f.num, num}
	return nil
}

// put adds a row, and its version if that was never seen.
func (ft *fleetTx) put(num collector.Num, old *state, st state) {
	ft.states[num] = &pendingState{old: old, state: st}
	ft.claim(num, &st)
	version := ft.f.dims.textIn(&st, collector.DimVersion)
	if _, seen := ft.f.releases[version]; !seen && version != "" && version != collector.Other {
		if ft.releases == nil {
			ft.releases = make(map[string]releaseRecord)
		}
		ft.releases[version] = releaseRecord{FirstSeen: ft.f.today}
	}
}

// markActive marks an installation active today, and reports whether it was.
func (ft *fleetTx) markActive(num collector.Num) (was bool) {
	if num >= ft.f.next || ft.f.days[ft.f.today].Has(uint32(num)) {
		return true
	}
	if _, ok := ft.active[num]; ok {
		return true
	}
	ft.active[num] = struct{}{}
	return false
}

// unchanged reports whether the stored values are known to be these.
func (ft *fleetTx) unchanged(num collector.Num, st *state) bool {
	return ft.states[num] == nil && int(num) < len(ft.f.hashes) && ft.f.hashes[num] == st.hash()
}

// current returns the values of an installation: those that change already, or the
// stored ones.
func (ft *fleetTx) current(ctx context.Context, rows rowReader, num collector.Num) (*pendingState, error) {
	if pending := ft.states[num]; pending != nil {
		return pending, nil
	}
	row, ok, err := rows.Installation(ctx, ft.f.num, num)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("installation has no row: %w", collector.ErrUnavailable)
	}
	stored, err := decodeState(row.State)
	if err != nil {
		return nil, err
	}
	return &pendingState{old: &stored, state: stored}, nil
}

// change changes the values of an installation, and reports whether they differ
// from those before.
func (ft *fleetTx) change(ctx context.Context, rows rowReader, num collector.Num, st state) (bool, error) {
	if ft.unchanged(num, &st) {
		return false, nil
	}
	pending, err := ft.current(ctx, rows, num)
	if err != nil {
		return false, err
	}
	before := &pending.state
	if slices.Equal(before.pairs, st.pairs) {
		return false, nil
	}
	st.first = before.first
	ft.countMove(num, before, &st)
	ft.detectClone(num, before, &st)
	ft.put(num, pending.old, st)
	return true, nil
}

// countMove counts a change of version. Versions without a place have no order.
func (ft *fleetTx) countMove(num collector.Num, before, st *state) {
	if !ft.silent {
		ft.countMoveOf(num, ft.f.dims.textIn(before, collector.DimVersion), ft.f.dims.textIn(st, collector.DimVersion))
	}
}

func (ft *fleetTx) countMoveOf(num collector.Num, from, to string) {
	if from == to || from == "" || to == "" || from == collector.Other || to == collector.Other {
		return
	}
	switch c := ft.f.app.VersionOrder.Compare(from, to); {
	case c < 0:
		ft.counters.Upgrades++
	case c > 0:
		ft.counters.Downgrades++
	}
	ft.counters.addMove(from+"\x00"+to, 1, ft.f.age(introducer{num: num, known: true}))
}

// An ID is probably used more than once after cloneFlips flips, each at most
// cloneWindow days after the one before. An operator who tries a release and
// goes back flips once, and rarely again so soon.
const (
	cloneFlips  = 3
	cloneWindow = 28
)

// detectClone counts a flip: a return to the previous values that changes more
// than facts.
func (ft *fleetTx) detectClone(num collector.Num, before, st *state) {
	dims := &ft.f.dims
	st.before, st.flips, st.flipped = dims.hash(before), before.flips, before.flipped
	differs := func(name string) bool { return dims.textIn(before, name) != dims.textIn(st, name) }
	if dims.hash(st) != before.before || !slices.ContainsFunc(flipDims(), differs) {
		return
	}
	if ft.f.today-st.flipped > cloneWindow {
		st.flips = 0
	}
	st.flipped = ft.f.today
	st.flips = min(st.flips+1, cloneFlips)
	if st.flips == cloneFlips {
		ft.clones = append(ft.clones, num)
	}
}

// flipDims returns the dimensions that count as a flip if one of them differs.
func flipDims() []string {
	return []string{collector.DimVersion, collector.DimSystem, collector.DimMachine, collector.DimDeployment}
}

// changes reports whether there is anything to write besides counters.
func (ft *fleetTx) changes() bool {
	return len(ft.identities)+len(ft.active)+len(ft.states)+len(ft.memory)+len(ft.excluded)+
		len(ft.marks)+len(ft.faults)+len(ft.counts)+len(ft.shared)+len(ft.past)+len(ft.two) > 0
}

// batch returns what must be written.
func (t *tx) batch() *collector.Batch {
	b := &collector.Batch{}
	for _, app := range slices.Sorted(maps.Keys(t.fleets)) {
		if ft := t.fleets[app]; ft.changes() {
			b.Journal = ft.appendJournal(b.Journal)
			ft.addRows(b)
		}
	}
	return b
}

// addRows adds everything but the journal to the batch.
func (ft *fleetTx) addRows(b *collector.Batch) {
	f := ft.f
	b.PutIdentities = append(b.PutIdentities, ft.identities...)
	for num, st := range ft.states {
		b.PutInstallations = append(b.PutInstallations, collector.Installation{App: f.num, Num: num, State: st.encode(nil)})
	}
	b.Records = append(b.Records, f.dims.records(f.num)...)
	b.Records = append(b.Records, f.releaseRemovals(f.goneReleases())...)
	maps.DeleteFunc(ft.releases, func(version string, _ releaseRecord) bool { return !f.dims.has(collector.DimVersion, version) })
	b.Records = append(b.Records, ft.sharedRecords()...)
	b.Records = append(b.Records, ft.pastRecords()...)
	b.Records = append(b.Records, ft.senderRecords()...)
	for version, release := range ft.releases {
		b.Records = append(b.Records, f.record(kindRelease, 0, version, release))
	}
	for _, fault := range ft.evicted {
		b.Records = append(b.Records, f.faultRemoval(fault)...)
	}
	for id, record := range ft.faults {
		b.Records = append(b.Records, f.record(kindFault, 0, id, record))
	}
	for num, counts := range ft.counts {
		b.Records = append(b.Records, jsonRecord(f.faultCountsKey(num), counts))
	}
}

// apply makes the changes part of the fleets. They are durable by now.
func (t *tx) apply() {
	for _, ft := range t.fleets {
		t.e.index.put(ft.identities...)
		if ft.apply(t.now) {
			t.e.unsaved.Store(true)
		}
	}
}

// apply reports whether anything was turned away, which is not durable yet.
func (ft *fleetTx) apply(now time.Time) (turned bool) {
	f := ft.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	f.asOf = now
	f.open.add(&ft.counters)
	turned = f.turn(&ft.turned)
	if !ft.changes() {
		return turned
	}
	f.dropReleases(f.goneReleases())
	f.dims.committed()
	maps.Copy(f.releases, ft.releases)
	f.assign(len(ft.identities))
	f.held += uint64(len(ft.identities))
	f.activate(maps.Keys(ft.active))
	for num, st := range ft.states {
		if !f.warm {
			if _, touched := f.touched[num]; !touched && st.old != nil {
				f.held++ // its row will be skipped when it is read
			}
			f.touched[num] = struct{}{}
		}
		f.dims.update(num, st.old, &st.state)
		f.setHash(num, &st.state)
	}
	maps.Copy(f.memory, ft.memory)
	maps.Copy(f.excluded, ft.excluded)
	for _, num := range ft.clones {
		f.clones.Add(uint32(num))
	}
	for id := range ft.evicted {
		delete(f.faults, id)
		f.spans.removeFault(id)
	}
	ft.applyPast()
	ft.applySenders()
	for _, num := range ft.shared {
		f.shared.Add(uint32(num))
	}
	f.shared.Clean() // the commit wrote it
	for id, record := range ft.faults {
		fault := f.faults.get(id)
		fault.faultRecord = *record
		if s, ok := ft.admitted[id]; ok {
			f.faultQueue.add(fault, s)
		}
	}
	for _, m := range ft.marks {
		f.faults.mark(f.today, m)
	}
	return turned
}

// discard undoes what a failed tx has changed in the tables of the fleets.
func (t *tx) discard() {
	for _, ft := range t.fleets {
		ft.f.mu.Lock()
		ft.f.dims.undo()
		ft.f.dims.reconsider()
		ft.f.faultQueue.made = false
		ft.f.mu.Unlock()
	}
}
