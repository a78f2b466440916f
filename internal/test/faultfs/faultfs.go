// Package faultfs is a file system in memory for tests: it behaves as a POSIX file system does for the few operations
// of [fsys.FS], and each of these can be made to hang, to be late or to fail, and the power can be cut at any moment.
//
// A disk made by [New] is shared by all the processes that [FS.As] makes: each has its own user, umask, open files and
// locks, so that goroutines can stand for processes that race. A process dies by [FS.Kill], or after a number of steps
// by [FS.StepLimit]; what it did before stays on the disk.
//
// Faults are rules ([FS.Inject]). An operation that hangs receives from a channel and one that is slow sleeps, so both
// are durably blocked in a testing/synctest bubble, as long as the rule was injected inside that bubble. No lock is held
// meanwhile: the other operations go on.
//
// What is durable is tracked apart from what is visible. Content and attributes of a file become durable by its Sync,
// the names in a folder by SyncDir of that folder, and by nothing else; [FS.CrashStates] gives every disk that a power
// cut can leave behind.
//
// The helpers that have no counterpart in [fsys.FS], such as [FS.WriteFile], set a scene: they act as root, see no
// fault and no quota, are durable at once, and panic when they are used wrongly.
package faultfs

import (
	"io/fs"
	"slices"
	"sync"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

var (
	_ fsys.FS   = (*FS)(nil)
	_ fsys.File = (*file)(nil)
)

// FS is a disk as one process sees it. It is safe for concurrent use.
type FS struct {
	disk *disk
	proc string

	// The rest is guarded by disk.mu.
	user  user
	umask fs.FileMode
	steps int
	limit int // dead as soon as steps reaches it; negative: never
	dead  bool
}

// disk is what processes share.
type disk struct {
	mu      sync.Mutex
	root    *node
	lastIno uint64
	pending []*change // changes of names that are not durable, oldest first
	handles map[*file]struct{}
	locks   map[*node]*lock

	space, maxSpace   int // bytes of content; a negative maximum is none
	inodes, maxInodes int

	faults   []*Fault
	log      []*Entry
	inFlight int

	origin string // which crash state this is
}

// New makes an empty disk and a process on it that is root, with a umask of 022.
func New() *FS {
	d := &disk{
		handles:   make(map[*file]struct{}),
		locks:     make(map[*node]*lock),
		maxSpace:  -1,
		maxInodes: -1,
	}
	d.root = d.newNode(attrs{mode: fs.ModeDir | 0o755})
	d.root.parent = d.root
	d.root.nlink = 1
	d.root.mountPoint = true
	return &FS{disk: d, umask: 0o022, limit: -1}
}

// As makes another process on the same disk, with the user and umask of f. The name tells it apart in rules and in the
// log, and need not be unique.
func (f *FS) As(proc string) *FS {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return &FS{disk: f.disk, proc: proc, user: f.user, umask: f.umask, limit: -1}
}

// SetUser makes the process run as that user and in those groups. Only user 0 is root.
func (f *FS) SetUser(uid, gid int, groups ...int) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.user = user{uid: uid, gid: gid, groups: slices.Clone(groups)}
}

// SetUmask sets the mode bits that files and folders the process makes do not get.
func (f *FS) SetUmask(mask fs.FileMode) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.umask = mask.Perm()
}

// SetFree sets how many more bytes of content and how many more files, folders and links fit on the disk, beyond which
// an operation fails with ENOSPC. What is deleted later is free again. A negative number lifts the limit.
func (f *FS) SetFree(bytes, inodes int) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	d.maxSpace, d.maxInodes = -1, -1
	if bytes >= 0 {
		d.maxSpace = d.space + bytes
	}
	if inodes >= 0 {
		d.maxInodes = d.inodes + inodes
	}
}
