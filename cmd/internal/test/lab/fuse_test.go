//go:build linux

package lab_test

import (
	"errors"
	"os"
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

// operations has something that causes each operation, on names that end
// in the name of the operation.
var operations = map[lab.Op]struct {
	prepare func(path string) error
	do      func(path string) error
}{
	lab.Lookup:  {touch, func(path string) error { _, err := os.Lstat(path); return err }},
	lab.GetAttr: {touch, onFile(os.O_RDONLY, func(f *os.File) error { _, err := f.Stat(); return err })},
	lab.SetAttr: {touch, func(path string) error { return os.Chmod(path, 0o600) }},
	lab.Open:    {touch, onFile(os.O_RDONLY, nothing)},
	lab.Create:  {nil, touch},
	lab.Read:    {touch, func(path string) error { _, err := os.ReadFile(path); return err }},
	lab.Write:   {touch, onFile(os.O_WRONLY, func(f *os.File) error { _, err := f.Write([]byte("x")); return err })},
	lab.Fsync:   {touch, onFile(os.O_WRONLY, func(f *os.File) error { return f.Sync() })},
	lab.Flush:   {touch, onFile(os.O_WRONLY, nothing)},
	lab.Fallocate: {touch, onFile(os.O_WRONLY, func(f *os.File) error {
		return unix.Fallocate(int(f.Fd()), 0, 0, 1)
	})},
	lab.OpenDir: {mkdir, onFile(os.O_RDONLY, nothing)},
	lab.ReadDir: {mkdir, func(path string) error { _, err := os.ReadDir(path); return err }},
	lab.FsyncDir: {mkdir, func(path string) error {
		return fsys.OS{}.SyncDir(path)
	}},
	lab.Mknod:  {nil, func(path string) error { return unix.Mkfifo(path, 0o600) }},
	lab.Mkdir:  {nil, mkdir},
	lab.Rmdir:  {mkdir, os.Remove},
	lab.Unlink: {touch, os.Remove},
	lab.Rename: {func(path string) error { return touch(path + ".old") }, func(path string) error {
		return os.Rename(path+".old", path)
	}},
	lab.Exchange: {func(path string) error { return errors.Join(touch(path), touch(path+".new")) }, func(path string) error {
		return fsys.OS{}.Exchange(path+".new", path)
	}},
	lab.Link: {func(path string) error { return touch(path + ".old") }, func(path string) error {
		return os.Link(path+".old", path)
	}},
	lab.Symlink:  {nil, symlink},
	lab.Readlink: {symlink, func(path string) error { _, err := os.Readlink(path); return err }},
	lab.GetXattr: {setxattr, func(path string) error { _, err := unix.Getxattr(path, "user.x", nil); return err }},
	lab.ListXattr: {setxattr, func(path string) error {
		n, err := unix.Listxattr(path, nil)
		if err == nil && n == 0 {
			err = errors.New("no attributes")
		}
		return err
	}},
	lab.SetXattr:    {touch, setxattr},
	lab.RemoveXattr: {setxattr, func(path string) error { return unix.Removexattr(path, "user.x") }},
	lab.Statfs:      {touch, func(path string) error { return unix.Statfs(path, new(unix.Statfs_t)) }},
}

func touch(path string) error          { return os.WriteFile(path, []byte("content"), 0o644) }
func mkdir(path string) error          { return os.Mkdir(path, 0o755) }
func symlink(path string) error        { return os.Symlink("target", path) }
func setxattr(path string) error       { return unix.Setxattr(path, "user.x", []byte("x"), 0) }
func nothing(*os.File) error           { return nil }
func isNobodyWaitingFor(o lab.Op) bool { return o == lab.Release || o == lab.ReleaseDir }

func onFile(flag int, fn func(*os.File) error) func(string) error {
	return func(path string) error {
		f, err := os.OpenFile(path, flag, 0)
		if err != nil {
			return err
		}
		return errors.Join(fn(f), f.Close())
	}
}

// eachOperation calls test for each operation, with something that causes
// it.
func eachOperation(t *testing.T, test func(t *testing.T, d *lab.FaultDir, op lab.Op, suffix string, do func() error)) {
	d := lab.FUSE(t)
	for _, op := range lab.Ops {
		if isNobodyWaitingFor(op) {
			continue
		}
		t.Run(string(op), func(t *testing.T) {
			what, ok := operations[op]
			if !ok {
				t.Fatal("no way to cause it")
			}
			suffix := "-" + string(op)
			path := filepath.Join(d.Path, "file"+suffix)
			if what.prepare != nil {
				if op == lab.GetXattr || op == lab.ListXattr || op == lab.RemoveXattr {
					if err := touch(path); err != nil {
						t.Fatal(err)
					}
				}
				if err := what.prepare(path); err != nil {
					t.Fatal(err)
				}
			}
			if op == lab.Statfs {
				suffix = "" // it concerns the whole file system
			}
			test(t, d, op, suffix, func() error { return what.do(path) })
		})
		d.Reset()
	}
}

func TestHang(t *testing.T) {
	lab.NoLeaks(t)
	eachOperation(t, func(t *testing.T, d *lab.FaultDir, op lab.Op, suffix string, do func() error) {
		fault := d.Hang(op, suffix, lab.Always)
		done := run(do)
		fault.Await(1)
		mustHang(t, done)
		if n := fault.Waiting(); n != 1 {
			t.Errorf("%d are waiting, want 1", n)
		}
		fault.Release()
		mustReturn(t, done, nil)
		if waiting, happened := fault.Waiting(), fault.Happened(); waiting != 0 || happened != 1 {
			t.Errorf("after the release %d are waiting, %d were, want 0, 1", waiting, happened)
		}
	})
}

func TestFail(t *testing.T) {
	eachOperation(t, func(t *testing.T, d *lab.FaultDir, op lab.Op, suffix string, do func() error) {
		times := 1
		if op == lab.Lookup {
			times = 2
		}
		fault := d.Fail(op, suffix, unix.EIO, times)
		if err := do(); !errors.Is(err, unix.EIO) {
			t.Errorf("got %v, want EIO", err)
		}
		if n := fault.Happened(); n != times {
			t.Errorf("it happened %d times, want %d", n, times)
		}
		if err := do(); err != nil {
			t.Errorf("after it has failed once: got %v, want nil", err)
		}
	})
}

func TestHangIsCarriedOutLate(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	write(t, path, "old")
	write(t, path+".tmp", "new")

	fault := d.Hang(lab.Rename, "", 1)
	done := run(func() error { return os.Rename(path+".tmp", path) })
	fault.Await(1)
	if got := read(t, filepath.Join(d.Backing, "file")); got != "old" {
		t.Errorf("while it hangs: got %q, want %q", got, "old")
	}
	fault.Release()
	mustReturn(t, done, nil)
	if got := read(t, path); got != "new" {
		t.Errorf("after the release: got %q, want %q", got, "new")
	}
}

func TestHangReply(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	write(t, path, "new")

	fault := d.HangReply(lab.Rename, "", 1)
	done := run(func() error { return os.Rename(path, path+".moved") })
	fault.Await(1)
	mustHang(t, done)
	if got := read(t, filepath.Join(d.Backing, "file.moved")); got != "new" {
		t.Errorf("while the reply hangs: got %q, want %q", got, "new")
	}
	fault.Release()
	mustReturn(t, done, nil)
}

func TestDelay(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	fault := d.Delay(lab.Create, "file", 50*time.Millisecond, 1)
	start := time.Now()
	write(t, path, "")
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("took %v, want 50 ms at least", took)
	}
	write(t, path+"other", "")
	if n := fault.Happened(); n != 1 {
		t.Errorf("it happened %d times, want 1", n)
	}

	fault = d.Delay(lab.Unlink, "", time.Hour, lab.Always)
	done := run(func() error { return os.Remove(path) })
	fault.Await(1)
	fault.Release()
	mustReturn(t, done, nil)
}

