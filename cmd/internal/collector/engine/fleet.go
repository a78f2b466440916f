package engine

import (
	"iter"
	"maps"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/report"
)

// windowDays are the lengths of the windows in days. The longest one decides
// for how many days before today bits are in memory.
var windowDays = collector.Windows()

const longestWindow = 30

// The windows of a day and of 28 days, as indices of windowDays.
const (
	window1  = 0
	window28 = 2
)

// lostAfter is the number of days without a report after which an installation
// is lost, and returns if it reports again.
const lostAfter = 28

// maxNum is a number that is never assigned.
const maxNum = 1<<32 - 1

// A fleet is what the engine knows of one app's installations. All of it is in
// the store too: bits and counters in records and the journal, the rest in rows
// and records that the same commit wrote.
type fleet struct {
	// mu is held for writing while a durable commit is applied, and while a new
	// value gets a number. Only the writer writes, and reads without it.
	mu  sync.RWMutex
	app collector.App
	// key and num are the app's. They never change, so mu does not guard them.
	key string
	num collector.AppNum
	// mask is what its keys differ by from those of the first generation.
	mask   collector.Key
	masked bool
	// importing is not nil while the past of the app is being imported; it is closed
	// then.
	importing chan struct{}
	// takesTotals is true while an import adds totals to the app.
	takesTotals atomic.Bool
	// revision grows with every change, for caches of answers.
	revision uint64

	// next is the number of the next new installation. first has an entry for
	// each day with new installations, in order of days.
	next  collector.Num
	first []firstNum
	// today is the day being counted. days are the active installations of that
	// day and of the longestWindow days before; a day without any is missing.
	today collector.Day
	days  map[collector.Day]*bits.Set
	spans spanCache
	// history are the active installations of older days, for segments.
	history history
	// established are the installations seen on two different days up to today.
	established *bits.Set
	// clones are those whose ID is probably used more than once.
	clones *bits.Set
	// shared are those whose ID reports from many addresses in a day; senders are
	// those of today that may become so, and the writer's.
	shared  *bits.Set
	senders senders
	// two are the installations that two programs report.
	two map[collector.Num]*twoSenders
	// refusedIDs are the IDs whose reports are refused.
	refusedIDs map[collector.Key]collector.RefusedID
	// dims are the current values. They are incomplete until the fleet is warm.
	dims dimensions
	warm bool
	// hashes are the hashes of states by number; 0 is that of a number whose row is
	// unknown or deleted. touched are the rows written before the fleet was warm,
	// and the writer's.
	hashes  []uint64
	touched map[collector.Num]struct{}
	// splitsDue are days that ended before the fleet was warm: their splits are
	// still to be written.
	splitsDue []collector.Day
	// open counts today's events.
	open dayCounters
	// held is the number of installations whose row is known.
	held uint64
	// releases are the versions ever seen. See [fleet.goneReleases].
	releases map[string]releaseRecord
	// declarations are what the maintainer declared, and declared the same by
	// dimension.
	declarations collector.Declarations
	declared     declarations
	// newcomers count the new entries of today.
	newcomers newcomers
	// turned is what was turned away; turnedDirty means that it is not written.
	turned      turnedAway
	turnedDirty bool
	faults      faultSet
	faultQueue  queue[*fault]
	// memory and excluded are the keys of today's in-memory IDs and of
	// development versions.
	memory, excluded map[collector.Key]struct{}
	// asOf is when the last report was counted.
	asOf time.Time
	// aside is a day that waits, or nil; see [Engine.hold].
	aside *asideDay
	// purged is the day of the last purge of inactive installations.
	purged collector.Day
	// gap means that today is on the way to the day that the clock reads: it is a
	// gap unless something was counted.
	gap bool
	// rewrites is how often records of closed days have changed: because the fleet
	// went back to an earlier day, or an installation was deleted. unfinished are
	// the texts of deletions that failed, and the writer's.
	rewrites   int
	unfinished map[collector.Num]*uniqueTexts
}

// A firstNum says which number was next when a day began.
type firstNum struct {
	Day collector.Day
	Num collector.Num
}

func newFleet(app collector.App, today collector.Day) *fleet {
	return &fleet{
		revision: uint64(time.Now().UnixMicro()), // grows across restarts too
		app:      app, key: app.Key, num: app.Num, today: today, purged: today,
		days:        make(map[collector.Day]*bits.Set),
		spans:       spanCache{reading: make(chan struct{}, 1)},
		history:     history{reading: make(chan struct{}, 1)},
		established: &bits.Set{}, clones: &bits.Set{}, shared: &bits.Set{}, two: make(map[collector.Num]*twoSenders),
		senders: make(senders), refusedIDs: make(map[collector.Key]collector.RefusedID),
		dims:       newDimensions(),
		memory:     make(map[collector.Key]struct{}),
		excluded:   make(map[collector.Key]struct{}),
		touched:    make(map[collector.Num]struct{}),
		unfinished: make(map[collector.Num]*uniqueTexts),
		releases:   make(map[string]releaseRecord), newcomers: make(newcomers), turned: turnedAway{Since: today},
		faults: make(faultSet),
	}
}

