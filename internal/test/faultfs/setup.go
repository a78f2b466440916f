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

// WriteFile sets the content and the mode of a file. It follows symlinks,
// and creates the file and its directories if they are missing. An
// existing file keeps its inode; see [FS.ReplaceFile].
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

// ReplaceFile makes the name refer to a new file, as a program does that
// saves by renaming.
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

// ReadFile returns the content that every process would read. It follows
// symlinks.
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

// Files returns the full names of everything but directories, sorted.
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

// OpenFiles returns the names under which processes have files open,
// sorted.
func (f *FS) OpenFiles() []string {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	var names []string
	for h := range f.disk.handles {
		names = append(names, slashed(h.name))
	}
	slices.Sort(names)
	return names
}

// MkdirAll creates a directory with this mode, and missing parents with
// mode 0755. It sets the mode of an existing one.
func (f *FS) MkdirAll(name string, mode fs.FileMode) {
	f.setUp("make directory", name, func(d *disk) error {
		n, err := d.makeDir(path.Clean("/" + slashed(name)))
		if err != nil {
			return err
		}
		n.mode = fs.ModeDir | mode
		n.saved.attrs = n.attrs
		return nil
	})
}

// Symlink creates a symlink to target, and missing directories.
func (f *FS) Symlink(target, name string) {
	f.setUp("symlink", name, func(d *disk) error {
		p, err := d.free(name)
		if err == nil {
			d.put(p, fs.ModeSymlink|fs.ModePerm).target = target
		}
		return err
	})
}

// Mknod creates a FIFO, a socket or a device, according to the type bits
// of the mode. A device works like /dev/null.
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

// Delete removes a file, or a directory with its contents.
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

// setUp calls do under the lock, on behalf of the named helper.
func (f *FS) setUp(what, name string, do func(*disk) error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := do(f.disk); err != nil {
		panic(fmt.Sprintf("faultfs: %s %s: %v", what, name, err))
	}
}

// makeDir returns a directory, and creates what is missing.
func (d *disk) makeDir(name string) (*node, error) {
	p, err := d.walk(user{}, name, follow)
	if err != nil {
		parent := path.Dir(name)
		if parent == name {
			return nil, err
		}
		if _, err := d.makeDir(parent); err != nil {
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

// place returns the place of a name, and creates missing directories.
func (d *disk) place(name string, last lookup) (place, error) {
	dir, _ := path.Split(path.Clean("/" + slashed(name)))
	if _, err := d.makeDir(path.Clean(dir)); err != nil {
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

// put makes a name refer to a new node, durably.
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

// each calls fn for everything in and below a directory, sorted by name.
func (n *node) each(name string, fn func(name string, n *node)) {
	for _, child := range slices.Sorted(maps.Keys(n.names)) {
		full := strings.TrimSuffix(name, "/") + "/" + child
		fn(full, n.names[child])
		n.names[child].each(full, fn)
	}
}
