package fsys_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// nobody runs the rest of the calling test in a process without rights, in
// which it returns false; the caller returns if it gets true. That process gets
// the directory that the test has prepared as root.
func nobody(t *testing.T, prepare func(dir string)) (dir string, isParent bool) {
	const env = "ROLLCALL_TEST_AS_NOBODY"
	if dir := os.Getenv(env); dir != "" {
		return dir, false
	}
	needRoot(t)
	dir, err := os.MkdirTemp("", "rollcall-fsys-") // unlike that of t.TempDir, all users can enter it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	prepare(dir)
	// Other users cannot enter the directory of the test binary; this link
	// leads past it.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), env+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return "", true
}

// mount mounts until the end of the test.
func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, fstype, flags, data); err != nil {
		skip(t, "mount: "+err.Error())
	}
	t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
}

// chattr sets an attribute (+i, +a) until the end of the test.
func chattr(t *testing.T, attr, name string) {
	t.Helper()
	if out, err := exec.Command("chattr", attr, name).CombinedOutput(); err != nil {
		skip(t, "chattr "+attr+": "+err.Error()+": "+string(out))
	}
	t.Cleanup(func() { exec.Command("chattr", "-"+attr[1:], name).Run() })
}

// mustAgree checks that CheckWritable returns the errno, and that a real
// attempt to write does too.
func mustAgree(t *testing.T, name string, want syscall.Errno) {
	t.Helper()
	err := fsys.OS{}.CheckWritable(name)
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) || !errors.Is(err, want) {
		t.Errorf("CheckWritable %s: got %#v, want a *fs.PathError of %v", name, err, want)
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		_, err = os.Create(filepath.Join(name, "new"))
		if !errors.Is(err, want) {
			t.Errorf("create in %s: got %v, want %v", name, err, want)
		}
		return
	}
	if f, err := os.OpenFile(name, os.O_WRONLY, 0); !errors.Is(err, want) {
		t.Errorf("open %s for writing: got %v, want %v", name, err, want)
		f.Close()
	}
}

