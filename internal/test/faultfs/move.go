package faultfs

import (
	"fmt"
	"syscall"
)

// Rename implements [fsys.FS]. Like os.Rename it moves nothing over a
// directory.
func (f *FS) Rename(oldname, newname string) error {
	err := f.run(Entry{Op: OpRename, Name: oldname, To: newname}, func(*Entry) error {
		// os.Rename first looks for a directory in the new place.
		if to, err := f.disk.find(f.user, newname, keep); err == nil && to.node.isDir() {
			from, err := f.disk.find(f.user, oldname, keep)
			switch {
			case err != nil:
				return err
			case from.node != to.node || oldname == newname:
				return syscall.EEXIST
			}
		}
		from, to, err := f.walkTwo(oldname, newname)
		if err != nil {
			return err
		}
		if err := movable(from, to); err != nil {
			return err
		}
		switch {
		case from.node == nil:
			return syscall.ENOENT
		case !from.node.isDir() && (from.slash || to.slash):
			return syscall.ENOTDIR
		case from.node == to.node:
			return nil // two names of one file both remain
		case from.node.isDir() && within(to.dir, from.node):
			return syscall.EINVAL
		}
		if err := f.user.mayTake(from); err != nil {
			return err
		}
		if to.node == nil {
			err = f.user.mayAdd(to)
		} else {
			err = f.user.mayTake(to)
		}
		switch {
		case err != nil:
			return err
		case to.node != nil && from.node.isDir():
			return syscall.ENOTDIR
		case from.node.isDir() && from.dir != to.dir && !f.user.may(from.node, permWrite):
			return syscall.EACCES
		case from.node.mountPoint || to.node != nil && to.node.mountPoint:
			return syscall.EBUSY
		}
		f.disk.change(fmt.Sprintf("rename %s to %s", from.name, to.name),
			edit{from.dir, from.name, nil}, edit{to.dir, to.name, from.node})
		f.step()
		return nil
	})
	return linkError(OpRename, oldname, newname, err)
}

// Exchange implements [fsys.FS].
func (f *FS) Exchange(a, b string) error {
	err := f.run(Entry{Op: OpExchange, Name: a, To: b}, func(*Entry) error {
		x, y, err := f.walkTwo(a, b)
		if err != nil {
			return err
		}
		if err := movable(x, y); err != nil {
			return err
		}
		switch {
		case x.node == nil, y.node == nil:
			return syscall.ENOENT
		case !x.node.isDir() && x.slash, !y.node.isDir() && y.slash:
			return syscall.ENOTDIR
		case x.node.isDir() && within(y.dir, x.node), y.node.isDir() && within(x.dir, y.node):
			return syscall.EINVAL
		case x.node == y.node:
			return nil
		}
		for _, p := range []place{x, y} {
			if err := f.user.mayTake(p); err != nil {
				return err
			}
		}
		for _, p := range []place{x, y} {
			if p.node.isDir() && x.dir != y.dir && !f.user.may(p.node, permWrite) {
				return syscall.EACCES
			}
		}
		if x.node.mountPoint || y.node.mountPoint {
			return syscall.EBUSY
		}
		f.disk.change(fmt.Sprintf("exchange %s and %s", x.name, y.name),
			edit{x.dir, x.name, y.node}, edit{y.dir, y.name, x.node})
		f.step()
		return nil
	})
	return linkError(OpExchange, a, b, err)
}

// Link implements [fsys.FS]. As on Linux it links a symlink itself, and
// refuses files that the process may not write.
func (f *FS) Link(oldname, newname string) error {
	err := f.run(Entry{Op: OpLink, Name: oldname, To: newname}, func(*Entry) error {
		from, err := f.disk.find(f.user, oldname, keep)
		if err != nil {
			return err
		}
		to, err := f.disk.walk(f.user, newname, entry)
		switch {
		case err != nil:
			return err
		case to.node != nil:
			return syscall.EEXIST
		case to.slash:
			return syscall.ENOENT
		case to.mount().readOnly:
			return syscall.EROFS
		case from.mount() != to.mount():
			return syscall.EXDEV
		case !f.user.ownerOf(from.node) && (!from.node.mode.IsRegular() || f.user.access(from, permRead|permWrite) != nil):
			return syscall.EPERM
		}
		if err := f.user.mayAdd(to); err != nil {
			return err
		}
		if from.node.immutable || from.node.isDir() {
			return syscall.EPERM
		}
		f.disk.change(fmt.Sprintf("link %s to %s", from.name, to.name), edit{to.dir, to.name, from.node})
		f.step()
		return nil
	})
	return linkError(OpLink, oldname, newname, err)
}

// walkTwo finds the places of the two names of a rename or an exchange.
func (f *FS) walkTwo(a, b string) (x, y place, err error) {
	if x, err = f.disk.walk(f.user, a, entry); err != nil {
		return
	}
	y, err = f.disk.walk(f.user, b, entry)
	return
}

// movable makes the kernel's checks of two places before it looks at
// their nodes.
func movable(x, y place) error {
	switch {
	case x.dir == nil, y.dir == nil:
		return syscall.EBUSY
	case x.dirMount() != y.dirMount():
		return syscall.EXDEV
	case x.dirMount().readOnly:
		return syscall.EROFS
	}
	return nil
}

// within reports whether a directory is n or inside it.
func within(dir, n *node) bool {
	for ; dir != n; dir = dir.parent {
		if dir.parent == dir {
			return false
		}
	}
	return true
}
