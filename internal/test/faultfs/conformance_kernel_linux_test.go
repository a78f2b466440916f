package faultfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// kernel sets up the real file system.
type kernel struct {
	missing error // what this machine cannot do
}

func (k *kernel) lacks(what string, err error) error {
	if err != nil && k.missing == nil {
		k.missing = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

func (k *kernel) Symlink(target, name string) error { return os.Symlink(target, name) }

func (k *kernel) Mknod(name string, mode fs.FileMode) error {
	bits, dev := uint32(mode.Perm()), 0
	switch {
	case mode&fs.ModeNamedPipe != 0:
		bits |= syscall.S_IFIFO
	case mode&fs.ModeSocket != 0:
		bits |= syscall.S_IFSOCK
	default:
		bits |= syscall.S_IFCHR
		dev = 1<<8 | 3 // /dev/null
	}
	if err := syscall.Mknod(name, bits, dev); err != nil {
		return k.lacks("mknod", err)
	}
	return os.Chmod(name, mode.Perm())
}

func (k *kernel) Chmod(name string, mode fs.FileMode) error { return os.Chmod(name, mode) }
func (k *kernel) Chown(name string, uid, gid int) error     { return os.Chown(name, uid, gid) }

func (k *kernel) SetXattr(name, attr, value string) error {
	return k.lacks("setxattr", syscall.Setxattr(name, attr, []byte(value), 0))
}

func (k *kernel) Owner(name string) (uid, gid int, err error) {
	info, err := os.Lstat(name)
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.New("no owner")
	}
	return int(st.Uid), int(st.Gid), nil
}

func (k *kernel) Xattrs(name string) (map[string]string, error) {
	buf := make([]byte, 4096)
	n, err := syscall.Listxattr(name, buf)
	if err != nil {
		return nil, err
	}
	attrs := make(map[string]string)
	for attr := range bytes.SplitSeq(buf[:n], []byte{0}) {
		if len(attr) == 0 || strings.HasPrefix(string(attr), "security.") {
			continue
		}
		value := make([]byte, 4096)
		n, err := syscall.Getxattr(name, string(attr), value)
		if err != nil {
			return nil, err
		}
		attrs[string(attr)] = string(value[:n])
	}
	return attrs, nil
}

func (k *kernel) MountPoint(name string) error {
	return k.lacks("bind mount", syscall.Mount(name, name, "", syscall.MS_BIND, ""))
}

// ReadOnly makes the directory a file system of its own with a read-only
// superblock, as the file system in memory does, and keeps its contents.
func (k *kernel) ReadOnly(name string) error {
	info, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("not a directory")
	}
	aside := name + ".aside"
	err = errors.Join(
		os.Rename(name, aside), os.Mkdir(name, info.Mode().Perm()),
		k.lacks("mount", syscall.Mount("ro", name, "tmpfs", 0, fmt.Sprintf("mode=%o", info.Mode().Perm()))))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(aside)
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := aside+"/"+e.Name(), name+"/"+e.Name()
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			err = os.Mkdir(to, mode.Perm())
		case mode.IsRegular():
			var data []byte
			if data, err = os.ReadFile(from); err == nil {
				err = errors.Join(os.WriteFile(to, data, mode.Perm()), os.Chmod(to, mode.Perm()))
			}
		default:
			err = k.Mknod(to, mode)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(aside), syscall.Mount("", name, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

func (k *kernel) Immutable(name string, yes bool) error {
	const (
		getFlags  = 0x80086601 // FS_IOC_GETFLAGS
		setFlags  = 0x40086602 // FS_IOC_SETFLAGS
		immutable = 0x10       // FS_IMMUTABLE_FL
	)
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var flags int
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return k.lacks("chattr", errno)
	}
	flags &^= immutable
	if yes {
		flags |= immutable
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), setFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return k.lacks("chattr", errno)
	}
	return nil
}

// As makes this thread another user while do runs. The saved user remains
// root.
func (k *kernel) As(uid, gid int, do func()) error {
	const keep = ^uintptr(0)
	become := func(uid, gid uintptr) error {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, gid, gid, keep); errno != 0 {
			return errno
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uid, uid, keep); errno != 0 {
			return errno
		}
		return nil
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return k.lacks("setgroups", errno)
	}
	if err := become(uintptr(uid), uintptr(gid)); err != nil {
		return k.lacks("setresuid", err)
	}
	do()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, 0, 0, keep); errno != 0 {
		panic(errno)
	}
	return become(0, 0)
}