func TestCheckWritableAsNobody(t *testing.T) {
	dir, isParent := nobody(t, func(dir string) {
		writeFile(t, filepath.Join(dir, "roots"), "", 0o644)
		if err := os.Mkdir(filepath.Join(dir, "closed"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "nosearch"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "nosearch"), 0o776); err != nil {
			t.Fatal(err)
		}
	})
	if isParent {
		return
	}
	mustAgree(t, filepath.Join(dir, "roots"), syscall.EACCES)
	mustAgree(t, filepath.Join(dir, "closed"), syscall.EACCES)
	mustAgree(t, filepath.Join(dir, "nosearch"), syscall.EACCES)
	own := filepath.Join(dir, "own")
	writeFile(t, own, "", 0o444)
	mustAgree(t, own, syscall.EACCES)
	if err := os.Chmod(own, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (fsys.OS{}).CheckWritable(own); err != nil {
		t.Error(err)
	}
}

func TestCheckWritableOfAttributes(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	immutable, appendOnly, closed := filepath.Join(dir, "immutable"), filepath.Join(dir, "append"), filepath.Join(dir, "dir")
	writeFile(t, immutable, "", 0o600)
	writeFile(t, appendOnly, "", 0o600)
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	chattr(t, "+i", immutable)
	chattr(t, "+a", appendOnly)
	chattr(t, "+i", closed)
	mustAgree(t, immutable, syscall.EPERM)
	mustAgree(t, appendOnly, syscall.EPERM)
	mustAgree(t, closed, syscall.EPERM)
}

func TestCheckWritableOfReadOnlyMount(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	writeFile(t, name, "", 0o600)
	mount(t, dir, dir, "", syscall.MS_BIND, "")
	mount(t, "", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
	mustAgree(t, name, syscall.EROFS)
	mustAgree(t, dir, syscall.EROFS)
}

func TestIsMountPoint(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file, target, link := filepath.Join(dir, "file"), filepath.Join(dir, "target"), filepath.Join(dir, "link")
	writeFile(t, file, "", 0o600)
	writeFile(t, target, "", 0o600)
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	mount(t, file, target, "", syscall.MS_BIND, "")
	for name, want := range map[string]bool{file: false, target: true, dir: false, link: false, "/": true, "/proc": true} {
		if got, err := (fsys.OS{}).IsMountPoint(name); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	if err := os.Rename(file, target); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("rename over the mount: got %v, want EBUSY", err)
	}
	if _, err := (fsys.OS{}).IsMountPoint(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist", err)
	}
}

const (
	accessList  = "system.posix_acl_access"
	defaultList = "system.posix_acl_default"
)

// acl returns the kernel's form of the list user::rw-, user:12345:r--,
// group::r--, mask::mask, other::---.
func acl(mask uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, 1<<32 - 1}, {2, 4, 12345}, {4, 4, 1<<32 - 1}, {0x10, mask, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

func setxattr(t *testing.T, name, attr string, value []byte) {
	t.Helper()
	if err := syscall.Setxattr(name, attr, value, 0); err != nil {
		skip(t, "setxattr "+attr+": "+err.Error())
	}
}

func xattrs(t *testing.T, name string) map[string]string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := syscall.Listxattr(name, buf)
	if err != nil {
		t.Fatal(err)
	}
	attrs := make(map[string]string)
	for attr := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if attr == "" {
			continue
		}
		n, err := syscall.Getxattr(name, attr, buf)
		if err != nil {
			t.Fatal(err)
		}
		attrs[attr] = string(buf[:n])
	}
	return attrs
}

// mustKeep copies the attributes of the file src to a new one in the same
// directory, and compares.
func mustKeep(t *testing.T, src string) {
	t.Helper()
	dst := src + ".new"
	f := open(t, dst, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err := f.CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
		t.Fatal(err)
	}
	want, errWant := os.Stat(src)
	got, errGot := os.Stat(dst)
	if errWant != nil || errGot != nil {
		t.Fatal(errWant, errGot)
	}
	if got.Mode() != want.Mode() {
		t.Errorf("mode: got %v, want %v", got.Mode(), want.Mode())
	}
	wantX, gotX := xattrs(t, src), xattrs(t, dst)
	if len(gotX) != len(wantX) {
		t.Errorf("got %d extended attributes, want %d: %q, %q", len(gotX), len(wantX), gotX, wantX)
	}
	for attr, value := range wantX {
		if gotX[attr] != value {
			t.Errorf("%s: got %q, want %q", attr, gotX[attr], value)
		}
	}
}

func TestCopyAttributesOfExtendedAttributes(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	writeFile(t, src, "", 0o640)
	setxattr(t, src, "user.empty", nil)
	setxattr(t, src, "user.long", bytes.Repeat([]byte("x"), 1000))
	for _, c := range "abcdefghijklmnopqrst" { // so that the list of names is long too
		setxattr(t, src, "user.a_name_that_is_long_enough_"+string(c), []byte{byte(c)})
	}
	mustKeep(t, src)
}

func TestCopyAttributesOfPrivilegedExtendedAttributes(t *testing.T) {
	needRoot(t)
	src := filepath.Join(t.TempDir(), "src")
	writeFile(t, src, "", 0o640)
	setxattr(t, src, "trusted.rollcall", []byte("t"))
	setxattr(t, src, "security.rollcall", []byte("s"))
	if err := os.Chown(src, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	mustKeep(t, src)
}

func TestCopyAttributesOfAccessList(t *testing.T) {
	t.Run("kept", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "src")
		writeFile(t, src, "", 0o600)
		setxattr(t, src, accessList, acl(6))
		mustKeep(t, src)
	})
	t.Run("replaces the directory's", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "src")
		writeFile(t, src, "", 0o600)
		setxattr(t, filepath.Dir(src), defaultList, acl(4))
		setxattr(t, src, accessList, acl(6))
		mustKeep(t, src)
	})
	t.Run("none, though a new file inherits one", func(t *testing.T) {
		src := filepath.Join(t.TempDir(), "src")
		writeFile(t, src, "", 0o640)
		setxattr(t, filepath.Dir(src), defaultList, acl(6))
		mustKeep(t, src)
	})
}

