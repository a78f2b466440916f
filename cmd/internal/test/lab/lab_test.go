//go:build linux

package lab_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

func TestMain(m *testing.M) {
	lab.Register("echo", func() {
		fmt.Println(strings.Join(os.Args[1:], " "), os.Getenv("GREETING"), os.Getuid(), os.Getgid())
	})
	lab.Register("read", func() {
		if _, err := os.ReadFile(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	})
	lab.Main(m)
}

// soon bounds what does not hang, and quiet is how long a test watches
// what should hang.
const (
	soon  = 2 * time.Minute
	quiet = 30 * time.Millisecond
)

func run(fn func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	return done
}

func mustHang(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Errorf("returned %v, want it to hang", err)
	case <-time.After(quiet):
	}
}

func mustReturn(t *testing.T, done <-chan error, want error) {
	t.Helper()
	select {
	case err := <-done:
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	case <-time.After(soon):
		t.Fatal("hangs")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// mountsAt returns the mounts below a path.
func mountsAt(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(read(t, "/proc/self/mounts")) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[1], path) {
			found = append(found, line)
		}
	}
	return found
}

// processesWith returns the processes that have a string in their command
// line.
func processesWith(t *testing.T, s string) []string {
	t.Helper()
	var found []string
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(s)) {
			found = append(found, path+": "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", soon, what)
		}
	}
}

func TestCommand(t *testing.T) {
	cmd := lab.Command(t, "echo", "a", "b c")
	cmd.Env = append(cmd.Env, "GREETING=hello")
	out, err := cmd.Output()
	want := fmt.Sprintf("a b c hello %d %d\n", os.Getuid(), os.Getgid())
	if string(out) != want || err != nil {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	err = lab.Command(t, "read", "/nonexistent").Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("exit status: got %v, want 1", err)
	}
}

func TestCommandEndsWithTheTest(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var cmd *exec.Cmd
	t.Run("test", func(t *testing.T) {
		cmd = lab.Command(t, "read", fifo) // hangs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	})
	mustReturn(t, run(func() error {
		if err := cmd.Wait(); err == nil {
			return errors.New("ended by itself")
		}
		return nil
	}), nil)
}

func TestAsUser(t *testing.T) {
	lab.Need(t, lab.Root)
	cmd := lab.Command(t, "echo")
	lab.AsUser(cmd, 12345)
	if out, err := cmd.Output(); string(out) != "  12345 12345\n" || err != nil {
		t.Errorf("got %q, %v, want the user", out, err)
	}
}

// recorder is a test that records what happened to it.
type recorder struct {
	testing.TB
	cleanups      []func()
	errors, fatal string
	skipped       bool
}

func (r *recorder) Helper()           {}
func (r *recorder) Name() string      { return "recorded" }
func (r *recorder) Cleanup(fn func()) { r.cleanups = append(r.cleanups, fn) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors += fmt.Sprintf(format, args...)
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal += fmt.Sprintf(format, args...)
	panic(r)
}
func (r *recorder) Skip(args ...any) {
	r.skipped = true
	panic(r)
}

// run runs a test that may end early.
func (r *recorder) run(fn func()) {
	defer func() {
		if v := recover(); v != nil && v != any(r) {
			panic(v)
		}
	}()
	fn()
}

func TestNeed(t *testing.T) {
	missing := func() error { return errors.New("no such thing") }
	t.Setenv("ROLLCALL_REQUIRE_ALL", "")
	defer flag.Set("test.short", fmt.Sprint(testing.Short()))
	flag.Set("test.short", "false")
	out, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func(stderr *os.File) { os.Stderr = stderr; out.Close() }(os.Stderr)
	os.Stderr = out
	var r recorder
	r.run(func() { lab.Need(&r, func() error { return nil }) })
	if r.skipped || r.fatal != "" {
		t.Errorf("skipped though nothing is missing: %+v", r)
	}
	r.run(func() { lab.Need(&r, missing) })
	if !r.skipped || r.fatal != "" {
		t.Errorf("got %+v, want it skipped", r)
	}
	if got, want := read(t, out.Name()), "SKIPPED recorded: no such thing\n"; got != want {
		t.Errorf("on standard error: got %q, want %q", got, want)
	}
	t.Setenv("ROLLCALL_REQUIRE_ALL", "1")
	r = recorder{}
	r.run(func() { lab.Need(&r, missing) })
	if r.skipped || !strings.Contains(r.fatal, "no such thing") {
		t.Errorf("with ROLLCALL_REQUIRE_ALL: got %+v, want it failed", r)
	}
	flag.Set("test.short", "true")
	r = recorder{}
	r.run(func() { lab.Need(&r, func() error { return nil }) })
	if r.skipped {
		t.Errorf("with -short and ROLLCALL_REQUIRE_ALL: got %+v, want it run", r)
	}
	t.Setenv("ROLLCALL_REQUIRE_ALL", "")
	r.run(func() { lab.Need(&r, func() error { return nil }) })
	if !r.skipped {
		t.Errorf("with -short: got %+v, want it skipped", r)
	}
}

func TestNoLeaks(t *testing.T) {
	for _, tt := range []struct {
		what string
		leak func() (end func())
		want []string
	}{
		{"nothing", func() func() { return func() {} }, nil},
		{"what ends in time", func() func() { go time.Sleep(50 * time.Millisecond); return func() {} }, nil},
		{"a goroutine and a descriptor", func() func() {
			f, err := os.Open("/dev/zero")
			if err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			go func() { <-stop }()
			return func() { close(stop); f.Close() }
		}, []string{"TestNoLeaks.func", "/dev/zero"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			if tt.want != nil && testing.Short() {
				t.Skip("-short does not wait for leaks")
			}
			var r recorder
			lab.NoLeaks(&r)
			end := tt.leak()
			r.cleanups[0]()
			end()
			if tt.want == nil && r.errors != "" {
				t.Errorf("got %q, want no error", r.errors)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.errors, want) {
					t.Errorf("got %q, want it to contain %q", r.errors, want)
				}
			}
		})
	}
}

func TestTmpfs(t *testing.T) {
	small := lab.Tmpfs(t, "size=32k")
	if err := os.WriteFile(filepath.Join(small, "file"), make([]byte, 64<<10), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a large file: got %v, want ENOSPC", err)
	}
	few := lab.Tmpfs(t, "nr_inodes=3")
	var err error
	for i := range 3 {
		err = errors.Join(err, os.WriteFile(filepath.Join(few, fmt.Sprint(i)), nil, 0o600))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("many files: got %v, want ENOSPC", err)
	}
}

func TestReadOnlyMount(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "content")
	t.Run("mounted", func(t *testing.T) {
		lab.ReadOnlyMount(t, dir)
		if _, err := os.OpenFile(filepath.Join(dir, "file"), os.O_WRONLY, 0); !errors.Is(err, unix.EROFS) {
			t.Errorf("got %v, want EROFS", err)
		}
		if got := read(t, filepath.Join(dir, "file")); got != "content" {
			t.Errorf("got %q, want the content", got)
		}
	})
	write(t, filepath.Join(dir, "file"), "it is over")
}

