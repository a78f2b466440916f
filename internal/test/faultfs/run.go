package faultfs

import (
	"io"
	"io/fs"
	"os"
)

// run executes every operation: it logs it, applies the faults, and calls
// do under the lock. Do may complete the entry.
func (f *FS) run(e Entry, do func(*Entry) error) (err error) {
	faults, alive := f.begin(&e)
	if !alive {
		return ErrCrashed
	}
	defer func() { f.end(&e, err) }()

	for _, fault := range faults {
		if err := fault.before(); err != nil {
			return err
		}
	}
	alive, err = f.carryOut(&e, do)
	if !alive {
		return ErrCrashed
	}
	for _, fault := range faults {
		if fault.rule.After != nil {
			fault.rule.After()
		}
		if fault.rule.AfterErr != nil && (err == nil || err == io.EOF) {
			err = fault.rule.AfterErr
		}
	}
	return err
}

func (f *FS) begin(e *Entry) (faults []*Fault, alive bool) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	e.Proc, e.Name, e.To = f.proc, slashed(e.Name), slashed(e.To)
	d.log = append(d.log, e)
	if f.dead {
		e.Err, e.Done = ErrCrashed, true
		return nil, false
	}
	d.inFlight++
	return d.match(*e), true
}

// carryOut calls do, unless the process was killed meanwhile.
func (f *FS) carryOut(e *Entry, do func(*Entry) error) (alive bool, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.dead {
		return false, nil
	}
	return true, do(e)
}

func (f *FS) end(e *Entry, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	e.Err, e.Done = err, true
	f.disk.inFlight--
}

// pathError returns err as package os does.
func pathError(op Op, name string, err error) error {
	if err == nil || err == io.EOF || err == errAppend {
		return err
	}
	return &fs.PathError{Op: string(op), Path: name, Err: err}
}

// linkError returns err as package os does.
func linkError(op Op, oldname, newname string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: string(op), Old: oldname, New: newname, Err: err}
}
