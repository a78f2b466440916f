package faultfs

import (
	"io/fs"
	"maps"
	"time"
)

// Attributes is what a test may want to know of a file.
type Attributes struct {
	Mode     fs.FileMode
	UID, GID int
	Xattrs   map[string]string
}

// Attributes gives the attributes of a file, a folder or, not followed, a symlink.
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

// SetModTime sets the time of the last change.
func (f *FS) SetModTime(name string, t time.Time) { f.set(name, func(n *node) { n.mtime = t }) }

// MarkMountPoint makes a file or a folder a mount of its own: a name cannot be linked or moved between it and the rest,
// and it cannot be renamed, replaced or removed. "/" always is one.
func (f *FS) MarkMountPoint(name string) { f.set(name, func(n *node) { n.mountPoint = true }) }

// MarkReadOnly makes a file or a folder a mount of its own that is read-only; "/" makes the whole disk so. A mount
// point further down is not affected.
func (f *FS) MarkReadOnly(name string) {
	f.set(name, func(n *node) { n.mountPoint, n.readOnly = true, true })
}

// MarkImmutable makes a file or a folder immutable, also for root, as chattr +i does.
func (f *FS) MarkImmutable(name string) { f.set(name, func(n *node) { n.immutable = true }) }

// ClearMarks takes back what the functions above marked.
func (f *FS) ClearMarks(name string) {
	f.set(name, func(n *node) {
		n.mountPoint, n.readOnly, n.immutable = n == f.disk.root, false, false
	})
}

// set changes the attributes of what a name leads to.
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