// newWarmFleet returns a fleet that has no rows to read.
func newWarmFleet(app collector.App, today collector.Day) *fleet {
	f := newFleet(app, today)
	f.warm, f.touched = true, nil
	return f
}

// recordKey returns a key of the app's records.
func (f *fleet) recordKey(kind string, day collector.Day, name string) collector.RecordKey {
	return collector.RecordKey{Kind: kind, App: f.num, Day: day, Name: name}
}

// record returns one of the app's records, with the value as JSON.
func (f *fleet) record(kind string, day collector.Day, name string, value any) collector.Record {
	return jsonRecord(f.recordKey(kind, day, name), value)
}

// appRecord returns the record of the app's settings.
func appRecord(app collector.App) collector.Record {
	return jsonRecord(collector.RecordKey{Kind: kindApp, Name: app.Key}, app)
}

// openRecord returns the record of the day being counted.
func (f *fleet) openRecord() collector.Record {
	return f.record(kindOpen, 0, "", openDay{Today: f.today, Next: f.next, Counters: f.open, Purged: f.purged, Gap: f.gap})
}

// since returns the first day whose figures exist: the day the app was added,
// or an earlier one that was loaded.
func (f *fleet) since() collector.Day {
	if len(f.first) > 0 {
		return min(f.app.Created, f.first[0].Day)
	}
	return f.app.Created
}

// lockedVersionOrder returns the app's order of versions. The caller does not
// hold the lock.
func (f *fleet) lockedVersionOrder() report.VersionOrder {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.app.VersionOrder
}

// newOn returns the numbers n, with lo <= n < hi, that were assigned on a day.
func (f *fleet) newOn(day collector.Day) (lo, hi uint32) {
	return uint32(f.numAt(day)), uint32(f.numAt(day + 1))
}

// numAt returns the number that was next when the day began.
func (f *fleet) numAt(day collector.Day) collector.Num {
	i := sort.Search(len(f.first), func(i int) bool { return f.first[i].Day >= day })
	return f.firstAt(i)
}

// firstAt returns the number of the i-th entry of f.first, or the next one.
func (f *fleet) firstAt(i int) collector.Num {
	if i < len(f.first) {
		return f.first[i].Num
	}
	return f.next
}

// firstIn returns the index in f.first of the day that assigned a number, or 0 if
// that is unknown.
func (f *fleet) firstIn(num uint32) int {
	return max(0, sort.Search(len(f.first), func(i int) bool { return uint32(f.first[i].Num) > num })-1)
}

// firstDay returns the day on which an installation was first seen.
func (f *fleet) firstDay(num collector.Num) collector.Day {
	i := sort.Search(len(f.first), func(i int) bool { return f.first[i].Num > num })
	if i == 0 {
		return 0
	}
	return f.first[i-1].Day
}

// daySet returns the set of a day to be changed, which it adds if need be.
func daySet(sets map[collector.Day]*bits.Set, day collector.Day) *bits.Set {
	set := sets[day]
	if set == nil {
		set = &bits.Set{}
		sets[day] = set
	}
	return set
}

// assign assigns n numbers and marks them active today.
func (f *fleet) assign(n int) {
	if n == 0 {
		return
	}
	if len(f.first) == 0 || f.first[len(f.first)-1].Day != f.today {
		f.first = append(f.first, firstNum{f.today, f.next})
	}
	daySet(f.days, f.today).AddRange(uint32(f.next), uint32(f.next)+uint32(n))
	f.next += collector.Num(n)
}

// activate marks known installations active today, and established if they were
// first seen earlier.
func (f *fleet) activate(nums iter.Seq[collector.Num]) {
	today, firstNew := daySet(f.days, f.today), f.numAt(f.today)
	for num := range nums {
		today.Add(uint32(num))
		if num < firstNew {
			f.established.Add(uint32(num))
		}
	}
}

// setHash stores the hash of an installation's state.
func (f *fleet) setHash(num collector.Num, s *state) {
	if n := int(num) + 1 - len(f.hashes); n > 0 {
		f.hashes = append(f.hashes, make([]uint64, n)...)
	}
	f.hashes[num] = s.hash()
}

// startDay begins to count a day.
func (f *fleet) startDay(next nextDay) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	f.today, f.open, f.memory, f.excluded, f.aside, f.gap = next.day, next.open, next.memory, next.excluded, next.aside, next.gap
	if f.established != next.established {
		f.established = next.established
		f.established.Clean()
	}
	f.newcomers = make(newcomers)
	f.senders = make(senders)
	oldest := f.today - longestWindow
	evictSet := func(d collector.Day, _ *bits.Set) bool { return d < oldest }
	maps.DeleteFunc(f.days, evictSet)
	for _, fault := range f.faults {
		maps.DeleteFunc(fault.days, evictSet)
		maps.DeleteFunc(fault.counts, func(d collector.Day, _ occurrences) bool { return d < oldest })
	}
}
