package faultfs

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// PowerCut is what a power cut does to everything that is not durable.
type PowerCut int

const (
	LoseUnsynced PowerCut = iota // they are lost
	KeepUnsynced                 // they are kept
)

// Crash returns a copy of the disk as a power cut leaves it, and a
// process with the user and the umask of f. Everything on it is durable.
// It keeps marks and limits, but no open files, locks, faults or log. The
// disk of f is not affected.
func (f *FS) Crash(cut PowerCut) *FS {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	p := f.disk.plan()
	if cut == KeepUnsynced {
		return f.reopen(p, p.all(1))
	}
	return f.reopen(p, p.all(0))
}

// CrashStates returns every disk that a power cut can leave; see
// [FS.SampleCrashStates]. If there are more than 1024, it returns a
// random choice of about that many.
func (f *FS) CrashStates() iter.Seq[*FS] { return f.SampleCrashStates(1024, 1) }

// SampleCrashStates returns the disks that a power cut can leave, each
// once, starting with those of [FS.Crash]. Each change of a name that is
// not durable has happened or not, independently of the others. Each
// unsynced file has its old content, its new content, or something in
// between: nothing if opening it truncated it, a part of what was
// appended, or new pages among old ones. A write to existing bytes within
// one page is never torn.
//
// If there are more than limit disks, it returns those in which one thing
// differs from all the others, and those in which everything up to some
// moment was kept. Random ones, chosen by the seed, fill up to about the
// limit. [FS.Origin] describes each disk. The disk of f must not change
// meanwhile.
func (f *FS) SampleCrashStates(limit int, seed uint64) iter.Seq[*FS] {
	return func(yield func(*FS) bool) {
		f.disk.mu.Lock()
		p := f.disk.plan()
		f.disk.mu.Unlock()

		seen := make(map[uint64]bool)
		hashSeed := maphash.MakeSeed()
		for choice := range p.choices(limit, seed) {
			f.disk.mu.Lock()
			state := f.reopen(p, choice)
			f.disk.mu.Unlock()
			sum := maphash.String(hashSeed, state.disk.describe())
			if seen[sum] {
				continue
			}
			seen[sum] = true
			if !yield(state) {
				return
			}
		}
	}
}

// Origin describes what the power cut that left this disk lost and kept,
// for the message of a failing test. It is empty if everything was
// durable.
func (f *FS) Origin() string { return f.disk.origin }

// plan is what a power cut decides. A choice has a number for each
// change, 1 if it is kept, and then one for each file, the index of its
// outcome.
type plan struct {
	changes []change
	files   []unsynced
}

// unsynced is a file with several possible outcomes. The first is the old
// file, the second the new one.
type unsynced struct {
	node     *node
	name     string
	outcomes []outcome
}

type outcome struct {
	what string
	data []byte
	attrs
}

func (d *disk) plan() *plan {
	p := &plan{}
	visited := make(map[*node]bool)
	var visit func(name string, n *node)
	visit = func(name string, n *node) {
		if n == nil || visited[n] {
			return
		}
		visited[n] = true
		if outcomes := n.outcomes(); len(outcomes) > 1 {
			p.files = append(p.files, unsynced{n, name, outcomes})
		}
		for _, child := range slices.Sorted(maps.Keys(n.saved.names)) {
			visit(child, n.saved.names[child])
		}
	}
	visit("/", d.root)
	for _, c := range d.pending {
		p.changes = append(p.changes, change{c.what, slices.Clone(c.edits)})
		for _, e := range c.edits {
			visit(e.name, e.to)
		}
	}
	return p
}

// outcomes returns the ways in which a power cut can leave a file.
func (n *node) outcomes() []outcome {
	if !n.mode.IsRegular() {
		return nil
	}
	pages := slices.Sorted(maps.Keys(n.saved.dirty))
	full := n.image(pages)
	base := len(n.saved.data) // this part of the size cannot be lost
	if n.saved.truncated {
		base = 0
	}
	all := []outcome{
		{"old", n.saved.data, n.saved.attrs},
		{"new", full, n.attrs},
		{"new attributes only", n.saved.data, n.attrs},
	}
	if n.saved.truncated {
		all = append(all, outcome{"emptied", nil, n.attrs})
	}
	if grown := len(full) - base; grown > 0 {
		page := (len(full) - 1) / pageSize * pageSize
		all = append(all,
			outcome{"half", full[:base+grown/2], n.attrs},
			outcome{"all but the last page", full[:max(base, page)], n.attrs})
	}
	for i := 1; i < len(pages); i++ {
		all = append(all,
			outcome{fmt.Sprintf("first %d pages written", i), n.image(pages[:i]), n.attrs},
			outcome{fmt.Sprintf("first %d pages not written", i), n.image(pages[i:]), n.attrs})
		if i == 1 && len(pages) > 4 { // a few are enough
			i = len(pages) - 2
		}
	}
	var different []outcome
	for _, o := range all {
		if !slices.ContainsFunc(different, func(p outcome) bool {
			return bytes.Equal(o.data, p.data) && o.attrs.equal(p.attrs)
		}) {
			different = append(different, o)
		}
	}
	return different
}

// radix returns the number of values of a choice's i-th number.
func (p *plan) radix(i int) int {
	if i < len(p.changes) {
		return 2
	}
	return len(p.files[i-len(p.changes)].outcomes)
}

func (p *plan) size() int { return len(p.changes) + len(p.files) }

// all returns the choice in which every number is the same.
func (p *plan) all(value int) []int { return slices.Repeat([]int{value}, p.size()) }

// choices returns all choices, or those that SampleCrashStates promises.
// It reuses the slice.
func (p *plan) choices(limit int, seed uint64) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		if !yield(p.all(0)) || !yield(p.all(1)) {
			return
		}
		total := 1
		for i := range p.size() {
			if total *= p.radix(i); total > limit {
				p.sample(limit, seed, yield)
				return
			}
		}
		choice := p.all(0)
		for range total {
			if !yield(choice) {
				return
			}
			for i := range choice {
				if choice[i]++; choice[i] < p.radix(i) {
					break
				}
				choice[i] = 0
			}
		}
	}
}

func (p *plan) sample(limit int, seed uint64, yield func([]int) bool) {
	for _, rest := range []int{0, 1} {
		choice := p.all(rest)
		for i := range choice {
			for choice[i] = range p.radix(i) {
				if !yield(choice) {
					return
				}
			}
			choice[i] = rest
		}
	}
	for _, files := range []int{0, 1} {
		choice := p.all(0)
		for i := range p.files {
			choice[len(p.changes)+i] = files
		}
		for i := range p.changes {
			choice[i] = 1
			if !yield(choice) {
				return
			}
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	choice := p.all(0)
	for range limit {
		for i := range choice {
			choice[i] = random.IntN(p.radix(i))
		}
		if !yield(choice) {
			return
		}
	}
}

// describe returns everything that can be seen of a disk.
func (d *disk) describe() string {
	var b strings.Builder
	first := make(map[*node]string)
	d.root.each("/", func(name string, n *node) {
		if first[n] == "" {
			first[n] = name
		}
		fmt.Fprintf(&b, "%q %q %v %d %d %q %q %v\n",
			name, first[n], n.mode, n.uid, n.gid, n.target, n.data, n.xattrs)
	})
	return b.String()
}