func TestCopyAttributesAsNobody(t *testing.T) {
	dir, isParent := nobody(t, func(dir string) {
		writeFile(t, filepath.Join(dir, "roots"), "", 0o644)
		writeFile(t, filepath.Join(dir, "capable"), "", 0o644)
		if err := os.Chown(filepath.Join(dir, "capable"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		setxattr(t, filepath.Join(dir, "capable"), "security.rollcall", []byte("s"))
	})
	if isParent {
		return
	}
	src := filepath.Join(dir, "src")
	writeFile(t, src, "", 0o600)
	setxattr(t, src, "user.name", []byte("value"))
	setxattr(t, src, accessList, acl(4))
	if err := os.Chmod(src, 0o444); err != nil { // removes the right to set user attributes
		t.Fatal(err)
	}
	mustKeep(t, src)

	for _, name := range []string{"roots", "capable"} {
		name = filepath.Join(dir, name)
		f := open(t, name+".new", os.O_RDWR|os.O_CREATE)
		if err := f.CopyAttributes(open(t, name, os.O_RDONLY)); !errors.Is(err, syscall.EPERM) {
			t.Errorf("%s, which cannot be kept: got %v, want EPERM", name, err)
		}
	}
}

func TestHasWriters(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	writeFile(t, name, "content", 0o600)
	f := open(t, name, os.O_RDONLY)
	check := func(state string, want bool) {
		t.Helper()
		if got, err := f.HasWriters(); got != want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", state, got, err, want)
		}
	}
	check("alone", false)
	reader := open(t, name, os.O_RDONLY)
	check("another reader", false)
	reader.Close()
	writer := open(t, name, os.O_WRONLY)
	check("a writer", true)
	writer.Close()
	check("a writer that closed", false)

	both := open(t, name, os.O_RDWR)
	osFile, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	both.Close()
	m, err := syscall.Mmap(int(osFile.Fd()), 0, 7, syscall.PROT_WRITE, syscall.MAP_SHARED)
	osFile.Close()
	if err != nil {
		t.Fatal(err)
	}
	check("mapped for writing", true)
	syscall.Munmap(m)
	check("unmapped", false)

	cmd := exec.Command("sh", "-c", "exec 3>>"+name+"; echo; read line")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.Read(make([]byte, 1))
	check("another process", true)
	in.Close()
	cmd.Wait()
	check("that ended", false)
}

// readOnce reads a small file by one system call. [os.ReadFile] needs two, and
// so returns the beginning of one content and the end of another if a program
// writes between them.
func readOnce(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 512)
	n, err := f.Read(b)
	if err == io.EOF {
		err = nil
	}
	return string(b[:n]), err
}

// TestAmend changes a file that others open all the time. What one of them
// writes is never mixed with the change, and none fails to open it.
func TestAmend(t *testing.T) {
	const old, changed, theirs = "old content", "new content", "something else entirely"
	name := filepath.Join(t.TempDir(), "file")
	writeFile(t, name, old, 0o600)
	var stop atomic.Bool
	done := make(chan error, 2)
	opener := func(use func() error) {
		var err error
		for !stop.Load() && err == nil {
			if err = use(); err == nil {
				time.Sleep(50 * time.Microsecond)
			}
		}
		done <- err
	}
	go opener(func() error {
		return errors.Join(os.WriteFile(name, []byte(theirs), 0o600), os.WriteFile(name, []byte(old), 0o600))
	})
	go opener(func() error { _, err := os.ReadFile(name); return err })
	counts := make(map[error]int)
	for range 3000 {
		f := open(t, name, os.O_RDWR)
		err := f.Amend([]byte(old), []byte("new"), 0)
		f.Close()
		switch {
		case errors.Is(err, fsys.ErrInUse):
			err = fsys.ErrInUse
		case errors.Is(err, fsys.ErrDiffers):
			err = fsys.ErrDiffers
		case err != nil:
			t.Fatal(err)
		}
		counts[err]++
		if now, err := readOnce(name); err != nil || !slices.Contains([]string{"", old, changed, theirs}, now) {
			t.Fatalf("got %q, %v", now, err)
		}
	}
	stop.Store(true)
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("another program could not write: %v", err)
		}
	}
	t.Logf("changed, in use, other content: %d, %d, %d", counts[nil], counts[fsys.ErrInUse], counts[fsys.ErrDiffers])
}

