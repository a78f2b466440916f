package collector

import (
	"sync"

	"github.com/rollcall-dev/rollcall/collector/internal/bits"
)

// lostAfter is after how many days without a sign an installation is lost, and returns if it comes back.
const lostAfter = 28

// A past keeps unions of the days before the one that is counted, which do not change while it is: so the figures of a day
// cost few set operations however many days a window has. It locks itself, since answers share it.
type past struct {
	mu  sync.Mutex
	day Day // that all of it is before; 0 is none
	// windows are those of windowDays that end with day, without it, and before the lostAfter days before it.
	windows [4]*bits.Set
	before  *bits.Set
	// older are the installations active in some days before those in memory.
	older   *bits.Set
	olderOf Range
	// forgets is how often installations were taken out.
	forgets int
}

// forget drops everything, since an installation was taken out of the days.
func (p *past) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.day, p.windows, p.before, p.older = 0, [4]*bits.Set{}, nil, nil
	p.forgets++
}

// before gives what past has of a day, which is one of those in memory.
func (f *fleet) before(day Day) (windows [4]*bits.Set, before *bits.Set) {
	p := &f.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.day != day {
		u, from := &bits.Set{}, day-1
		for i, days := range windowDays {
			for ; from > day-Day(days); from-- {
				u.Or(f.days[from])
			}
			p.windows[i] = u.Clone()
			if days == lostAfter {
				p.before = bits.Union(u, f.days[day-lostAfter])
			}
		}
		p.day = day
	}
	return p.windows, p.before
}

// windows gives the installations that were active in each of windowDays, up to and with day. They are not to be changed.
func (f *fleet) windows(day Day) (sets [4]*bits.Set) {
	before, _ := f.before(day)
	for i, set := range before {
		sets[i] = bits.Union(set, f.days[day])
	}
	return sets
}

// windowNow gives one of the windows, by its index in windowDays.
func (f *fleet) windowNow(day Day, window int) *bits.Set {
	before, _ := f.before(day)
	return bits.Union(before[window], f.days[day])
}

// olderActive gives what is kept of a range of days before those in memory, and how many installations were taken out till
// now.
func (f *fleet) olderActive(r Range) (set *bits.Set, forgets int) {
	p := &f.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.older != nil && p.olderOf == r {
		return p.older, p.forgets
	}
	return nil, p.forgets
}

// keepOlder keeps a set for olderActive, which must not change any more; forgets is what that gave before it was read.
func (f *fleet) keepOlder(r Range, set *bits.Set, forgets int) {
	p := &f.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forgets == forgets {
		p.older, p.olderOf = set, r
	}
}
