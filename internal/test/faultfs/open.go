package faultfs

import (
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// OpenFile implements [fsys.FS].
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	var h *file
	err := f.run(Entry{Op: OpOpen, Name: name, Flag: flag}, func(*Entry) (err error) {
		h, err = f.open(name, flag, perm)
		return err
	})
	if err != nil {
		if h != nil {
			h.lockAndDrop()
		}
		return nil, pathError(OpOpen, name, err)
	}
	return h, nil
}

func (f *FS) open(name string, flag int, perm fs.FileMode) (*file, error) {
	d := f.disk
	create, excl := flag&os.O_CREATE != 0, flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0
	last := follow
	if excl {
		last = keep
	}
	if noFollow != 0 && flag&noFollow != 0 {
		last = none
	}
	if create && strings.HasSuffix(slashed(name), "/") {
		last = entry
	}
	p, err := d.walk(f.user, name, last)
	switch {
	case err != nil:
		return nil, err
	case last == entry:
		return nil, syscall.EISDIR
	}
	h := &file{fs: f, name: name, flag: flag}
	if p.node == nil {
		switch {
		case !create:
			return nil, syscall.ENOENT
		case p.slash:
			return nil, syscall.EISDIR
		}
		const settable = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky
		if p.node, err = f.create(OpOpen, p, perm&settable); err != nil {
			return nil, err
		}
	} else {
		if excl {
			return nil, syscall.EEXIST
		}
		if err := f.mayOpen(h, p); err != nil {
			return nil, err
		}
		if n := p.node; flag&os.O_TRUNC != 0 && n.mode.IsRegular() {
			if len(n.data) > 0 {
				d.truncate(n)
				n.changedBy(f.user)
				f.step()
			}
		}
	}
	h.place = p
	p.node.opens++
	d.handles[h] = struct{}{}
	if f.dead { // killed by the step above
		h.drop()
	}
	return h, nil
}

// mayOpen makes the kernel's checks of an existing file, in their order.
func (f *FS) mayOpen(h *file, p place) error {
	n := p.node
	write := h.writable() || h.flag&os.O_TRUNC != 0
	want := fs.FileMode(0)
	if h.readable() {
		want |= permRead
	}
	if write {
		want |= permWrite
	}
	switch {
	case n.isSymlink():
		if onlyDir != 0 && h.flag&onlyDir != 0 {
			return syscall.ENOTDIR
		}
		return syscall.ELOOP
	case n.isDir() && (write || h.flag&os.O_CREATE != 0):
		return syscall.EISDIR
	case !n.isDir() && onlyDir != 0 && h.flag&onlyDir != 0:
		return syscall.ENOTDIR
	}
	if err := f.user.access(p, want); err != nil {
		return err
	}
	switch {
	case n.mode&fs.ModeSocket != 0:
		return syscall.ENXIO
	case n.mode&fs.ModeNamedPipe != 0 && !h.readable() && !f.disk.anyOpen(n, (*file).readable):
		return syscall.ENXIO
	}
	return nil
}

// anyOpen reports whether a node is open in a way that fits.
func (d *disk) anyOpen(n *node, fits func(*file) bool) bool {
	for h := range d.handles {
		if h.node() == n && fits(h) {
			return true
		}
	}
	return false
}
