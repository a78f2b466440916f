package faultfs

import "errors"

// ErrCrashed is what every operation of a dead process says.
var ErrCrashed = errors.New("the process was killed")

// StepLimit kills the process right after its n-th step from now, and at once if n is 0. A step is an operation that
// changed something or made it durable: making a file by opening it, cutting one by opening it, each page of a write,
// a sync, a name added, moved, removed or synced, and attributes copied. So a test can kill a save at each of its steps:
// let n grow until [FS.Killed] says no.
func (f *FS) StepLimit(n int) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.limit = f.steps + n
	f.checkLimit()
}

// Steps gives the number of steps the process has taken; see [FS.StepLimit].
func (f *FS) Steps() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.steps
}

// Kill ends the process, as SIGKILL does: its files are closed and its locks are free. Its operations in flight end
// without being carried out, once their faults let go of them, and all that follow fail with [ErrCrashed].
func (f *FS) Kill() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.kill()
}

// Killed tells whether the process is dead.
func (f *FS) Killed() bool {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.dead
}

func (f *FS) step() {
	f.steps++
	f.checkLimit()
}

func (f *FS) checkLimit() {
	if f.limit >= 0 && f.steps >= f.limit {
		f.kill()
	}
}

func (f *FS) kill() {
	f.dead = true
	for h := range f.disk.handles {
		if h.fs == f {
			h.drop()
		}
	}
	for _, l := range f.disk.locks {
		if l.fs == f {
			f.disk.unlock(l)
		}
	}
}
