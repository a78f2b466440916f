package faultfs

import (
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

const (
	maxName  = 255
	maxPath  = 4095
	maxLinks = 40 // symlinks followed per name
)

// place is where a name leads.
type place struct {
	dir   *node  // the directory of the last element; nil if that is ".", ".." or "/"
	name  string // the last element
	node  *node  // nil if the name is free
	slash bool   // the name ended in a slash, so it must be a directory
}

// lookup says how to treat the last element of a name.
type lookup int

const (
	follow lookup = iota // follow symlinks
	keep                 // follow a symlink only before a slash
	entry                // follow none, and leave a final slash to the caller, which adds or removes the name
	none                 // follow none, and accept none on the way
)

// walk returns the place of a name for a user. Relative names start at
// the root.
func (d *disk) walk(u user, name string, last lookup) (place, error) {
	rest := asLookedUp(name)
	switch {
	case rest == "":
		return place{}, syscall.ENOENT
	case len(rest) > maxPath:
		return place{}, syscall.ENAMETOOLONG
	}
	dir, links := d.root, 0
	dots := "/"
	for {
		rest = strings.TrimLeft(rest, "/")
		if rest == "" {
			return place{name: dots, node: dir}, nil
		}
		name, tail, slash := strings.Cut(rest, "/")
		tail = strings.TrimLeft(tail, "/")
		switch {
		case !dir.isDir():
			return place{}, syscall.ENOTDIR
		case !u.may(dir, permExec):
			return place{}, syscall.EACCES
		case len(name) > maxName:
			return place{}, syscall.ENAMETOOLONG
		case name == "." || name == "..":
			if name == ".." {
				dir = dir.parent
			}
			dots, rest = name, tail
			continue
		}
		next := dir.names[name]
		switch {
		case next == nil && tail == "":
			return place{dir: dir, name: name, slash: slash}, nil
		case next == nil:
			return place{}, syscall.ENOENT
		case next.isSymlink() && last == none && (tail != "" || slash):
			return place{}, syscall.ELOOP
		case next.isSymlink() && (tail != "" || last == follow || slash && last == keep):
			if links++; links > maxLinks {
				return place{}, syscall.ELOOP
			}
			rest = asLookedUp(next.target)
			if strings.HasPrefix(rest, "/") {
				dir = d.root
			}
			if slash {
				rest += "/" + tail
			}
		case tail != "":
			dir = next
			rest = tail
		case slash && !next.isDir() && last != entry:
			return place{}, syscall.ENOTDIR
		default:
			return place{dir: dir, name: name, node: next, slash: slash}, nil
		}
	}
}

// find is walk for a name that has to exist.
func (d *disk) find(u user, name string, last lookup) (place, error) {
	p, err := d.walk(u, name, last)
	if err == nil && p.node == nil {
		err = syscall.ENOENT
	}
	return p, err
}

// findDir is find for a directory.
func (d *disk) findDir(u user, name string) (place, error) {
	p, err := d.find(u, name, follow)
	if err == nil && !p.node.isDir() {
		err = syscall.ENOTDIR
	}
	return p, err
}

// mount returns the root of the mount that contains a place.
func (p place) mount() *node {
	n := p.node
	if n == nil || !n.mountPoint && !n.isDir() {
		n = p.dir
	}
	for !n.mountPoint {
		n = n.parent
	}
	return n
}

// dirMount returns the root of the mount that contains the last element
// of a place, whatever is mounted on that itself.
func (p place) dirMount() *node { return place{node: p.dir}.mount() }

// Abs returns name, which begins with a slash, as an absolute path of the
// system on which the test runs: on Windows that has a drive and backslashes.
// Tests use it for names that the code under test checks; everything else in
// this package takes both forms, and returns names with slashes.
func Abs(name string) string {
	if runtime.GOOS == "windows" && strings.HasPrefix(name, "/") {
		return "C:" + filepath.FromSlash(name)
	}
	return name
}

// Slashed returns a text of the code under test, such as an error, with the
// names in it as tests write them. It undoes [Abs].
func Slashed(text string) string {
	if runtime.GOOS == "windows" {
		return backslashes.ReplaceAllString(text, "/")
	}
	return text
}

// backslashes are those of a Windows path, the first with its drive. In JSON
// each is doubled.
var backslashes = regexp.MustCompile(`(\b[A-Z]:)?\\{1,2}`)

// asLookedUp returns a name as the kernel gets it: Windows resolves ".." by the
// text, before it looks at the disk.
func asLookedUp(name string) string {
	name = slashed(name)
	if runtime.GOOS == "windows" && name != "" {
		return path.Clean(name)
	}
	return name
}

// slashed returns a name with slashes and without a volume, as it is
// looked up.
func slashed(name string) string { return filepath.ToSlash(name[len(filepath.VolumeName(name)):]) }

func baseName(name string) string { return path.Base(slashed(name)) }
