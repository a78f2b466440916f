package faultfs

import (
	"path"
	"slices"
	"strings"
	"time"
)

// Rule says what goes wrong. Of the behaviours any number can be set, also none, which only counts. They take place in
// the order in which they stand here. Where several rules fit an operation, each does its part, in the order in which
// they were injected; the first error ends it.
type Rule struct {
	// Op is the operation. Empty means every one.
	Op Op
	// Name is a pattern of path.Match for the last element of the name as the caller gave it, symlinks not followed;
	// with a slash in it, for the whole name. Of an operation with two names either may fit. Empty means every name.
	Name string
	// Proc is the process, as it was named in As. Empty means every one.
	Proc string
	// If decides what the other fields cannot tell, such as the flags of an open. Nil means yes. It must not use the FS.
	If func(Entry) bool
	// Skip is the number of fitting operations that come through unharmed before the first is hit.
	Skip int
	// Times is the number of operations that are hit after that. Zero means all.
	Times int

	// Hang makes the operation wait until Release or ReleaseWith; then it goes on.
	Hang bool
	// Delay makes it sleep.
	Delay time.Duration
	// Do is called just before it is carried out, without a lock: the place for what the host does at that very moment.
	Do func()
	// Err makes it fail without being carried out. A file whose Sync fails so has lost its unsynced pages, although they
	// can still be read and a later Sync succeeds. Close closes the file nevertheless.
	Err error
	// After is called just after it was carried out, whether or not that succeeded.
	After func()
	// AfterErr makes it fail although it was carried out. A file that was opened so is closed again, a lock given back.
	AfterErr error
}

// Fault is a rule that was injected.
type Fault struct {
	rule Rule
	disk *disk

	// Guarded by disk.mu.
	matched  int
	hits     int
	waiting  int
	over     bool
	relErr   error
	hit      chan struct{} // closed by the first hit
	released chan struct{} // closed by Release
}

// Inject makes a rule hold, for all processes of the disk, from now on.
func (f *FS) Inject(r Rule) *Fault {
	if _, err := path.Match(r.Name, ""); err != nil {
		panic("faultfs: " + err.Error() + ": " + r.Name)
	}
	if r.Op != "" && !slices.Contains(ops, r.Op) {
		panic("faultfs: no such operation: " + string(r.Op))
	}
	fault := &Fault{rule: r, disk: f.disk, hit: make(chan struct{}), released: make(chan struct{})}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.faults = append(f.disk.faults, fault)
	return fault
}

// Release ends the rule: the operations that hang are carried out, and later ones are not hit.
func (f *Fault) Release() { f.ReleaseWith(nil) }

// ReleaseWith is Release, but if err is not nil, the operations that hang fail with it and are not carried out.
func (f *Fault) ReleaseWith(err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.drop(f)
	if !f.over {
		f.over = true
		f.relErr = err
		close(f.released)
	}
}

// Remove ends the rule for operations to come. Those that hang go on hanging.
func (f *Fault) Remove() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.drop(f)
}

// Hit is closed when the first operation is hit.
func (f *Fault) Hit() <-chan struct{} { return f.hit }

// Hits gives the number of operations that were hit.
func (f *Fault) Hits() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.hits
}

// Waiting gives the number of operations that hang.
func (f *Fault) Waiting() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.waiting
}

// ReleaseAll releases every fault that was not removed, so that a test leaves nothing behind.
func (f *FS) ReleaseAll() {
	f.disk.mu.Lock()
	faults := slices.Clone(f.disk.faults)
	f.disk.mu.Unlock()
	for _, fault := range faults {
		fault.Release()
	}
}

func (d *disk) drop(f *Fault) {
	d.faults = slices.DeleteFunc(d.faults, func(other *Fault) bool { return other == f })
}

// match gives the faults that an operation meets, and counts it.
func (d *disk) match(e Entry) []*Fault {
	var met []*Fault
	for _, f := range d.faults {
		if !f.rule.fits(e) {
			continue
		}
		f.matched++
		if f.matched <= f.rule.Skip || f.rule.Times > 0 && f.hits >= f.rule.Times {
			continue
		}
		if f.hits++; f.hits == 1 {
			close(f.hit)
		}
		met = append(met, f)
	}
	return met
}

func (r *Rule) fits(e Entry) bool {
	return (r.Op == "" || r.Op == e.Op) &&
		(r.Proc == "" || r.Proc == e.Proc) &&
		(r.Name == "" || r.fitsName(e.Name) || e.To != "" && r.fitsName(e.To)) &&
		(r.If == nil || r.If(e))
}

func (r *Rule) fitsName(name string) bool {
	name = path.Clean(slashed(name))
	if !strings.Contains(r.Name, "/") {
		name = path.Base(name)
	}
	ok, _ := path.Match(r.Name, name)
	return ok
}

// before lets an operation meet the fault until it is to be carried out.
func (f *Fault) before() error {
	if f.rule.Hang {
		f.count(+1)
		<-f.released
		f.count(-1)
		if f.relErr != nil {
			return f.relErr
		}
	}
	time.Sleep(f.rule.Delay)
	if f.rule.Do != nil {
		f.rule.Do()
	}
	return f.rule.Err
}

func (f *Fault) count(n int) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.waiting += n
}