func TestDoThenFail(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	write(t, path, "new")
	d.DoThenFail(lab.Rename, ".moved", unix.EIO, lab.Always)
	if err := os.Rename(path, path+".moved"); !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	if exists(path) || !exists(path+".moved") {
		t.Error("it was not executed")
	}
}

func TestReset(t *testing.T) {
	d := lab.FUSE(t)
	d.Fail(lab.Any, "", unix.EIO, lab.Always)
	if _, err := os.Lstat(filepath.Join(d.Path, "file")); !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	d.Reset()
	if _, err := os.Lstat(filepath.Join(d.Path, "file")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
}

func TestWithoutExchangeAndLinks(t *testing.T) {
	d := lab.FUSE(t)
	a, b := filepath.Join(d.Path, "a"), filepath.Join(d.Path, "b")
	write(t, a, "A")
	write(t, b, "B")
	if err := (fsys.OS{}).Exchange(a, b); err != nil || read(t, a) != "B" || read(t, b) != "A" {
		t.Errorf("got %v, want the files exchanged", err)
	}
	d.WithoutExchange()
	d.WithoutLinks()
	if err := (fsys.OS{}).Exchange(a, b); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, unix.EINVAL) {
		t.Errorf("Exchange: got %v, want EINVAL that is errors.ErrUnsupported", err)
	}
	if err := os.Link(a, filepath.Join(d.Path, "c")); !errors.Is(err, unix.EPERM) {
		t.Errorf("Link: got %v, want EPERM", err)
	}
}

