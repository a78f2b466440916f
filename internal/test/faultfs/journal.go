package faultfs

import (
	"bytes"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// pageSize is the unit in which files reach the disk.
const pageSize = 4096

// change is an operation on names that is not durable yet. A power cut
// keeps all of it or nothing.
type change struct {
	what  string
	edits []edit
}

// edit makes a name in a directory refer to another node; nil removes the
// name.
type edit struct {
	dir  *node
	name string
	to   *node
}

// change makes a change visible, but not durable.
func (d *disk) change(what string, edits ...edit) {
	var gone []*node
	for _, e := range edits {
		if old := e.dir.names[e.name]; old != nil {
			old.nlink--
			gone = append(gone, old)
		}
		if e.to == nil {
			delete(e.dir.names, e.name)
		} else {
			e.to.nlink++
			e.dir.names[e.name] = e.to
			if e.to.isDir() {
				e.to.parent = e.dir
			}
		}
		e.dir.mtime = time.Now()
	}
	for _, n := range gone {
		d.release(n)
	}
	d.pending = append(d.pending, &change{what: what, edits: slices.Clone(edits)})
}

// saveNames makes the names in a directory durable. Of a move between two
// directories it saves only the half in this one.
func (d *disk) saveNames(dir *node) {
	for _, c := range d.pending {
		for _, e := range c.edits {
			if e.dir == dir {
				e.apply(dir.saved.names)
			}
		}
	}
	d.forget(func(e edit) bool { return e.dir == dir })
	dir.saved.attrs = dir.attrs
}

// savePath makes one name durable, and the directories that lead to it.
func (d *disk) savePath(p place) {
	for dir, name := p.dir, p.name; dir != nil; {
		edit{dir, name, dir.names[name]}.apply(dir.saved.names)
		d.forget(func(e edit) bool { return e.dir == dir && e.name == name })
		if dir == d.root {
			return
		}
		child := dir
		dir = dir.parent
		for n, c := range dir.names {
			if c == child {
				name = n
			}
		}
	}
}

func (d *disk) forget(done func(edit) bool) {
	for _, c := range d.pending {
		c.edits = slices.DeleteFunc(c.edits, done)
	}
	d.pending = slices.DeleteFunc(d.pending, func(c *change) bool { return len(c.edits) == 0 })
}

func (e edit) apply(names map[string]*node) {
	if e.to == nil {
		delete(names, e.name)
		return
	}
	names[e.name] = e.to
}

// markDirty records that bytes from start to end were written.
func (n *node) markDirty(start, end int) {
	if n.saved.dirty == nil {
		n.saved.dirty = make(map[int]struct{})
	}
	for page := start / pageSize; page*pageSize < end; page++ {
		n.saved.dirty[page] = struct{}{}
	}
	n.mtime = time.Now()
}

// changedBy clears the bits that a file loses when somebody but root
// changes it.
func (n *node) changedBy(u user) {
	if u.root() {
		return
	}
	n.mode &^= fs.ModeSetuid
	if n.mode&0o010 != 0 {
		n.mode &^= fs.ModeSetgid
	}
}

// truncate removes the content.
func (d *disk) truncate(n *node) {
	d.resize(n, 0)
	n.saved.truncated = true
	n.saved.dirty = nil
	n.mtime = time.Now()
}

// save makes the attributes and the dirty pages of a file durable. What a
// failed sync lost remains lost, even if the next one succeeds.
func (n *node) save() {
	n.saved.data = n.image(slices.Collect(maps.Keys(n.saved.dirty)))
	n.saved.attrs = n.attrs
	n.saved.truncated = false
	n.saved.dirty = nil
}

// saveAll makes everything durable, whatever happened before.
func (n *node) saveAll() {
	n.saved.data = bytes.Clone(n.data)
	n.saved.attrs = n.attrs
	n.saved.truncated = false
	n.saved.dirty = nil
}

// lose is a failed sync: the pages count as clean, but never reach the
// disk.
func (n *node) lose() { n.saved.dirty = nil }

// image returns the content on the disk if the new size and just these
// pages have reached it.
func (n *node) image(pages []int) []byte {
	img := make([]byte, len(n.data))
	if !n.saved.truncated {
		copy(img, n.saved.data)
	}
	for _, page := range pages {
		start := page * pageSize
		if start < len(n.data) {
			end := min(start+pageSize, len(n.data))
			copy(img[start:end], n.data[start:end])
		}
	}
	return img
}