func TestBindFile(t *testing.T) {
	lab.Need(t, lab.Root)
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "old")
	t.Run("mounted", func(t *testing.T) {
		lab.BindFile(t, file)
		write(t, file+".new", "new")
		if err := os.Rename(file+".new", file); !errors.Is(err, unix.EBUSY) {
			t.Errorf("got %v, want EBUSY", err)
		}
	})
	if err := os.Rename(file+".new", file); err != nil {
		t.Error(err)
	}
}

func TestImmutable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	t.Run("set", func(t *testing.T) {
		lab.Immutable(t, file)
		if err := os.WriteFile(file, nil, 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("got %v, want EPERM", err)
		}
	})
	write(t, file, "it is over")
}

func TestLoopImage(t *testing.T) {
	for _, fstype := range []string{"ext4", "xfs"} {
		t.Run(fstype, func(t *testing.T) {
			lab.Need(t, lab.Root, lab.LoopDevices, lab.Tool("mkfs."+fstype))
			lab.NoLeaks(t)
			m := lab.LoopImage(t, fstype)
			kept, lost := filepath.Join(m.Dir, "kept"), filepath.Join(m.Dir, "lost")

			t.Run("cut", func(t *testing.T) {
				write(t, kept, "content")
				syncPath(t, kept)
				syncPath(t, m.Dir)
				write(t, lost, "content")
				m.Cut()
				if got := read(t, kept); got != "content" {
					t.Errorf("what was synced: got %q, want the content", got)
				}
				if b, err := os.ReadFile(lost); len(b) > 0 {
					t.Errorf("what was not synced: got %q, %v, want it lost", b, err)
				}
			})
			t.Run("unmount", func(t *testing.T) {
				write(t, lost, "content")
				m.Unmount()
				if exists(kept) {
					t.Error("still mounted")
				}
				m.Mount()
				if got := read(t, lost); got != "content" {
					t.Errorf("got %q, want the content", got)
				}
			})
			t.Run("freeze", func(t *testing.T) {
				m.Freeze()
				done := run(func() error { return os.WriteFile(kept, []byte("late"), 0o600) })
				mustHang(t, done)
				if got := read(t, lost); got != "content" {
					t.Errorf("reading while frozen: got %q, want the content", got)
				}
				m.Thaw()
				mustReturn(t, done, nil)
				if got := read(t, kept); got != "late" {
					t.Errorf("got %q, want what was written late", got)
				}
			})
		})
	}
	t.Run("frozen at the end", func(t *testing.T) {
		lab.LoopImage(t, "ext4").Freeze()
	})
}

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// A disk fails one fsync; the next fsync reports success.
func TestLoopImageOn(t *testing.T) {
	d := lab.FUSE(t)
	m := lab.LoopImageOn(t, d, "ext4")
	f, err := os.Create(filepath.Join(m.Dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
		t.Fatal(err)
	}
	d.Fail(lab.Write, "ext4-image", unix.EIO, 1)
	if err := f.Sync(); !errors.Is(err, unix.EIO) {
		t.Errorf("first fsync: got %v, want EIO", err)
	}
	if err := f.Sync(); err != nil {
		t.Errorf("second fsync: got %v, want nil", err)
	}
}

// A new test process finds what one left whose janitor died too.
func TestSweep(t *testing.T) {
	lab.Need(t, lab.Root)
	tmp := t.TempDir()
	left, fresh, locked := filepath.Join(tmp, "rollcall-lab-1"), filepath.Join(tmp, "rollcall-lab-2"), filepath.Join(tmp, "rollcall-lab-3")
	for _, dir := range []string{left, fresh, locked} {
		if err := os.MkdirAll(filepath.Join(dir, "1/mount"), 0o755); err != nil {
			t.Fatal(err)
		}
		if dir != fresh {
			old := time.Now().Add(-time.Hour)
			if err := os.Chtimes(dir, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{left, locked} {
		if err := unix.Mount("none", filepath.Join(dir, "1/mount"), "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(filepath.Join(dir, "1/mount"), unix.MNT_DETACH) })
	}
	unlock, err := fsys.OS{}.LockDir(locked)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if exists(left) || len(mountsAt(t, left)) > 0 {
		t.Error("what was left is still there")
	}
	if !exists(fresh) || !exists(locked) || len(mountsAt(t, locked)) != 1 {
		t.Error("what is in use is gone")
	}
}

// Test processes die in several ways with everything set up, and leave
// nothing behind.
func TestJanitor(t *testing.T) {
	lab.Need(t, lab.Root, lab.FUSEDevice, lab.LoopDevices, lab.Tool("mkfs.ext4"))
	const env = "LAB_TEST_DEATH"
	if death := os.Getenv(env); death != "" {
		die(t, death)
	}
	for _, death := range []string{"panic", "kill", "kill while frozen", "exit"} {
		t.Run(death, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestJanitor$")
			cmd.Env = append(os.Environ(), env+"="+death, "TMPDIR="+tmp)
			out, err := cmd.CombinedOutput() // returns when the janitor has exited, which shares the standard error
			if err == nil || !bytes.Contains(out, []byte("all is set up")) {
				t.Fatalf("got %v, want it to die\n%s", err, out)
			}
			eventually(t, "no mounts are left", func() bool { return len(mountsAt(t, tmp)) == 0 })
			eventually(t, "no processes are left", func() bool { return len(processesWith(t, tmp)) == 0 })
			eventually(t, "no loop devices are left", func() bool {
				paths, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
				return !slices.ContainsFunc(paths, func(path string) bool {
					b, _ := os.ReadFile(path)
					return bytes.HasPrefix(b, []byte(tmp))
				})
			})
			left, err := filepath.Glob(filepath.Join(tmp, "rollcall-lab-*/*"))
			if len(left) > 0 || err != nil {
				t.Errorf("files are left: %q, %v\n%s", left, err, out)
			}
		})
	}
}

func die(t *testing.T, death string) {
	d := lab.FUSE(t)
	lab.Tmpfs(t, "size=1m")
	m := lab.LoopImage(t, "ext4")
	lab.LoopImageOn(t, d, "ext4")
	immutable := filepath.Join(t.TempDir(), "file")
	write(t, immutable, "")
	lab.Immutable(t, immutable)
	lab.ReadOnlyMount(t, t.TempDir())
	m.Freeze()
	go os.WriteFile(filepath.Join(m.Dir, "hangs"), nil, 0o600)
	fault := d.Hang(lab.Lookup, "hangs", lab.Always)
	go os.Stat(filepath.Join(d.Path, "hangs"))
	fault.Await(1)
	if death == "kill while frozen" {
		d.Freeze()
		go os.Stat(filepath.Join(d.Path, "this one, too"))
		time.Sleep(quiet)
	}
	fmt.Println("all is set up")
	switch death {
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(3)
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