// TestHasWritersDisturbsNobody lets a process open the file for writing all the
// time. None of its attempts may fail, whether it waits or not, and it may get
// no SIGIO.
func TestHasWritersDisturbsNobody(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	writeFile(t, name, "", 0o600)
	f := open(t, name, os.O_RDONLY)

	signals := make(chan os.Signal, 1000)
	signal.Notify(signals, syscall.SIGIO, syscall.SIGURG)
	defer signal.Stop(signals)

	var stop atomic.Bool
	done := make(chan error, 2)
	opener := func(open func() (interface{ Close() error }, error)) {
		var err error
		for !stop.Load() && err == nil {
			var w interface{ Close() error }
			if w, err = open(); err == nil {
				w.Close()
				for range 100 {
					runtime.Gosched()
				}
			}
		}
		done <- err
	}
	go opener(func() (interface{ Close() error }, error) { return os.OpenFile(name, os.O_WRONLY, 0) })
	go opener(func() (interface{ Close() error }, error) { return fsys.OS{}.OpenFile(name, os.O_WRONLY, 0) })
	var with, without int
	for range 5000 {
		has, err := f.HasWriters()
		if err != nil {
			t.Fatal(err)
		}
		if has {
			with++
		} else {
			without++
		}
	}
	stop.Store(true)
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("a writer could not open the file: %v", err)
		}
	}
	signal.Stop(signals)
	close(signals)
	var got []os.Signal
	for s := range signals {
		got = append(got, s)
	}
	if slices.Contains(got, os.Signal(syscall.SIGIO)) {
		t.Error("got SIGIO, want none")
	}
	t.Logf("%d times with writers, %d without, %d SIGURG", with, without, len(got))
}

func TestLockDirOfAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("flock", "-x", dir, "sh", "-c", "echo; read line")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		skip(t, err.Error())
	}
	out.Read(make([]byte, 1))
	if _, err := (fsys.OS{}).LockDir(dir); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	in.Close()
	cmd.Wait()
	unlock, err := fsys.OS{}.LockDir(dir)
	if err != nil {
		t.Fatalf("after the holder has ended: %v", err)
	}
	unlock()
}

// TestNoFollow follows no symlink in any part of a name.
func TestNoFollow(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	name := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	writeFile(t, name("file"), "", 0o600)
	for link, to := range map[string]string{"link": "file", "linked": "."} {
		if err := os.Symlink(to, name(link)); err != nil {
			t.Fatal(err)
		}
	}
	fd := fmt.Sprintf("/proc/self/fd/%d", open(t, dir, os.O_RDONLY).(interface{ Fd() uintptr }).Fd())
	for path, want := range map[string]error{
		name("file"):              nil,
		name("link"):              syscall.ELOOP,
		name("linked", "file"):    syscall.ELOOP,
		name("linked", "new"):     syscall.ELOOP,
		filepath.Join(fd, "file"): nil, // a link whose text does not say where it leads
		filepath.Join(fd, "link"): syscall.ELOOP,
	} {
		f, err := fsys.OS{}.OpenFile(path, os.O_RDWR|fsys.NoFollow, 0)
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
		if err == nil {
			f.Close()
		}
	}
	if _, err := os.Lstat(name("new")); err == nil {
		t.Error("a file was created")
	}
}
