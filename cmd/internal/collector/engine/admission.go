package engine

import (
	"cmp"
	"math"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// Anyone can send reports, and the tables of names and values have limits. So a
// place is earned: when a table is full, the entry that is supported least makes
// way for one that is supported better. What decides is for how long the oldest
// installation that reports an entry has been known, because a stranger can make
// any number of installations, but cannot make one older.
// docs/decisions/0030-places-are-earned.md explains the rules.

// A support says how well a name or value is supported.
type support struct {
	// age is for how many days the oldest established installation that has it
	// has been known; 0 if none has. It is declared for what the maintainer
	// declared.
	age collector.Day
	// latest is the day on which the newest installation that has it was first
	// seen. It decides where nobody established has either: nobody may ever report
	// an old one again.
	latest collector.Day
	// holders are the established installations that have it or, if there are
	// none, all.
	holders uint64
}

// declared is an age beyond all others.
const declared collector.Day = math.MaxInt32

func (s support) compare(other support) int {
	c := cmp.Compare(s.age, other.age)
	if s.age == 0 && other.age == 0 {
		c = cmp.Compare(s.latest, other.latest)
	}
	return cmp.Or(c, cmp.Compare(s.holders, other.holders))
}

// seniority is how many days old an installation must be to add any number of new
// entries. What younger ones add is limited per address prefix and day.
const seniority = 30

// An introducer is the installation whose report has a name or value.
type introducer struct {
	num    collector.Num
	known  bool // it was seen before
	prefix uint64
}

// age returns for how many days an introducer has been known. One that was first
// seen on an earlier day is established by its report.
func (f *fleet) age(by introducer) collector.Day {
	if !by.known || by.num >= f.next {
		return 0
	}
	return max(0, f.today-f.firstDay(by.num))
}

// oldest returns for how many days the oldest established installation of a set
// has been known; 0 if there is none.
func (f *fleet) oldest(set *bits.Set) collector.Day {
	first, ok := bits.FirstBoth(set, f.established)
	if !ok {
		return 0
	}
	return max(1, f.today-f.firstDay(collector.Num(first)))
}

// newest returns the day on which the newest installation of a set was first seen;
// 0 if it is empty.
func (f *fleet) newest(set *bits.Set) collector.Day {
	last, ok := set.Last()
	if !ok {
		return 0
	}
	return f.firstDay(collector.Num(last))
}

// earned reports whether an established installation has a value, or the
// maintainer declared it.
func (f *fleet) earned(dim *dimension, v *value) bool {
	if v.text == collector.Other || f.declared.has(dim.name, v.text) {
		return true
	}
	_, ok := bits.FirstBoth(v.set, f.established)
	return ok
}

// earnedDimension reports the same of a dimension.
func (f *fleet) earnedDimension(dim *dimension) bool {
	if !isFact(dim.name) || f.declared.hasDimension(dim.name) {
		return true
	}
	for _, v := range dim.byText {
		if _, ok := bits.FirstBoth(v.set, f.established); ok {
			return true
		}
	}
	return false
}

// state returns the state that labels describe. Values without a place are
// admitted, or turned away.
func (ft *fleetTx) state(labels []label, by introducer) state {
	s := state{pairs: make([]pair, 0, len(labels))}
	for _, l := range labels {
		if p, ok := ft.number(l, by, s.pairs); ok {
			s.pairs = append(s.pairs, p)
		}
	}
	sortPairs(s.pairs)
	return s
}

// number returns the numbers of a label: those of the value Other if the value is
// turned away, and none if its dimension is. Only the writer calls it, so it
// needs the lock just to change something. The report's other pairs keep their
// place.
func (ft *fleetTx) number(l label, by introducer, others []pair) (pair, bool) {
	if p, ok := ft.f.dims.find(l); ok {
		return p, true
	}
	a := admission{ft: ft, by: by, label: l, others: others}
	a.age = ft.f.age(by)
	return a.decide()
}

// An admission decides about one label without a place.
type admission struct {
	ft     *fleetTx
	by     introducer
	age    collector.Day
	label  label
	others []pair
	// granted means that the prefix has already paid for the label.
	granted bool
}

func (a *admission) decide() (pair, bool) {
	f := a.ft.f
	dim := f.dims.get(a.label.dim)
	if dim == nil {
		if dim = a.dimension(); dim == nil {
			a.ft.turnAway(tableFacts, a.label.dim[len(collector.FactDimension):])
			return pair{}, false
		}
	}
	if a.label.text == collector.Other {
		return pair{dim.number, a.other(dim).number}, true
	}
	if v := a.value(dim); v != nil {
		return pair{dim.number, v.number}, true
	}
	a.ft.turnAway(dim.name, a.label.text)
	return pair{dim.number, a.other(dim).number}, true
}

// other returns the value Other of a dimension.
func (a *admission) other(dim *dimension) *value {
	if v := dim.byText[collector.Other]; v != nil {
		return v
	}
	f := a.ft.f
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dims.other(dim)
}

// dimension adds the dimension of the label, unless there is no place for it.
func (a *admission) dimension() *dimension {
	f := a.ft.f
	if isFact(a.label.dim) {
		s := a.support()
		if f.declared.hasDimension(a.label.dim) {
			s.age = declared
		}
		if !a.mayPay(s) {
			return nil
		}
		for n := f.dims.facts(); n >= collector.MaxFacts; n-- {
			if !f.warm {
				if s.age > 0 && n < 2*collector.MaxFacts {
					break
				}
				return nil
			}
			dim, ok := f.dims.queue.next(s, a.dimensions, a.ofDimension)
			if !ok {
				return nil
			}
			a.ft.turnAway(tableFacts, dim.name[len(collector.FactDimension):])
			f.mu.Lock()
			f.dims.evictDimension(dim)
			f.mu.Unlock()
		}
		a.pay(s)
		a.granted = true
		f.mu.Lock()
		defer f.mu.Unlock()
		dim := f.dims.addDimension(a.label.dim)
		f.dims.queue.add(dim, s)
		return dim
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dims.addDimension(a.label.dim)
}

// value adds the label's value to its dimension, unless there is no place for it.
func (a *admission) value(dim *dimension) *value {
	f := a.ft.f
	s := a.support()
	if f.declared.has(dim.name, a.label.text) {
		s.age = declared
	}
	if !a.mayPay(s) {
		return nil
	}
	limit := dim.limit()
	for dim.len() >= limit {
		if !f.warm { // nobody knows yet what the others' support is
			if s.age > 0 && dim.len() < 2*limit {
				break
			}
			return nil
		}
		v, ok := dim.queue.next(s, func() []queued[*value] { return a.values(dim) }, func(v *value) (support, bool) { return a.of(dim, v) })
		if !ok {
			return nil
		}
		a.ft.turnAway(dim.name, v.text)
		f.mu.Lock()
		f.dims.evict(dim, v)
		f.mu.Unlock()
	}
	a.pay(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.dims.addValue(dim, a.label.text)
	v.added = f.today
	dim.queue.add(v, s)
	return v
}

// support returns the support that the introducer brings.
func (a *admission) support() support {
	return support{age: a.age, latest: a.ft.f.today, holders: 1}
}

// mayPay reports whether the address prefix of a young installation may bring one
// more new entry today.
func (a *admission) mayPay(s support) bool {
	return a.granted || s.age >= seniority || a.ft.f.newcomers.may(a.by.prefix)
}

// pay takes that entry.
func (a *admission) pay(s support) {
	if !a.granted && s.age < seniority {
		a.ft.f.newcomers.take(a.by.prefix)
	}
}

// values returns the values of a dimension that may make way, in the order of
// their numbers.
func (a *admission) values(dim *dimension) (all []queued[*value]) {
	for _, v := range dim.byText {
		if s, ok := a.of(dim, v); ok {
			all = append(all, queued[*value]{v, s})
		}
	}
	slices.SortFunc(all, func(a, b queued[*value]) int { return cmp.Compare(a.entry.number, b.entry.number) })
	return all
}

// of returns the support of a value, and whether it may make way.
func (a *admission) of(dim *dimension, v *value) (s support, ok bool) {
	f := a.ft.f
	if dim.values.at(v.number) != v || v.text == collector.Other || f.declared.has(dim.name, v.text) {
		return s, false
	}
	s = a.withoutHolders(dim, v)
	s.holders = f.holders(v.set, s.age)
	return s, true
}

// dimensions returns the facts that may make way, in the order of their numbers.
func (a *admission) dimensions() (all []queued[*dimension]) {
	for _, dim := range a.ft.f.dims.byName {
		if s, ok := a.ofDimension(dim); ok {
			all = append(all, queued[*dimension]{dim, s})
		}
	}
	slices.SortFunc(all, func(a, b queued[*dimension]) int { return cmp.Compare(a.entry.number, b.entry.number) })
	return all
}

// ofDimension returns the support of a fact, which is that of all its values, and
// whether it may make way.
func (a *admission) ofDimension(dim *dimension) (s support, ok bool) {
	f := a.ft.f
	same := func(p pair) bool { return p.dim == dim.number }
	if !isFact(dim.name) || f.dims.byName[dim.name] != dim || f.declared.hasDimension(dim.name) || slices.ContainsFunc(a.others, same) {
		return s, false
	}
	for _, v := range dim.byText {
		one := a.withoutHolders(dim, v)
		s.age, s.latest = max(s.age, one.age), max(s.latest, one.latest)
	}
	for _, v := range dim.byText {
		if n := f.holders(v.set, s.age); n < math.MaxUint64-s.holders {
			s.holders += n
		} else {
			s.holders = math.MaxUint64
		}
	}
	return s, true
}

// withoutHolders returns the support of a value, but not its holders.
func (a *admission) withoutHolders(dim *dimension, v *value) support {
	f := a.ft.f
	age, claimed := a.ft.claimed()[pair{dim.number, v.number}]
	s := support{age: max(age, f.oldest(v.set))}
	switch {
	case s.age > 0:
	case claimed:
		s.latest = f.today
	default:
		s.latest = max(v.added, f.newest(v.set))
	}
	return s
}

// holders returns the holders of a support with that age. They are not counted if
// the age is high, which costs time in a large fleet: there are many then.
func (f *fleet) holders(set *bits.Set, age collector.Day) uint64 {
	switch {
	case age >= seniority:
		return math.MaxUint64
	case age > 0:
		return max(1, bits.CountBoth(set, f.established))
	}
	return max(1, set.Count())
}

// claimed returns the ages of the oldest installations that will have a value
// once the tx is applied.
func (ft *fleetTx) claimed() map[pair]collector.Day {
	if ft.claims == nil {
		ft.claims = make(map[pair]collector.Day)
		for num, st := range ft.states {
			ft.claim(num, &st.state)
		}
	}
	return ft.claims
}

// claim adds a changed row to the claims, if there are any.
func (ft *fleetTx) claim(num collector.Num, st *state) {
	if ft.claims == nil {
		return
	}
	age := ft.f.age(introducer{num: num, known: true})
	for _, p := range ft.f.dims.all(st) {
		ft.claims[p] = max(ft.claims[p], age)
	}
}

// limit returns how many values a dimension may have, Other aside.
func (d *dimension) limit() int {
	if isVersion(d.name) {
		return collector.MaxVersions
	}
	return collector.MaxValues
}

// len counts the values, Other aside.
func (d *dimension) len() int {
	n := len(d.byText)
	if d.byText[collector.Other] != nil {
		n--
	}
	return n
}

// facts counts the dimensions that are facts.
func (d *dimensions) facts() (n int) {
	for name := range d.byName {
		if isFact(name) {
			n++
		}
	}
	return n
}

// reconsider forgets who makes way next.
func (d *dimensions) reconsider() {
	d.queue.made = false
	for _, dim := range d.byName {
		dim.queue.made = false
	}
}

// A newcomers counts the new entries of today by address prefix. Nothing of it is
// stored.
type newcomers map[uint64]int

// maxPrefixes bounds the prefixes that are told apart on a day; further ones
// share the prefix 1.
const maxPrefixes = 1 << 16

// may reports whether a prefix may bring one more entry. A prefix of 0 is unknown,
// and has no limit.
func (n newcomers) may(prefix uint64) bool {
	return prefix == 0 || n[n.key(prefix)] < collector.MaxNewEntries
}

func (n newcomers) take(prefix uint64) {
	if prefix != 0 {
		n[n.key(prefix)]++
	}
}

func (n newcomers) key(prefix uint64) uint64 {
	if _, ok := n[prefix]; !ok && len(n) >= maxPrefixes {
		return 1
	}
	return prefix
}
