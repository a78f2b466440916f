package faultfs

import "errors"

// ErrCrashed is the error of every operation of a dead process.
var ErrCrashed = errors.New("the process was killed")

// StepLimit kills the process right after its n-th step from now, or at
// once if n is 0. A step is an operation that changed something or made
// it durable: creating a file, truncating one, each page of a write, a
// sync, adding, moving, removing or syncing a name, and copying
// attributes. So a test can kill a save at each of its steps: increase n
// until [FS.Killed] returns false.
func (f *FS) StepLimit(n int) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.limit = f.steps + n
	f.checkLimit()
}

// Steps returns how many steps the process has taken; see [FS.StepLimit].
func (f *FS) Steps() int {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.steps
}

// Kill ends the process, as SIGKILL does. Its files are closed and its
// locks are free. Its operations in flight are not executed once their
// faults release them, and all later ones fail with [ErrCrashed].
func (f *FS) Kill() {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.kill()
}

// Killed reports whether the process is dead.
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
