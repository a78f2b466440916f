package faultfs

import (
	"io/fs"
	"maps"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Attributes are the attributes of a file that tests check.
type Attributes struct {
	Mode     fs.FileMode
	UID, GID int
	Xattrs   map[string]string
}

// Attributes returns the attributes of a file, a directory or a symlink,
// which it does not follow.
func (f *FS) Attributes(name string) (Attributes, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	p, err := f.disk.find(user{}, name, keep)
	if err != nil {
		return Attributes{}, pathError(OpLstat, name, err)
	}
	n := p.node
	return Attributes{Mode: n.mode, UID: n.uid, GID: n.gid, Xattrs: maps.Clone(n.xattrs)}, nil
}

// Chmod sets the mode.
func (f *FS) Chmod(name string, mode fs.FileMode) {
	f.set(name, func(n *node) { n.mode = n.mode.Type() | mode&^fs.ModeType })
}

// Chown sets the owner and the group.
func (f *FS) Chown(name string, uid, gid int) {
	f.set(name, func(n *node) { n.uid, n.gid = uid, gid })
}

// Lchown sets the owner and the group of a symlink itself.
func (f *FS) Lchown(name string, uid, gid int) {
	f.setLast(name, keep, func(n *node) { n.uid, n.gid = uid, gid })
}

// SetXattr sets an extended attribute.
func (f *FS) SetXattr(name, attr, value string) {
	f.set(name, func(n *node) {
		xattrs := maps.Clone(n.xattrs)
		if xattrs == nil {
			xattrs = make(map[string]string)
		}
		xattrs[attr] = value
		n.xattrs = xattrs
	})
}

// SetModTime sets the modification time.
func (f *FS) SetModTime(name string, t time.Time) { f.set(name, func(n *node) { n.mtime = t }) }

// MarkMountPoint makes a file or a directory a mount point. Names cannot
// be linked or moved into or out of it, and it cannot be renamed,
// replaced or removed. "/" is always one.
func (f *FS) MarkMountPoint(name string) { f.set(name, func(n *node) { n.mountPoint = true }) }

// MarkReadOnly makes a file or a directory a read-only mount; "/" means
// the whole disk. Mount points below it are not affected.
func (f *FS) MarkReadOnly(name string) {
	f.set(name, func(n *node) { n.mountPoint, n.readOnly = true, true })
}

// MarkImmutable makes a file or a directory immutable, even for root, as
// chattr +i does.
func (f *FS) MarkImmutable(name string) { f.set(name, func(n *node) { n.immutable = true }) }

// MarkMount makes a file or a directory the mount point of a file system of
// this type, of which root is mounted. By default everything is on ext4.
func (f *FS) MarkMount(name, fstype, root string) {
	f.set(name, func(n *node) {
		n.mountPoint, n.place = true, fsys.Place{Type: fstype, Root: root, Point: name}
	})
}

// MarkMountedElsewhere makes a file one that is mounted at another path too.
func (f *FS) MarkMountedElsewhere(name, where string) {
	f.set(name, func(n *node) { n.elsewhere = where })
}

// MarkReplaced makes a file one that has no name any more, although it can be
// opened: it is mounted, and was replaced where it is mounted from.
func (f *FS) MarkReplaced(name string) {
	f.set(name, func(n *node) { n.mountPoint, n.replaced = true, true })
}

// ClearMarks undoes the functions above.
func (f *FS) ClearMarks(name string) {
	f.set(name, func(n *node) {
		n.mountPoint, n.readOnly, n.immutable, n.replaced = n == f.disk.root, false, false, false
		n.place = defaultPlace
	})
}

// set changes the attributes of the node that a name leads to.
func (f *FS) set(name string, change func(*node)) { f.setLast(name, follow, change) }

func (f *FS) setLast(name string, last lookup, change func(*node)) {
	f.setUp("set", name, func(d *disk) error {
		p, err := d.find(user{}, name, last)
		if err == nil {
			change(p.node)
			p.node.saved.attrs = p.node.attrs
		}
		return err
	})
}
