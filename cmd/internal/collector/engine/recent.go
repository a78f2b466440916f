package engine

import (
	"slices"
	"sync"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// lostAfter is after how many days without a sign an installation is lost, and returns if it comes back.
const lostAfter = 28

// A past keeps unions of the days before the one that is counted, which do not change while it is: so the figures of a day
// cost few set operations however many days a window has. It locks itself, since answers share it.
type past struct {
	mu sync.Mutex
	// windows are those of windowDays that end with day, without it: of the installations that reported a fault, by its ID,
	// and of the active ones by allActive. They are kept once they are asked for.
	day     collector.Day
	windows map[string][4]*bits.Set
	// older is of ranges before the days in memory, the one that was kept last at the end. Who has a place in reading reads one.
	older   []*olderDays
	reading chan struct{}
	// forgets is how often something was taken out.
	forgets int
}

// allActive stands for the active installations among IDs of faults.
const allActive = ""

// forget takes installations out that are taken out of the days.
func (p *past) forget(nums ...uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.windows = nil
	for i, o := range p.older {
		p.older[i] = o.without(nums)
	}
	p.forgets++
}

// drop drops the ranges, when another day is counted: they were those of the day before, and what is purged is in them.
func (p *past) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.older = nil
	p.forgets++
}

// recent gives the installations active in a range of days that are in memory.
func (f *fleet) recent(r collector.Range) *bits.Set { return f.union(allActive, f.days, r) }

// reported gives the installations that reported a fault in a range of days that are in memory.
func (f *fleet) reported(is *fault, r collector.Range) *bits.Set { return f.union(is.ID, is.days, r) }

// union joins the sets of a range of days. One that ends today is mostly a window.
func (f *fleet) union(id string, sets map[collector.Day]*bits.Set, r collector.Range) *bits.Set {
	u := &bits.Set{}
	if r.To == f.today {
		kept := f.kept(id, sets, f.today)
		for i, days := range slices.Backward(windowDays[:]) {
			if from := f.today - collector.Day(days) + 1; from >= r.From {
				u = bits.Union(kept[i], sets[f.today])
				r.To = from - 1
				break
			}
		}
	}
	for day := r.From; day <= r.To; day++ {
		u.Or(sets[day])
	}
	return u
}

// olderOf gives what is kept of a range, nil if nothing is, and how often installations were taken out till now.
func (p *past) olderOf(r collector.Range) (kept *olderDays, forgets int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.older, func(o *olderDays) bool { return o.of == r }); i >= 0 {
		kept = p.older[i]
	}
	return kept, p.forgets
}

// keptIn gives the longest range that is kept and lies in another one; nil if none does.
func (p *past) keptIn(r collector.Range) (longest *olderDays) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.older {
		if o.of.From >= r.From && o.of.To <= r.To && (longest == nil || o.of.To-o.of.From > longest.of.To-longest.of.From) {
			longest = o
		}
	}
	return longest
}

// keepOlder keeps a range that was read, unless installations were taken out meanwhile; forgets is what there were before.
func (p *past) keepOlder(o *olderDays, forgets int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forgets != forgets {
		return
	}
	p.older = slices.DeleteFunc(p.older, func(other *olderDays) bool { return other.of == o.of })
	if p.older = append(p.older, o); len(p.older) > keptOlder {
		p.older = slices.Delete(p.older, 0, 1)
	}
}

// kept gives the windows that end with a day, which is one of those in memory, without that day.
func (f *fleet) kept(id string, sets map[collector.Day]*bits.Set, day collector.Day) [4]*bits.Set {
	p := &f.past
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.day != day || p.windows == nil {
		p.day, p.windows = day, make(map[string][4]*bits.Set)
	}
	windows, ok := p.windows[id]
	if !ok {
		u, from := &bits.Set{}, day-1
		for i, days := range windowDays {
			for ; from > day-collector.Day(days); from-- {
				u.Or(sets[from])
			}
			windows[i] = u.Clone()
		}
		p.windows[id] = windows
	}
	return windows
}

// before gives the installations active in the lostAfter days before a day.
func (f *fleet) before(day collector.Day) *bits.Set {
	return bits.Union(f.kept(allActive, f.days, day)[in28], f.days[day-lostAfter])
}

// windows gives the installations that were active in each of windowDays, up to and with day. They are not to be changed.
func (f *fleet) windows(day collector.Day) (sets [4]*bits.Set) {
	for i, set := range f.kept(allActive, f.days, day) {
		sets[i] = bits.Union(set, f.days[day])
	}
	return sets
}

// windowNow gives one of the windows, by its index in windowDays.
func (f *fleet) windowNow(day collector.Day, window int) *bits.Set {
	return bits.Union(f.kept(allActive, f.days, day)[window], f.days[day])
}
