package engine

import (
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// windowDays are the lengths of the windows in days.
var windowDays = collector.Windows()

// longestWindow decides how many days are kept in memory.
const longestWindow = 30

// The windows of a day and of 28 days, as indices of windowDays.
const (
	in1  = 0
	in28 = 2
)

// A fleet is what the collector knows of one app's installations, in memory. The store has all of it too; see journal.go
// for how the two are kept the same.
type fleet struct {
	// mu is held for writing only while a commit that is durable already is applied, and while a day is closed.
	mu  sync.RWMutex
	app collector.App
	// key and num are the app's, which do not change: they are read without mu.
	key string
	num collector.AppNum
	// revision grows with each change, for caches.
	revision uint64

	// next is the number that the next new installation gets, and first the number that was next when each day with new
	// installations began, in the order of days.
	next  collector.Num
	first []firstNum
	// today is the day that is counted now, and days its active installations and those of the longestWindow days before.
	// A day without any has no entry.
	today collector.Day
	days  map[collector.Day]*bits.Set
	past  past
	// established are those that were seen on two different days, up to today.
	established *bits.Set
	// clones are those whose ID is probably used more than once.
	clones *bits.Set
	// dims are the current values of the installations. They are whole once the fleet is warm.
	dims dimensions
	warm bool
	// hashes stand for the states of the installations by number; 0 is not known yet. Only the writer uses them, and
	// touched, which are the rows that were written while the fleet was not warm.
	hashes  []uint64
	touched map[collector.Num]struct{}
	// pending are the days that were closed before the fleet was warm: their splits are still to be written.
	pending []collector.Day
	// open counts what happens today; see [dayTotal].
	open dayCounters
	// held is how many installations have a row, as far as they are read.
	held uint64
	// releases are the versions that were ever seen.
	releases map[string]releaseRecord
	// faults are by their number; affected has the installations that reported them, by day.
	faults faultSet
	// memory and excluded are the keys of today's IDs that are not persisted, and of development versions.
	memory, excluded map[collector.Key]struct{}
	// asOf is when the last report was counted.
	asOf time.Time
}

// A firstNum says that the installations which were new on Day have numbers from Num on.
type firstNum struct {
	Day collector.Day
	Num collector.Num
}

// newOn gives the numbers that were given on the days from and up to to: lo up to and without hi.
func (f *fleet) newOn(from, to collector.Day) (lo, hi uint32) {
	return uint32(f.numAt(from)), uint32(f.numAt(to + 1))
}

// numAt gives the number that was next when the day began.
func (f *fleet) numAt(day collector.Day) collector.Num {
	i, _ := slices.BinarySearchFunc(f.first, day, func(e firstNum, d collector.Day) int { return int(e.Day - d) })
	if i < len(f.first) {
		return f.first[i].Num
	}
	return f.next
}

// firstDay gives the day on which an installation was first seen.
func (f *fleet) firstDay(num collector.Num) collector.Day {
	i, found := slices.BinarySearchFunc(f.first, num, func(e firstNum, n collector.Num) int {
		if e.Num < n {
			return -1
		} else if e.Num > n {
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return 0
	}
	return f.first[i].Day
}

// window gives the union of the active installations in the days that end with to, which is today or one of the
// longestWindow days before; other days count as empty.
func (f *fleet) window(to collector.Day, days int) *bits.Set {
	u := &bits.Set{}
	for d := to - collector.Day(days) + 1; d <= to; d++ {
		u.Or(f.days[d])
	}
	return u
}

// give gives n numbers, to installations that are active today.
func (f *fleet) give(n int) {
	if n == 0 {
		return
	}
	if len(f.first) == 0 || f.first[len(f.first)-1].Day != f.today {
		f.first = append(f.first, firstNum{f.today, f.next})
	}
	f.day().AddRange(uint32(f.next), uint32(f.next)+uint32(n))
	f.next += collector.Num(n)
}

// activate sets today's bit of installations that were seen before.
func (f *fleet) activate(nums iter.Seq[collector.Num]) {
	today, begin := f.day(), f.numAt(f.today)
	for num := range nums {
		today.Add(uint32(num))
		if num < begin {
			f.established.Add(uint32(num))
		}
	}
}

// day gives today's bits, to be changed.
func (f *fleet) day() *bits.Set {
	set := f.days[f.today]
	if set == nil {
		set = &bits.Set{}
		f.days[f.today] = set
	}
	return set
}

// remember keeps what stands for the state of an installation.
func (f *fleet) remember(num collector.Num, st *state) {
	if int(num) >= len(f.hashes) {
		f.hashes = append(f.hashes, make([]uint64, int(num)+1-len(f.hashes))...)
	}
	f.hashes[num] = st.hash()
	if !f.warm {
		f.touched[num] = struct{}{}
	}
}
