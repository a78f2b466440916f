package faultfs

import (
	"io/fs"
	"maps"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// attrs are the attributes that CopyAttributes copies.
type attrs struct {
	mode     fs.FileMode // including the type bits
	uid, gid int
	xattrs   map[string]string // immutable
}

func (a attrs) equal(b attrs) bool {
	return a.mode == b.mode && a.uid == b.uid && a.gid == b.gid && maps.Equal(a.xattrs, b.xattrs)
}

// node is an inode.
type node struct {
	attrs
	ino    uint64
	nlink  int // names
	opens  int // open files
	mtime  time.Time
	target string           // of a symlink
	names  map[string]*node // of a directory
	parent *node            // of a directory
	data   []byte           // of a file

	// Real systems mark a name with these, not an inode.
	mountPoint, readOnly, immutable, replaced bool

	place     fsys.Place // of a mount point
	elsewhere string     // where the file is mounted besides

	saved durable
}

// durable is what a power cut leaves of a node, and how to compute it.
type durable struct {
	attrs
	names     map[string]*node
	data      []byte
	dirty     map[int]struct{} // pages of node.data written since the last sync
	truncated bool             // node.data was truncated since the last sync
}

func (d *disk) newNode(a attrs) *node {
	d.lastIno++
	d.inodes++
	n := &node{attrs: a, ino: d.lastIno, mtime: time.Now()}
	n.saved.attrs = a
	if n.isDir() {
		n.names = make(map[string]*node)
		n.saved.names = make(map[string]*node)
	}
	return n
}

// release frees the space of a node that is unreachable. It keeps the
// content, because a power cut may bring back a name.
func (d *disk) release(n *node) {
	if n.nlink == 0 && n.opens == 0 {
		d.inodes--
		d.space -= len(n.data)
	}
}

// resize sets the length of the content, which grows with zeros.
func (d *disk) resize(n *node, size int) {
	d.space += size - len(n.data)
	if size <= len(n.data) {
		n.data = n.data[:size:size]
		return
	}
	n.data = append(n.data, make([]byte, size-len(n.data))...)
}

// room returns how many of size more bytes fit on the disk.
func (d *disk) room(size int) int {
	if d.maxSpace < 0 {
		return size
	}
	return max(0, min(size, d.maxSpace-d.space))
}

func (n *node) isDir() bool     { return n.mode.IsDir() }
func (n *node) isSymlink() bool { return n.mode&fs.ModeSymlink != 0 }

// info is a node at the time of the call that returned it.
type info struct {
	node  *node
	name  string
	size  int64
	mode  fs.FileMode
	mtime time.Time
	links int
	owner fsys.Owner
}

func (n *node) info(name string) *info {
	i := &info{node: n, name: baseName(name), size: int64(len(n.data)), mode: n.mode, mtime: n.mtime, links: n.links(), owner: fsys.Owner{UID: n.uid, GID: n.gid}}
	switch {
	case n.isSymlink():
		i.size = int64(len(n.target))
	case n.isDir():
		i.links = 2 // its name and its "."
		for _, child := range n.names {
			if child.isDir() {
				i.links++ // the child's ".."
			}
		}
	}
	return i
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.mtime }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return nil }

// SameFile implements [fsys.FS].
func (f *FS) SameFile(a, b fs.FileInfo) bool {
	x, okX := a.(*info)
	y, okY := b.(*info)
	return okX && okY && x.node == y.node
}

// LinkCount implements [fsys.FS].
func (f *FS) LinkCount(i fs.FileInfo) int {
	if i, ok := i.(*info); ok {
		return i.links
	}
	return 1
}

// Owner implements [fsys.FS].
func (f *FS) Owner(i fs.FileInfo) (fsys.Owner, bool) {
	if i, ok := i.(*info); ok {
		return i.owner, true
	}
	return fsys.Owner{}, false
}

// Self implements [fsys.FS].
func (f *FS) Self() fsys.Owner {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return fsys.Owner{UID: f.user.uid, GID: f.user.gid}
}

// links returns the number of names that processes see.
func (n *node) links() int {
	if n.replaced {
		return 0
	}
	return n.nlink
}

var defaultPlace = fsys.Place{Type: "ext4", Root: "/", Point: "/"}
