// Package faultfs is a file system in memory for tests. It behaves as a
// POSIX file system does for the few operations of [fsys.FS]. Each
// operation can be made to hang, to be late or to fail, and the power can
// be cut at any moment.
//
// All processes that [FS.As] makes share the disk that [New] makes. Each
// has its own user, umask, open files and locks, so goroutines can stand
// for racing processes. A process dies by [FS.Kill], or after a number of
// steps by [FS.StepLimit]; what it did before remains on the disk.
//
// Faults are rules; see [FS.Inject]. An operation that hangs receives
// from a channel, and a slow one sleeps. So both are durably blocked in a
// testing/synctest bubble if the rule was injected inside it. They hold
// no lock meanwhile, so other operations continue.
//
// The package tracks what is durable separately from what is visible.
// Sync makes the content and the attributes of a file durable, SyncDir
// makes the names in a directory durable, and nothing else does.
// [FS.CrashStates] returns every disk that a power cut can leave.
//
// Helpers without a counterpart in [fsys.FS], such as [FS.WriteFile],
// prepare the disk. They act as root, ignore faults and quotas, are
// durable at once, and panic when a test misuses them.
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
	limit int // dead when steps reaches it; negative: never
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

	space, maxSpace   int // bytes of content; a negative maximum is no limit
	inodes, maxInodes int

	faults   []*Fault
	log      []*Entry
	inFlight int

	origin string // describes the crash state
}

// New returns an empty disk, as seen by a process of root with a umask of
// 022.
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
	d.root.mountPoint, d.root.place = true, defaultPlace
	return &FS{disk: d, umask: 0o022, limit: -1}
}

// As returns another process on the same disk, with the user and umask of
// f. Rules and the log refer to it by its name, which need not be unique.
func (f *FS) As(proc string) *FS {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return &FS{disk: f.disk, proc: proc, user: f.user, umask: f.umask, limit: -1}
}

// SetUser sets the user and the groups of the process. Only user 0 is
// root.
func (f *FS) SetUser(uid, gid int, groups ...int) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.user = user{uid: uid, gid: gid, groups: slices.Clone(groups)}
}

// SetUmask sets the mode bits that new files and directories of the
// process do not get.
func (f *FS) SetUmask(mask fs.FileMode) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.umask = mask.Perm()
}

// SetFree sets how many more bytes of content, and how many more files,
// directories and links, fit on the disk. Operations beyond that fail
// with ENOSPC. Deleting frees space. A negative number lifts the limit.
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
