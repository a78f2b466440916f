package engine

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A stage is the changes that one commit is going to make: nothing of it is seen before it is durable.
type stage struct {
	c      *Engine
	now    time.Time
	fleets map[collector.AppNum]*fleetStage
	// refs are the identities that are new, and those that were read for this stage.
	refs map[collector.Key]ref
	rows rows
}

// rows is where the current rows of installations are read from.
type rows interface {
	Installation(ctx context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error)
}

// A fleetStage is the part of a stage that belongs to one app.
type fleetStage struct {
	f          *fleet
	terms      interner
	identities []collector.Identity // whose numbers are f.next and what follows
	active     map[collector.Num]struct{}
	states     map[collector.Num]*stagedState
	memory     map[collector.Key]struct{}
	excluded   map[collector.Key]struct{}
	clones     []collector.Num
	counters   dayCounters
	faults     map[string]*faultRecord
	marks      []faultMark
	counts     map[collector.Num][]faultCount
}

// A stagedState is a row that changes.
type stagedState struct {
	old *state // nil: a new installation
	state
}

// clockSkew is how far the sender's clock may be off before it is counted as skewed.
const clockSkew = time.Hour

func (c *Engine) newStage(now time.Time) *stage {
	return &stage{c: c, now: now, fleets: make(map[collector.AppNum]*fleetStage), refs: make(map[collector.Key]ref), rows: c.store}
}

// fleet gives the stage of an app that takes reports.
func (s *stage) fleet(app collector.AppNum) (*fleetStage, error) {
	if fs := s.fleets[app]; fs != nil {
		return fs, nil
	}
	f, err := s.c.fleet(app)
	if err != nil {
		return nil, err
	}
	if f.app.Gone {
		return nil, collector.ErrGone
	}
	fs := newFleetStage(f)
	s.fleets[app] = fs
	return fs, nil
}

func newFleetStage(f *fleet) *fleetStage {
	return &fleetStage{
		f: f, terms: interner{dims: &f.dims},
		active: make(map[collector.Num]struct{}), states: make(map[collector.Num]*stagedState),
		memory: make(map[collector.Key]struct{}), excluded: make(map[collector.Key]struct{}),
	}
}

// find gives the number of an installation.
func (s *stage) find(ctx context.Context, key collector.Key) (ref, bool, error) {
	if r, ok := s.refs[key]; ok {
		return r, true, nil
	}
	return s.c.lookup(ctx, key)
}

// heartbeat stages a heartbeat.
func (s *stage) heartbeat(ctx context.Context, key collector.Key, r *collector.Received) (collector.Receipt, error) {
	fs, err := s.fleet(r.App)
	if err != nil {
		return collector.Receipt{}, err
	}
	repeated, isNew, err := fs.heartbeat(ctx, s, key, r)
	if err != nil {
		return collector.Receipt{}, err
	}
	fs.counters.Accepted++
	if repeated {
		fs.counters.Repeated++
	}
	fs.dropped(r.Dropped, s.now.Sub(r.Heartbeat.SentAt))
	return collector.Receipt{Repeated: repeated, New: isNew}, nil
}

func (fs *fleetStage) dropped(d report.Dropped, skew time.Duration) {
	fs.counters.DroppedFields += uint64(d.Fields)
	fs.counters.DroppedFacts += uint64(d.Facts)
	fs.counters.DroppedContext += uint64(d.Context)
	if skew.Abs() > clockSkew {
		fs.counters.Skewed++
	}
}

func (fs *fleetStage) heartbeat(ctx context.Context, s *stage, key collector.Key, r *collector.Received) (repeated, isNew bool, err error) {
	f, h := fs.f, &r.Heartbeat
	if f.app.ExcludeDevelopment && report.IsDevelopment(h.Version) {
		repeated, err = note(fs.excluded, f.excluded, key)
		return repeated, false, err
	}
	found, ok, err := s.find(ctx, key)
	if err != nil {
		return false, false, err
	}
	if !ok && h.IDPersistence == report.InMemory {
		repeated, err = note(fs.memory, f.memory, key)
		return repeated, false, err
	}
	var buf [report.MaxFacts + 8]label
	st := fs.terms.state(labelsOf(h, r.Country, buf[:0]))
	if !ok {
		return false, true, fs.add(s, key, st, h.Version)
	}
	wasActive := fs.mark(found.num)
	changed, err := fs.change(ctx, s.rows, found.num, st)
	return wasActive && !changed, false, err
}

