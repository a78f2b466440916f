package faultfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// WriteFile gives a file, new or not, this content and mode. Symlinks are followed, missing folders are made. The inode
// of a file that exists stays the same; see [FS.ReplaceFile].
func (f *FS) WriteFile(name string, data []byte, mode fs.FileMode) {
	f.setUp("write", name, func(d *disk) error {
		p, err := d.place(name, follow)
		if err != nil {
			return err
		}
		n := p.node
		switch {
		case n == nil:
			n = d.put(p, mode)
		case !n.mode.IsRegular():
			return fs.ErrInvalid
		}
		d.fill(n, data)
		n.mode = mode
		n.saveAll()
		d.savePath(p)
		return nil
	})
}

// ReplaceFile gives the name to a new file with this content and mode, as a program does that saves by renaming.
func (f *FS) ReplaceFile(name string, data []byte, mode fs.FileMode) {
	f.setUp("replace", name, func(d *disk) error {
		p, err := d.place(name, keep)
		if err != nil {
			return err
		}
		n := d.put(p, mode)
		d.fill(n, data)
		n.saveAll()
		return nil
	})
}

// ReadFile gives the content of a file that every process would read. Symlinks are followed.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	p, err := f.disk.find(user{}, name, follow)
	if err == nil && p.node.isDir() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError(OpRead, name, err)
	}
	return append([]byte{}, p.node.data...), nil
}

// Files gives the full names of everything that is not a folder, sorted.
func (f *FS) Files() []string {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	var files []string
	f.disk.root.each("/", func(name string, n *node) {
		if !n.isDir() {
			files = append(files, name)
		}
	})
	return files
}

// OpenFiles gives the names under which the processes have files open, sorted.
func (f *FS) OpenFiles() []string {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	var names []string
	for h := range f.disk.handles {
		names = append(names, h.name)
	}
	slices.Sort(names)
	return names
}

// MkdirAll makes a folder with this mode, and missing parents with mode 0755. The mode of one that exists is set.
func (f *FS) MkdirAll(name string, mode fs.FileMode) {
	f.setUp("make folder", name, func(d *disk) error {
		n, err := d.folder(path.Clean("/" + slashed(name)))
		if err != nil {
			return err
		}
		n.mode = fs.ModeDir | mode
		n.saved.attrs = n.attrs
		return nil
	})
}

// Symlink makes a symlink to target, and missing folders.
func (f *FS) Symlink(target, name string) {
	f.setUp("symlink", name, func(d *disk) error {
		p, err := d.free(name)
		if err == nil {
			d.put(p, fs.ModeSymlink|fs.ModePerm).target = target
		}
		return err
	})
}

// Mknod makes a FIFO, a socket or a device, as the type bits of the mode say. A device is like /dev/null.
func (f *FS) Mknod(name string, mode fs.FileMode) {
	f.setUp("mknod", name, func(d *disk) error {
		const types = fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice | fs.ModeCharDevice
		if mode.Type() == 0 || mode.Type()&^types != 0 {
			return fs.ErrInvalid
		}
		p, err := d.free(name)
		if err == nil {
			d.put(p, mode)
		}
		return err
	})
}

// Delete removes a file, or a folder with all that is in it.
func (f *FS) Delete(name string) {
	f.setUp("delete", name, func(d *disk) error {
		p, err := d.find(user{}, name, keep)
		switch {
		case err != nil:
			return err
		case p.dir == nil:
			return fs.ErrInvalid
		}
		p.node.each("/", func(_ string, n *node) {
			n.nlink--
			d.release(n)
		})
		clear(p.node.names)
		d.change("", edit{p.dir, p.name, nil})
		d.savePath(p)
		return nil
	})
}

// setUp calls do as the helper of that name, under the lock.
func (f *FS) setUp(what, name string, do func(*disk) error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := do(f.disk); err != nil {
		panic(fmt.Sprintf("faultfs: %s %s: %v", what, name, err))
	}
}

// folder finds a folder, making what is missing.
func (d *disk) folder(name string) (*node, error) {
	p, err := d.walk(user{}, name, follow)
	if err != nil {
		parent := path.Dir(name)
		if parent == name {
			return nil, err
		}
		if _, err := d.folder(parent); err != nil {
			return nil, err
		}
		if p, err = d.walk(user{}, name, follow); err != nil {
			return nil, err
		}
	}
	switch {
	case p.node == nil:
		return d.put(p, fs.ModeDir|0o755), nil
	case !p.node.isDir():
		return nil, syscall.ENOTDIR
	}
	return p.node, nil
}

// place finds the place of a name, making the folders that are missing.
func (d *disk) place(name string, last lookup) (place, error) {
	dir, _ := path.Split(path.Clean("/" + slashed(name)))
	if _, err := d.folder(path.Clean(dir)); err != nil {
		return place{}, err
	}
	p, err := d.walk(user{}, name, last)
	if err == nil && p.dir == nil {
		err = fs.ErrInvalid
	}
	return p, err
}

// free is place for a name that must not exist.
func (d *disk) free(name string) (place, error) {
	p, err := d.place(name, keep)
	if err == nil && p.node != nil {
		err = fs.ErrExist
	}
	return p, err
}

// put gives a name to a new node, durably.
func (d *disk) put(p place, mode fs.FileMode) *node {
	n := d.newNode(attrs{mode: mode})
	d.change("", edit{p.dir, p.name, n})
	d.savePath(p)
	return n
}

func (d *disk) fill(n *node, data []byte) {
	d.space += len(data) - len(n.data)
	n.data = bytes.Clone(data)
	n.mtime = time.Now()
}

// each calls fn for what is in a folder and below, in the order of the names.
func (n *node) each(name string, fn func(name string, n *node)) {
	for _, child := range slices.Sorted(maps.Keys(n.names)) {
		full := strings.TrimSuffix(name, "/") + "/" + child
		fn(full, n.names[child])
		n.names[child].each(full, fn)
	}
}
