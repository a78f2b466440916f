//go:build linux

package lab

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts an empty file system in memory with these options and
// returns its directory. "size=32k" makes a disk that fills up,
// "nr_inodes=3" one that runs out of files. It needs root.
func Tmpfs(t testing.TB, opts string) (dir string) {
	t.Helper()
	Need(t, Root)
	dir = newDir(t)
	mount(t, "rollcall-lab", dir, "tmpfs", 0, opts)
	return dir
}

// ReadOnlyMount makes a directory read-only until the end of the test by
// mounting it on itself: writes get EROFS. It needs root. Descriptors
// that are already open for writing still work.
func ReadOnlyMount(t testing.TB, dir string) {
	t.Helper()
	Need(t, Root)
	mount(t, dir, dir, "", unix.MS_BIND, "")
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("lab: remount %s: %v", dir, err)
	}
}

// BindFile mounts a file on itself, as a container gets a single file of
// its host: a rename over it gets EBUSY. It needs root.
func BindFile(t testing.TB, file string) {
	t.Helper()
	Need(t, Root)
	mount(t, file, file, "", unix.MS_BIND, "")
}

// mount mounts until the end of the test. The returned function unmounts
// earlier, even if the mount is in use.
func mount(t testing.TB, source, target, fstype string, flags uintptr, data string) (unmount func()) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("lab: mount %s: %v", target, err)
	}
	return undoAtEnd(t, deed{Kind: mounted, Path: target})
}

// Immutable sets the attribute of a file or directory that stops even
// root from changing it (chattr +i), until the end of the test. It needs
// root and a file system with that attribute.
func Immutable(t testing.TB, path string) {
	t.Helper()
	Need(t, Root)
	undoAtEnd(t, deed{Kind: attrSet, Path: path})
	if err := setImmutable(path, true); err != nil {
		Skip(t, err.Error())
	}
}

func setImmutable(path string, on bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return fmt.Errorf("get attributes of %s: %w", path, err)
	}
	const immutable = 0x10 // FS_IMMUTABLE_FL
	want := flags &^ immutable
	if on {
		want |= immutable
	}
	if want == flags {
		return nil
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(want)); err != nil {
		return fmt.Errorf("set attributes of %s: %w", path, err)
	}
	return nil
}