func TestCalls(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	if len(d.Calls()) != 0 {
		t.Errorf("got %v, want none before there were any", d.Calls())
	}
	write(t, path, "content")
	d.ClearCalls()

	read(t, path)
	calls := d.Calls()
	if !slices.ContainsFunc(calls, func(c lab.Call) bool { return c.Op == lab.Read && c.Name == "/file" && c.Done }) {
		t.Errorf("got %v, want a read of /file", calls)
	}
	if got := d.Changes(); len(got) > 0 {
		t.Errorf("reading changes something: %v", got)
	}
	if err := os.Mkdir(filepath.Join(d.Path, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Rename(path, filepath.Join(d.Path, "dir/moved")); err != nil {
		t.Fatal(err)
	}
	d.Fail(lab.Fsync, "", unix.EIO, 1)
	f.Sync()
	if err := os.Rename(filepath.Join(d.Path, "dir"), filepath.Join(d.Path, "other")); err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("x"))
	var got []string
	for _, c := range d.Calls() {
		if c.Changes() || c.Op == lab.Fsync {
			got = append(got, c.String())
		}
	}
	want := []string{"mkdir /dir", "open /file flags 0x8001", "rename /file /dir/moved", "fsync /dir/moved: input/output error",
		"rename /dir /other", "write /other/moved"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// One of the two kinds of hang can be killed.
func TestKinds(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	write(t, path, "content")
	start := func() (kill func() error, ended <-chan error) {
		t.Helper()
		cmd := lab.Command(t, "read", path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd.Process.Kill, run(func() error {
			if err := cmd.Wait(); err != nil && !strings.Contains(err.Error(), "signal: killed") {
				return err
			}
			return nil
		})
	}

	fault := d.Hang(lab.Open, "file", lab.Always)
	kill, ended := start()
	fault.Await(1)
	kill()
	mustHang(t, ended)
	fault.Release()
	mustReturn(t, ended, nil)

	d.Freeze()
	kill, ended = start()
	mustHang(t, ended)
	kill()
	mustReturn(t, ended, nil)
	done := run(func() error { _, err := os.ReadFile(path); return err })
	mustHang(t, done)
	d.Thaw()
	mustReturn(t, done, nil)
}

func TestKill(t *testing.T) {
	d := lab.FUSE(t)
	path := filepath.Join(d.Path, "file")
	write(t, path, "content")
	fault := d.Hang(lab.Read, "", lab.Always)
	done := run(func() error { _, err := os.ReadFile(path); return err })
	fault.Await(1)
	d.Kill()
	mustReturn(t, done, unix.ECONNABORTED)
	if _, err := os.Lstat(path); !errors.Is(err, unix.ENOTCONN) {
		t.Errorf("got %v, want ENOTCONN", err)
	}
	if got := read(t, filepath.Join(d.Backing, "file")); got != "content" {
		t.Errorf("beneath: got %q, want the content", got)
	}
}

func TestCached(t *testing.T) {
	for _, tt := range []struct {
		options []lab.Option
		want    int
	}{{nil, 2}, {[]lab.Option{lab.Cached}, 1}} {
		d := lab.FUSE(t, tt.options...)
		path := filepath.Join(d.Path, "file")
		write(t, path, "content")
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range 2 {
			if _, err := f.ReadAt(make([]byte, 7), 0); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, c := range d.Calls() {
			if c.Op == lab.Read {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("options %q: two reads of the same came as %d, want %d", tt.options, n, tt.want)
		}
	}
}

func TestFUSEOfAnotherUser(t *testing.T) {
	d := lab.FUSE(t)
	open, closed := filepath.Join(d.Path, "open"), filepath.Join(d.Path, "closed")
	write(t, open, "")
	write(t, closed, "")
	if err := os.Chmod(closed, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{open: true, closed: false} {
		cmd := lab.Command(t, "read", path)
		lab.AsUser(cmd, 12345)
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%s: got %v, want success: %v\n%s", path, err, want, out)
		}
	}
	info, err := os.Stat(closed)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || info.Mode() != 0o600 {
		t.Errorf("got owner %d, mode %v, want 0, 0600", st.Uid, info.Mode())
	}
}

// A test that fails with hanging operations leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	lab.Need(t, lab.Root, lab.FUSEDevice)
	lab.NoLeaks(t)
	var path string
	var done <-chan error
	t.Run("test", func(t *testing.T) {
		d := lab.FUSE(t)
		path = filepath.Dir(d.Path)
		fault := d.Hang(lab.Lookup, "", lab.Always)
		done = run(func() error { _, err := os.Stat(filepath.Join(d.Path, "file")); return err })
		fault.Await(1)
	})
	mustReturn(t, done, unix.ECONNABORTED)
	if left := mountsAt(t, path); len(left) > 0 {
		t.Errorf("mounts are left: %q", left)
	}
	if left := processesWith(t, path); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	if exists(path) {
		t.Error("the directory is left")
	}
}
