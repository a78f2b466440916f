package faultfs

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
)

// user is the identity of a process.
type user struct {
	uid, gid int
	groups   []int
}

const (
	permRead  fs.FileMode = 4
	permWrite fs.FileMode = 2
	permExec  fs.FileMode = 1
)

func (u user) root() bool           { return u.uid == 0 }
func (u user) in(gid int) bool      { return u.gid == gid || slices.Contains(u.groups, gid) }
func (u user) ownerOf(n *node) bool { return u.root() || u.uid == n.uid }

// may reports whether the mode bits allow access. Root may do everything.
func (u user) may(n *node, want fs.FileMode) bool {
	bits := n.mode.Perm()
	switch {
	case u.root():
		return true
	case u.uid == n.uid:
		bits >>= 6
	case u.in(n.gid):
		bits >>= 3
	}
	return bits&want == want
}

// access makes the kernel's checks before a node is read or written, in
// their order.
func (u user) access(p place, want fs.FileMode) error {
	if want&permWrite != 0 {
		const special = fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice
		switch {
		case p.node.mode&special == 0 && p.mount().readOnly:
			return syscall.EROFS
		case p.node.immutable:
			return syscall.EPERM
		}
	}
	if !u.may(p.node, want) {
		return syscall.EACCES
	}
	return nil
}

// mayAdd checks that the last element of a place may be created.
func (u user) mayAdd(p place) error {
	return u.access(place{node: p.dir}, permWrite|permExec)
}

// mayTake checks that the last element of a place may be removed or
// replaced.
func (u user) mayTake(p place) error {
	if err := u.mayAdd(p); err != nil {
		return err
	}
	if p.node.immutable {
		return syscall.EPERM
	}
	if p.dir.mode&fs.ModeSticky != 0 && !u.ownerOf(p.dir) && !u.ownerOf(p.node) {
		return syscall.EPERM
	}
	return nil
}

// maySet checks that the attributes of a file may become a. Attributes
// that stay the same need no permission.
func (u user) maySet(p place, a attrs) error {
	n := p.node
	switch {
	case n.equal(a):
		return nil
	case p.mount().readOnly:
		return syscall.EROFS
	case n.immutable:
		return syscall.EPERM
	case u.root():
		return nil
	case u.uid != n.uid, a.uid != n.uid:
		return syscall.EPERM
	case a.gid != n.gid && !u.in(a.gid), a.mode&fs.ModeSetgid != 0 && !u.in(a.gid):
		return syscall.EPERM
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(a.xattrs)), slices.Collect(maps.Keys(n.xattrs))) {
		if strings.HasPrefix(name, "trusted.") || strings.HasPrefix(name, "security.") {
			value, want := a.xattrs[name]
			old, have := n.xattrs[name]
			if want != have || value != old {
				return syscall.EPERM
			}
		}
	}
	return nil
}
