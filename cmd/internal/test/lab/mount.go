//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
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
	BindFileOn(t, file, file)
}

// BindFileOn mounts a file on another one, which exists. It needs root.
func BindFileOn(t testing.TB, source, target string) {
	t.Helper()
	Need(t, Root)
	mount(t, source, target, "", unix.MS_BIND, "")
}

// BindDir mounts a directory on another one, which is created, as a container
// gets a directory of its host. It needs root.
func BindDir(t testing.TB, source, target string) {
	t.Helper()
	Need(t, Root)
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatalf("lab: %v", err)
	}
	mount(t, source, target, "", unix.MS_BIND, "")
}

// Container returns the root directory of a container: the files of this
// machine, with a layer of its own on top that takes all changes. It needs root
// and overlay mounts.
func Container(t testing.TB) (root string) {
	t.Helper()
	layer := Tmpfs(t, "")
	for _, name := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(layer, name), 0o755); err != nil {
			t.Fatalf("lab: %v", err)
		}
	}
	root = filepath.Join(layer, "root")
	options := fmt.Sprintf("lowerdir=/,upperdir=%[1]s/upper,workdir=%[1]s/work", layer)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		Skip(t, "mount an overlay: "+err.Error()) // such as in a container
	}
	undoAtEnd(t, deed{Kind: mounted, Path: root})
	for _, name := range []string{"/proc", "/dev"} {
		mount(t, name, filepath.Join(root, name), "", unix.MS_BIND, "")
	}
	return root
}

// InContainer makes the command run with this root directory.
func InContainer(cmd *exec.Cmd, root string) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Chroot = root
	cmd.Dir = "/"
	if cmd.Path == self() {
		cmd.Path = "/proc/self/exe"
	}
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

// InNamespace mounts a file on another one, which exists, in a mount namespace
// of its own, as in a container. The returned function saves there in place. It
// needs root and unshare.
func InNamespace(t testing.TB, source, target string) (save func(text string)) {
	t.Helper()
	Need(t, Root, Tool("unshare"))
	KeepDisks(t)
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c",
		`mount --bind "$1" "$2" && echo && while read -r line; do printf '%s\n' "$line" >"$2" && echo; done`, "sh", source, target)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	await := func() {
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatalf("lab: mount namespace: %v", err)
		}
	}
	await()
	return func(text string) {
		if _, err := fmt.Fprint(in, text); err != nil {
			t.Fatal(err)
		}
		await()
	}
}

// KeepDisks makes other tests wait until the end of this one before they cut the
// power of a disk. A test that makes a mount namespace needs it.
func KeepDisks(t testing.TB) {
	t.Helper()
	t.Cleanup(lockMounts(t, unix.LOCK_EX))
}

// lockMounts takes a lock that all tests of this machine share: a new mount
// namespace begins with a copy of all mounts, and a disk whose power is cut
// meanwhile would stay mounted there, in the state of a cut.
func lockMounts(t testing.TB, how int) (unlock func()) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "rollcall-lab.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		for err = unix.EINTR; err == unix.EINTR; { // a signal, such as those of the runtime
			err = unix.Flock(int(file.Fd()), how)
		}
	}
	if err != nil {
		t.Fatalf("lab: lock the mounts: %v", err)
	}
	return func() { file.Close() }
}
