//go:build linux

package lab

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Tmpfs mounts an empty file system in memory with these options, such as "size=32k" for a disk that fills up or
// "nr_inodes=3" for one that runs out of files, and gives its folder. It needs root.
func Tmpfs(t testing.TB, opts string) (dir string) {
	t.Helper()
	Need(t, Root)
	dir = newFolder(t)
	mount(t, "rollcall-lab", dir, "tmpfs", 0, opts)
	return dir
}

// ReadOnlyMount makes a folder read-only where it is until the end of the test, by a mount on itself: what writes to it
// gets EROFS. It needs root. Descriptors that were open for writing before can still write.
func ReadOnlyMount(t testing.TB, dir string) {
	t.Helper()
	Need(t, Root)
	mount(t, dir, dir, "", unix.MS_BIND, "")
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("lab: remount %s: %v", dir, err)
	}
}

// BindFile mounts a file on itself, as a container gets a single file of its host: rename over it gives EBUSY. It needs
// root.
func BindFile(t testing.TB, file string) {
	t.Helper()
	Need(t, Root)
	mount(t, file, file, "", unix.MS_BIND, "")
}

// mount mounts until the end of the test. The function that it gives unmounts earlier, even when the mount is in use.
func mount(t testing.TB, source, target, fstype string, flags uintptr, data string) (unmount func()) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("lab: mount %s: %v", target, err)
	}
	return undoAtEnd(t, deed{Kind: mounted, Path: target})
}

// Immutable gives a file or folder the attribute that stops even root from changing it (chattr +i) until the end of the
// test. It needs root and a file system that has the attribute.
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
