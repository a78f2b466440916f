package replace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// maxLinks is how many symlinks are followed; the kernel has the same limit.
const maxLinks = 40

// ErrForeignLink means that a symlink is not followed because of who owns it.
var ErrForeignLink = errors.New("not followed")

// Resolve follows the symlinks in every part of an absolute path, and returns
// the name, without any, of what it leads to, which need not exist.
//
// A symlink extends the reach of this process to wherever it leads. So one is
// followed only if it belongs to root, to this user, or to the owner of what
// it leads to, who could do the same without us; the error is [ErrForeignLink]
// otherwise. Whoever makes a symlink to nowhere does not own what will be
// there, so that only root and this user may. Where files have no owners, all
// are followed.
func Resolve(ctx context.Context, disk fsys.FS, name string) (string, error) {
	r := resolver{ctx: ctx, disk: disk}
	at, err := r.walk(name)
	if err != nil {
		return "", err
	}
	return at.path, nil
}

// resolveDir is [Resolve] for all parts of a path but the last.
func resolveDir(ctx context.Context, disk fsys.FS, name string) (string, error) {
	dir, err := Resolve(ctx, disk, fsys.Dir(name))
	return fsys.Join(dir, filepath.Base(name)), err
}

type resolver struct {
	ctx   context.Context
	disk  fsys.FS
	links int
}

// A place is what a name leads to.
type place struct {
	path    string
	info    fs.FileInfo // nil if nothing is known of it
	missing bool        // it does not exist
}

// walk returns what a name leads to.
func (r *resolver) walk(name string) (place, error) {
	parent := fsys.Dir(name)
	if parent == name {
		return r.look(name)
	}
	dir, err := r.walk(parent)
	if err != nil && !isUnseen(dir, err) {
		return place{}, err
	}
	base := filepath.Base(name)
	switch path := fsys.Join(dir.path, base); {
	case dir.missing:
		return place{path: path, missing: true}, nil
	case base == ".":
		return dir, nil
	case base == "..":
		return r.look(fsys.Dir(dir.path))
	default:
		at, err := r.look(path)
		if err == nil && at.info != nil && at.info.Mode()&fs.ModeSymlink != 0 && !isMagic(path) {
			return r.follow(dir.path, path)
		}
		return at, err
	}
}

// isUnseen reports whether err means that there is something at a place that
// this process may not look at, though it may pass through: a security module
// can keep it from looking. If it is a symlink, opening the file says so.
func isUnseen(at place, err error) bool { return at.path != "" && errors.Is(err, fs.ErrPermission) }

func (r *resolver) look(path string) (place, error) {
	if err := r.ctx.Err(); err != nil {
		return place{}, err
	}
	info, err := r.disk.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return place{path: path, missing: true}, nil
	}
	return place{path: path, info: info}, err
}

// isMagic reports whether a symlink leads where its text does not say, as those
// of /proc to the root directory of a process.
func isMagic(path string) bool { return strings.HasPrefix(path, "/proc/") }

// follow follows a symlink in a directory.
func (r *resolver) follow(dir, link string) (place, error) {
	if r.links++; r.links >= maxLinks {
		return place{}, fmt.Errorf("more than %d symlinks: %w", maxLinks, error(syscall.ELOOP))
	}
	to, info, err := r.disk.Readlink(link)
	if err != nil {
		return place{}, err
	}
	switch {
	case filepath.IsAbs(to):
	case os.IsPathSeparator(to[0]): // on Windows, from the root of the drive
		to = filepath.VolumeName(link) + to
	default:
		to = fsys.Join(dir, to)
	}
	target, err := r.walk(fsys.Clean(to))
	if err != nil && !isUnseen(target, err) {
		return place{}, err
	}
	owner, ok := r.disk.Owner(info)
	if !ok || owner.UID == 0 || owner.UID == r.disk.Self().UID {
		return target, err
	}
	if target.info == nil {
		return place{}, fmt.Errorf("symlink %s belongs to user %d and leads to nothing: %w", link, owner.UID, ErrForeignLink)
	}
	if its, _ := r.disk.Owner(target.info); its.UID != owner.UID {
		return place{}, fmt.Errorf("symlink %s belongs to user %d, and what it leads to belongs to user %d: %w",
			link, owner.UID, its.UID, ErrForeignLink)
	}
	return target, nil
}

// Owner returns the user ID of the owner of what a name leads to. ok is false
// if there is nothing, or no such owner.
func Owner(ctx context.Context, disk fsys.FS, name string) (uid int, ok bool) {
	target, err := Resolve(ctx, disk, name)
	if err != nil {
		return 0, false
	}
	info, err := disk.Lstat(target)
	if err != nil {
		return 0, false
	}
	owner, ok := disk.Owner(info)
	return owner.UID, ok
}
