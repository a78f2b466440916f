package replace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// An Access says who may use a new file or directory. It belongs to whom it
// serves, which need not be the user of this process: to the owner and group of
// its directory or, if Like is set, of that file.
//
// A group that may write in the directory may use the file. Where the owner
// cannot be given, because this user may not or the file system knows none, so
// may everybody who may write in the directory, and could replace the file
// anyway. A file that then still is closed to the owner of its directory is not
// created.
//
// In a sticky directory, such as /tmp, everybody keeps what is theirs.
type Access struct {
	// Perm are the most permissions that it may have. Those that the umask
	// leaves are enough in a directory of this user and group.
	Perm fs.FileMode
	// Like is a file in the same directory whose owner, group, and permissions
	// the new one gets, whatever the umask, but for those of others to write:
	// our files are replaced, not written to. Nil means none.
	Like fs.FileInfo
	// Secret means that it is not for whom it serves if it cannot belong to
	// them.
	Secret bool
}

// AccessBeside returns the access of a new file that belongs to a config, which
// lies in the same directory or in another one, and which need not exist. An
// empty name means that there is none. It has no more permissions than the
// config.
func AccessBeside(ctx context.Context, disk fsys.FS, name, config string) Access {
	all := Access{Perm: 0o666}
	if config == "" {
		return all
	}
	target, err := Resolve(ctx, disk, config)
	if err != nil {
		return all
	}
	info, err := disk.Lstat(target)
	if err != nil || !info.Mode().IsRegular() {
		return all
	}
	access := Access{Perm: info.Mode().Perm() & all.Perm}
	if dir, err := Resolve(ctx, disk, fsys.Dir(name)); err == nil && dir == fsys.Dir(target) {
		access.Like = info
	}
	return access
}

// open returns the permissions to create the file with.
func (a Access) open() fs.FileMode {
	if a.Like != nil {
		return a.Perm & a.Like.Mode() &^ 0o022
	}
	return a.Perm
}

// IsOpenTo reports whether the owner of the file at served may read the file
// with this info. So may root, and so may everybody where files have no owners.
func IsOpenTo(ctx context.Context, disk fsys.FS, info fs.FileInfo, served string) (to fsys.Owner, open bool) {
	target, err := Resolve(ctx, disk, served)
	if err != nil {
		return to, true
	}
	servedInfo, err := disk.Lstat(target)
	if err != nil {
		return to, true
	}
	owner, ok := disk.Owner(info)
	to, _ = disk.Owner(servedInfo)
	return to, !ok || isOpenTo(to, owner, info.Mode())
}

// isOpenTo reports whether a user may read a file with this owner and mode.
func isOpenTo(to, owner fsys.Owner, mode fs.FileMode) bool {
	return to.UID == 0 || to.UID == owner.UID || mode&0o004 != 0 || mode&0o040 != 0 && to.GID == owner.GID
}

// serves returns the owner of a new file in dir, and whether it serves anybody
// but this user. That is not known where files have no owners.
func (a Access) serves(disk fsys.FS, dir fs.FileInfo) (owner fsys.Owner, others bool) {
	if a.Like != nil {
		return disk.Owner(a.Like)
	}
	owner, ok := disk.Owner(dir)
	if !ok || dir.Mode()&fs.ModeSticky != 0 {
		return owner, false
	}
	self := disk.Self()
	return owner, owner.UID != self.UID || owner.GID != self.GID && isShared(dir, owner) || isForAll(dir)
}

// isShared reports whether a directory is there for its group too.
func isShared(dir fs.FileInfo, owner fsys.Owner) bool {
	return dir.Mode()&(0o020|fs.ModeSetgid) != 0 || owner.UID == 0
}

// isForAll reports whether everybody may write in a directory.
func isForAll(dir fs.FileInfo) bool { return dir.Mode()&0o002 != 0 }

// give lets those use a new file or directory whom it serves. dir is the
// directory that it lies in.
func (a Access) give(disk fsys.FS, file fsys.File, dir fs.FileInfo) error {
	owner, others := a.serves(disk, dir)
	if !others {
		return nil
	}
	n := &newcomer{disk: disk, file: file}
	if err := n.look(); err != nil {
		return err
	}
	var chownErr error
	if n.owner != owner {
		if chownErr = file.Chown(owner.UID, owner.GID); chownErr != nil {
			file.Chown(-1, owner.GID) // a member of the group may
		}
	}
	if err := n.look(); err != nil {
		return err
	}
	mode := n.mode
	switch ofGroup := n.owner.GID == owner.GID; {
	case a.Like != nil:
		mode = mode&^fs.ModePerm | a.open()
		if !ofGroup {
			mode &^= 0o070 // they are meant for another group
		}
	case isForAll(dir) && n.owner.UID == disk.Self().UID:
		mode |= dir.Mode() & 0o077 & a.Perm
	case ofGroup && isShared(dir, owner):
		mode |= dir.Mode() & 0o070 & a.Perm
	}
	if mode != n.mode {
		file.Chmod(mode)
		if err := n.look(); err != nil {
			return err
		}
	}
	if !a.Secret && !isOpenTo(owner, n.owner, n.mode) {
		return &closedError{owner.UID, cmp.Or(chownErr, errors.ErrUnsupported)}
	}
	return nil
}

// A newcomer is a new file, as it is after each step.
type newcomer struct {
	disk fsys.FS
	file fsys.File

	mode  fs.FileMode
	owner fsys.Owner
}

func (n *newcomer) look() error {
	info, err := n.file.Stat()
	if err == nil {
		n.mode = info.Mode()
		n.owner, _ = n.disk.Owner(info)
	}
	return err
}

// A closedError means that a new file would be closed to whom it serves.
type closedError struct {
	uid int
	err error
}

func (e *closedError) Error() string {
	return fmt.Sprintf("it would be closed to user %d, to whom its directory belongs: %v", e.uid, e.err)
}

func (e *closedError) Unwrap() error { return e.err }

// makeDir creates a directory for those whom the one above it serves. If that
// is not this user alone, it gets its name when it is theirs: a process that
// finds it puts files into it at once.
func makeDir(ctx context.Context, disk fsys.FS, dir string) error {
	dir, err := resolveDir(ctx, disk, dir)
	if err != nil {
		return err
	}
	parent, err := disk.Lstat(fsys.Dir(dir))
	if err != nil {
		return err
	}
	access := Access{Perm: fs.ModePerm}
	if _, others := access.serves(disk, parent); !others {
		return disk.Mkdir(dir, access.Perm)
	}
	temp := newTempName(dir)
	if err := disk.Mkdir(temp, access.Perm); err != nil {
		return err
	}
	if err = giveDir(disk, temp, access, parent); err == nil {
		err = disk.Rename(temp, dir)
	}
	if err != nil {
		disk.Remove(temp)
	}
	return err
}

// giveDir is [Access.give] for a new directory. Whoever owns the parent may
// have put another one there, which is not given away.
func giveDir(disk fsys.FS, name string, access Access, parent fs.FileInfo) error {
	dir, err := disk.OpenFile(name, os.O_RDONLY|fsys.Directory|fsys.NoFollow, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	names, err := disk.ReadDir(name)
	if err != nil {
		return err
	}
	if owner, _ := disk.Owner(info); !info.IsDir() || owner.UID != disk.Self().UID || len(names) > 0 {
		return errors.New("another one is there now")
	}
	if err := access.give(disk, dir, parent); err != nil {
		return err
	}
	return dir.Sync()
}