// note puts a key among those of today that are no installations.
func note(staged, today map[collector.Key]struct{}, key collector.Key) (repeated bool, err error) {
	if _, ok := today[key]; ok {
		return true, nil
	}
	if _, ok := staged[key]; ok {
		return true, nil
	}
	if len(today)+len(staged) >= collector.MaxInMemoryPerDay {
		return false, collector.ErrNewLimit
	}
	staged[key] = struct{}{}
	return false, nil
}

// add stages a new installation.
func (fs *fleetStage) add(s *stage, key collector.Key, st state, version string) error {
	f := fs.f
	given := int(f.next-f.numAt(f.today)) + len(fs.identities)
	if given >= cmp.Or(f.app.MaxNewPerDay, collector.DefaultMaxNewPerDay) {
		return collector.ErrNewLimit
	}
	num := f.next + collector.Num(len(fs.identities))
	if num == maxNum {
		return collector.ErrNewLimit
	}
	st.first = fs.terms.firstVersion(version)
	fs.identities = append(fs.identities, collector.Identity{Key: key, App: f.num, Num: num})
	fs.states[num] = &stagedState{state: st}
	s.refs[key] = ref{f.num, num}
	return nil
}

// maxNum is a number that is never given.
const maxNum = 1<<32 - 1

// mark stages an installation's bit for today, and tells whether it is set already.
func (fs *fleetStage) mark(num collector.Num) (was bool) {
	if num >= fs.f.next || fs.f.days[fs.f.today].Has(uint32(num)) {
		return true
	}
	if _, ok := fs.active[num]; ok {
		return true
	}
	fs.active[num] = struct{}{}
	return false
}

// change stages the values of an installation, and tells whether they are others than before.
func (fs *fleetStage) change(ctx context.Context, from rows, num collector.Num, st state) (bool, error) {
	staged := fs.states[num]
	if staged == nil && int(num) < len(fs.f.hashes) && fs.f.hashes[num] == st.hash() {
		return false, nil
	}
	var old *state
	if staged != nil {
		old = &staged.state
	} else {
		row, ok, err := from.Installation(ctx, fs.f.num, num)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, fmt.Errorf("installation has no row: %w", collector.ErrUnavailable)
		}
		read, err := decodeState(row.State)
		if err != nil {
			return false, err
		}
		old = &read
	}
	if slices.Equal(old.pairs, st.pairs) {
		return false, nil
	}
	st.first = old.first
	fs.moved(num, old, &st)
	if staged != nil {
		staged.state = st
	} else {
		fs.states[num] = &stagedState{old: old, state: st}
	}
	return true, nil
}

// An ID is probably used more than once after cloneFlips flips with at most cloneWindow days from one to the next: an operator
// who tries a release and goes back to the old one makes one, and a second one rarely so soon.
const (
	cloneFlips  = 3
	cloneWindow = 28
)

// moved notes what a change of values says: another version, or the state that the installation had before.
func (fs *fleetStage) moved(num collector.Num, old, st *state) {
	from, to := fs.text(old, collector.DimVersion), fs.text(st, collector.DimVersion)
	if from != to && from != "" && to != "" {
		switch c := report.CompareVersions(from, to); {
		case c < 0:
			fs.counters.Upgrades++
		case c > 0:
			fs.counters.Downgrades++
		}
		if fs.counters.Moves == nil {
			fs.counters.Moves = make(map[string]uint64)
		}
		fs.counters.Moves[from+"\x00"+to]++
	}
	st.before, st.flips, st.flipped = fs.stable(old), old.flips, old.flipped
	if fs.stable(st) != old.before || from == to && !fs.differs(old, st, collector.DimSystem, collector.DimMachine, collector.DimDeployment) {
		return
	}
	if fs.f.today-st.flipped > cloneWindow {
		st.flips = 0
	}
	st.flipped = fs.f.today
	if st.flips < cloneFlips {
		st.flips++
	}
	if st.flips == cloneFlips {
		fs.clones = append(fs.clones, num)
	}
}

func (fs *fleetStage) differs(a, b *state, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return fs.text(a, name) != fs.text(b, name) })
}

