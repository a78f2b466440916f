package faultfs

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// reopen returns the disk that a power cut leaves, according to a choice.
func (f *FS) reopen(p *plan, choice []int) *FS {
	d := f.disk
	r := &reopening{
		disk: &disk{
			lastIno:   d.lastIno,
			handles:   make(map[*file]struct{}),
			locks:     make(map[*node]*lock),
			maxSpace:  d.maxSpace,
			maxInodes: d.maxInodes,
			origin:    p.origin(choice),
		},
		names:    make(map[*node]map[string]*node),
		outcomes: make(map[*node]outcome),
		copies:   make(map[*node]*node),
	}
	for i, c := range p.changes {
		if choice[i] == 0 {
			continue
		}
		for _, e := range c.edits {
			if r.names[e.dir] == nil {
				r.names[e.dir] = maps.Clone(e.dir.saved.names)
			}
			e.apply(r.names[e.dir])
		}
	}
	for i, file := range p.files {
		r.outcomes[file.node] = file.outcomes[choice[len(p.changes)+i]]
	}
	r.disk.root = r.copy(d.root)
	r.disk.root.nlink = 1
	r.disk.root.parent = r.disk.root
	return &FS{disk: r.disk, user: f.user, umask: f.umask, limit: -1}
}

type reopening struct {
	disk     *disk
	names    map[*node]map[string]*node // of the directories that changed
	outcomes map[*node]outcome          // of the unsynced files
	copies   map[*node]*node
}

// copy copies a node and everything below it.
func (r *reopening) copy(n *node) *node {
	c := &node{
		attrs:      n.saved.attrs,
		ino:        n.ino,
		mtime:      n.mtime,
		target:     n.target,
		data:       n.saved.data,
		mountPoint: n.mountPoint,
		readOnly:   n.readOnly,
		immutable:  n.immutable,
		replaced:   n.replaced,
		place:      n.place,
		elsewhere:  n.elsewhere,
	}
	r.copies[n] = c
	if o, ok := r.outcomes[n]; ok {
		c.attrs, c.data = o.attrs, o.data
	}
	c.data = bytes.Clone(c.data)
	c.saveAll()
	r.disk.inodes++
	r.disk.space += len(c.data)
	if !n.isDir() {
		return c
	}

	names, ok := r.names[n]
	if !ok {
		names = n.saved.names
	}
	c.names = make(map[string]*node)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		child := r.copies[names[name]]
		switch {
		case child == nil:
			child = r.copy(names[name])
		case child.isDir():
			continue // it was moved, and only half of that is on the disk: a file system check leaves one name
		}
		child.nlink++
		if child.isDir() {
			child.parent = c
		}
		c.names[name] = child
	}
	c.saved.names = maps.Clone(c.names)
	return c
}

// origin describes a choice.
func (p *plan) origin(choice []int) string {
	var lost, kept, parts []string
	for i, c := range p.changes {
		if choice[i] == 0 {
			lost = append(lost, c.what)
		} else {
			kept = append(kept, c.what)
		}
	}
	if lost != nil {
		parts = append(parts, "lost: "+strings.Join(lost, ", "))
	}
	if kept != nil {
		parts = append(parts, "kept: "+strings.Join(kept, ", "))
	}
	for i, file := range p.files {
		parts = append(parts, "content of "+file.name+": "+file.outcomes[choice[len(p.changes)+i]].what)
	}
	return strings.Join(parts, "; ")
}
