package faultfs

import (
	"path"
	"slices"
	"strings"
	"time"
)

// A Rule says what goes wrong. It can combine any behaviours, which take
// place in the order of the fields; a rule without one only counts. If
// several rules match an operation, they take effect in the order in
// which they were injected, until one fails the operation.
type Rule struct {
	// Op is the operation; empty matches all.
	Op Op
	// Name is a pattern of path.Match for the last element of the name as
	// the caller passed it, without following symlinks. A pattern with a
	// slash is for the whole name. If an operation has two names, either
	// may match. Empty matches all.
	Name string
	// Proc is the name of the process; empty matches all.
	Proc string
	// If, if not nil, decides what the other fields cannot, such as the
	// flags of an open. It must not use the FS.
	If func(Entry) bool
	// Skip is how many matching operations succeed before the first is
	// hit.
	Skip int
	// Times is how many operations are hit after that; 0 means all.
	Times int

	// Hang blocks the operation until Release or ReleaseWith.
	Hang bool
	// Delay makes the operation sleep.
	Delay time.Duration
	// Do is called without a lock just before the operation, for what a
	// host does at that very moment.
	Do func()
	// Err fails the operation instead of executing it. A file whose Sync
	// fails has lost its unsynced pages, although they can still be read
	// and a later Sync succeeds. Close closes the file all the same.
	Err error
	// After is called just after the operation, whether or not it
	// succeeded.
	After func()
	// AfterErr fails the operation although it was executed. If that
	// opened a file, it is closed again; if it took a lock, the lock is
	// released.
	AfterErr error
}

// A Fault is an injected rule.
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

// Inject puts a rule into effect for all processes of the disk.
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

// Release ends the rule. Operations that hang continue.
func (f *Fault) Release() { f.ReleaseWith(nil) }

// ReleaseWith is Release, but if err is not nil, operations that hang
// fail with it instead of being executed.
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

// Remove ends the rule for later operations. Those that hang continue to
// hang.
func (f *Fault) Remove() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.drop(f)
}

// Hit returns a channel that is closed when the first operation is hit.
func (f *Fault) Hit() <-chan struct{} { return f.hit }

// Hits returns how many operations were hit.
func (f *Fault) Hits() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.hits
}

// Waiting returns how many operations hang.
func (f *Fault) Waiting() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.waiting
}

// ReleaseAll releases every fault that was not removed, so that a test
// leaves nothing behind.
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

// match returns the faults that an operation meets, and counts it.
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
	name, pattern := path.Clean(name), slashed(r.Name)
	if !strings.Contains(pattern, "/") {
		name = path.Base(name)
	}
	ok, _ := path.Match(pattern, name)
	return ok
}

// before applies the fault to an operation that is about to be executed.
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