// text gives a value of a state, also one that is new.
func (fs *fleetStage) text(st *state, name string) string {
	dim, ok := fs.terms.find(name)
	if !ok {
		return ""
	}
	v, ok := st.value(uint32(dim))
	if !ok {
		return ""
	}
	return fs.textOf(pair{uint32(dim), v})
}

func (fs *fleetStage) textOf(p pair) string {
	if text := fs.terms.values[int(p.dim)][int(p.value)]; text != "" {
		return text
	}
	if int(p.dim) < len(fs.f.dims.dims) {
		return fs.f.dims.dims[p.dim].values[p.value]
	}
	return ""
}

// stable stands for the values of a state, and outlives both the process and the numbers of values, which are given anew when
// no installation has them any more. It is not 0.
func (fs *fleetStage) stable(st *state) uint32 {
	h := fnv.New32a()
	for _, p := range st.pairs {
		io.WriteString(h, fs.terms.name(int(p.dim)))
		h.Write([]byte{0})
		io.WriteString(h, fs.textOf(p))
		h.Write([]byte{0})
	}
	return max(1, h.Sum32())
}

// changes tells whether there is anything to write.
func (fs *fleetStage) changes() bool {
	return len(fs.identities)+len(fs.active)+len(fs.states)+len(fs.memory)+len(fs.excluded)+len(fs.marks)+len(fs.faults)+len(fs.counts) > 0
}

// batch gives what has to be written.
func (s *stage) batch() *collector.Batch {
	b := &collector.Batch{}
	for _, app := range slices.Sorted(maps.Keys(s.fleets)) {
		fs := s.fleets[app]
		if !fs.changes() {
			continue
		}
		b.Journal = fs.appendJournal(b.Journal)
		fs.addRows(b)
	}
	return b
}

// addRows adds all to the batch but the journal.
func (fs *fleetStage) addRows(b *collector.Batch) {
	app := fs.f.num
	b.PutIdentities = append(b.PutIdentities, fs.identities...)
	for num, st := range fs.states {
		b.PutInstallations = append(b.PutInstallations, collector.Installation{App: app, Num: num, State: st.encode(nil)})
	}
	b.Records = append(b.Records, fs.terms.records(app)...)
	for version, release := range fs.releases() {
		b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindRelease, App: app, Name: version}, release))
	}
	for id, record := range fs.faults {
		b.Records = append(b.Records, jsonRecord(collector.RecordKey{Kind: kindFault, App: app, Name: id}, record))
	}
	for num, faults := range fs.counts {
		b.Records = append(b.Records, jsonRecord(faultCountsKey(app, num), faults))
	}
}

// releases gives the versions that were never seen before.
func (fs *fleetStage) releases() map[string]releaseRecord {
	dim, ok := fs.terms.find(collector.DimVersion)
	if !ok {
		return nil
	}
	var seen map[string]releaseRecord
	for _, version := range fs.terms.values[dim] {
		if _, known := fs.f.releases[version]; known || version == collector.Other {
			continue
		}
		if seen == nil {
			seen = make(map[string]releaseRecord)
		}
		seen[version] = releaseRecord{FirstSeen: fs.f.today}
	}
	return seen
}

// apply makes the stage part of what is counted. It is durable by now.
func (s *stage) apply() {
	for _, fs := range s.fleets {
		s.c.index.put(fs.identities...)
		fs.apply(s.now)
	}
}

func (fs *fleetStage) apply(now time.Time) {
	f := fs.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	f.asOf = now
	f.open.add(&fs.counters)
	if !fs.changes() {
		return
	}
	maps.Copy(f.releases, fs.releases())
	f.give(len(fs.identities))
	f.held += uint64(len(fs.identities))
	f.activate(maps.Keys(fs.active))
	fs.terms.merge()
	for num, st := range fs.states {
		if _, touched := f.touched[num]; !f.warm && st.old != nil && !touched {
			f.held++ // its row is left out when it is read
		}
		f.dims.set(num, st.old, &st.state)
		f.remember(num, &st.state)
	}
	maps.Copy(f.memory, fs.memory)
	maps.Copy(f.excluded, fs.excluded)
	for _, num := range fs.clones {
		f.clones.Add(uint32(num))
	}
	for id, record := range fs.faults {
		f.faults.put(id).faultRecord = *record
	}
	for _, m := range fs.marks {
		f.faults.mark(f.today, m)
	}
}
