package faultfs

import (
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// Lstat implements [fsys.FS].
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	var i *info
	err := f.run(Entry{Op: OpLstat, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, keep)
		if err == nil {
			i = p.node.info(name)
		}
		return err
	})
	if err != nil {
		return nil, pathError(OpLstat, name, err)
	}
	return i, nil
}

// Readlink implements [fsys.FS].
func (f *FS) Readlink(name string) (target string, link fs.FileInfo, err error) {
	err = f.run(Entry{Op: OpReadlink, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, keep)
		switch {
		case err != nil:
			return err
		case !p.node.isSymlink():
			return syscall.EINVAL
		}
		target, link = p.node.target, p.node.info(name)
		return nil
	})
	if err != nil {
		return "", nil, pathError(OpReadlink, name, err)
	}
	return target, link, nil
}

// ReadDir implements [fsys.FS]. The names are in random order.
func (f *FS) ReadDir(name string) ([]string, error) {
	var names []string
	err := f.run(Entry{Op: OpReadDir, Name: name}, func(*Entry) error {
		p, err := f.disk.findDir(f.user, name)
		switch {
		case err != nil:
			return err
		case !f.user.may(p.node, permRead):
			return syscall.EACCES
		}
		names = slices.Collect(maps.Keys(p.node.names))
		return nil
	})
	if err != nil {
		return nil, pathError(OpReadDir, name, err)
	}
	return names, nil
}

// Mkdir implements [fsys.FS].
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	err := f.run(Entry{Op: OpMkdir, Name: name}, func(*Entry) error {
		p, err := f.disk.walk(f.user, name, entry)
		switch {
		case err != nil:
			return err
		case p.node != nil:
			return syscall.EEXIST
		}
		_, err = f.create(OpMkdir, p, fs.ModeDir|perm&(fs.ModePerm|fs.ModeSticky))
		return err
	})
	return pathError(OpMkdir, name, err)
}

// create makes a node under a free name, on behalf of a process.
func (f *FS) create(op Op, p place, mode fs.FileMode) (*node, error) {
	d := f.disk
	if err := f.user.mayAdd(p); err != nil {
		return nil, err
	}
	if d.maxInodes >= 0 && d.inodes >= d.maxInodes {
		return nil, syscall.ENOSPC
	}
	a := attrs{mode: mode &^ f.umask, uid: f.user.uid, gid: f.user.gid}
	if p.dir.mode&fs.ModeSetgid != 0 {
		a.gid = p.dir.gid
		if mode.IsDir() {
			a.mode |= fs.ModeSetgid
		}
	}
	n := d.newNode(a)
	d.change(string(op)+" "+p.name, edit{p.dir, p.name, n})
	f.step()
	return n, nil
}

// Remove implements [fsys.FS].
func (f *FS) Remove(name string) error {
	err := f.run(Entry{Op: OpRemove, Name: name}, func(*Entry) error {
		p, err := f.disk.walk(f.user, name, entry)
		switch {
		case err != nil:
			return err
		case p.dir == nil:
			return map[string]error{".": syscall.EINVAL, "..": syscall.ENOTEMPTY, "/": syscall.EBUSY}[p.name]
		case p.dirMount().readOnly:
			return syscall.EROFS
		case p.node == nil:
			return syscall.ENOENT
		case p.slash && !p.node.isDir():
			return syscall.ENOTDIR
		}
		if err := f.user.mayTake(p); err != nil {
			return err
		}
		switch {
		case p.node.mountPoint:
			return syscall.EBUSY
		case len(p.node.names) > 0:
			return syscall.ENOTEMPTY
		}
		f.disk.change("remove "+p.name, edit{p.dir, p.name, nil})
		f.step()
		return nil
	})
	return pathError(OpRemove, name, err)
}

// SyncDir implements [fsys.FS].
func (f *FS) SyncDir(name string) error {
	err := f.run(Entry{Op: OpSyncDir, Name: name}, func(*Entry) error {
		p, err := f.disk.findDir(f.user, name)
		switch {
		case err != nil:
			return err
		case !f.user.may(p.node, permRead):
			return syscall.EACCES
		}
		f.disk.saveNames(p.node)
		f.step()
		return nil
	})
	return pathError(OpSyncDir, name, err)
}

// CheckWritable implements [fsys.FS].
func (f *FS) CheckWritable(name string) error {
	err := f.run(Entry{Op: OpCheckWritable, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, follow)
		if err != nil {
			return err
		}
		want := permWrite
		if p.node.isDir() {
			want |= permExec
		}
		return f.user.access(p, want)
	})
	return pathError(OpCheckWritable, name, err)
}

// IsMountPoint implements [fsys.FS].
func (f *FS) IsMountPoint(name string) (bool, error) {
	var is bool
	err := f.run(Entry{Op: OpMountPoint, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, keep)
		if err == nil {
			is = p.node.mountPoint
		}
		return err
	})
	return is && err == nil, pathError(OpMountPoint, name, err)
}

// Place implements [fsys.FS].
func (f *FS) Place(name string) (place fsys.Place, err error) {
	err = f.run(Entry{Op: OpPlace, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, follow)
		if err == nil {
			place = p.mount().place
			place.Links = p.node.links()
		}
		return err
	})
	return place, pathError(OpPlace, name, err)
}

// MountedElsewhere implements [fsys.FS].
func (f *FS) MountedElsewhere(name string) (where string, err error) {
	err = f.run(Entry{Op: OpElsewhere, Name: name}, func(*Entry) error {
		p, err := f.disk.find(f.user, name, follow)
		if err == nil {
			where = p.node.elsewhere
		}
		return err
	})
	return where, pathError(OpElsewhere, name, err)
}
