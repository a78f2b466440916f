package fsys_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// skip says on standard error, where it shows without -v, that a test could not
// be run. If ROLLCALL_REQUIRE_ALL is set, as in CI, that is a failure.
func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("cannot run: %s", reason)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), reason)
	t.Skip(reason)
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "needs root")
	}
}

func writeFile(t testing.TB, name, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func open(t testing.TB, name string, flag int) fsys.File {
	t.Helper()
	f, err := fsys.OS{}.OpenFile(name, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	var osfs fsys.OS

	_, err := osfs.OpenFile(name, os.O_RDONLY, 0)
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) || !errors.Is(err, fs.ErrNotExist) || pathErr.Path != name {
		t.Errorf("open of a missing file: got %#v, want a *fs.PathError with its name that is fs.ErrNotExist", err)
	}

	f := open(t, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if _, err := f.Write([]byte("hello world")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("W"), 6); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, name); got != "hello World" {
		t.Errorf("got %q, want %q", got, "hello World")
	}
	info, err := f.Stat()
	if err != nil || info.Size() != 11 {
		t.Errorf("Stat: got %v, %v, want 11 bytes", info, err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode: got %v, want 0600", info.Mode())
	}
	same, err := osfs.Lstat(name)
	if err != nil || !osfs.SameFile(info, same) {
		t.Errorf("Lstat and Stat disagree: %v, %v", same, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: got %v, want fs.ErrClosed", err)
	}

	if _, err := osfs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusive creation of what is there: got %v, want fs.ErrExist", err)
	}
	f = open(t, name, os.O_WRONLY|os.O_APPEND)
	if _, err := f.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	f = open(t, name, os.O_RDONLY)
	if b, err := io.ReadAll(f); string(b) != "hello World!" || err != nil {
		t.Errorf("got %q, %v, want %q", b, err, "hello World!")
	}
	open(t, name, os.O_WRONLY|os.O_TRUNC)
	if got := readFile(t, name); got != "" {
		t.Errorf("after O_TRUNC: got %q, want nothing", got)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	var osfs fsys.OS
	writeFile(t, a, "A", 0o600)

	if err := osfs.Link(a, b); err != nil {
		t.Fatal(err)
	}
	if err := osfs.Link(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Link to a name that is taken: got %v, want fs.ErrExist", err)
	}
	infoA, errA := osfs.Lstat(a)
	infoB, errB := osfs.Lstat(b)
	if errA != nil || errB != nil || !osfs.SameFile(infoA, infoB) {
		t.Errorf("the linked names are not the same file: %v, %v", errA, errB)
	}
	if want := 2; runtime.GOOS != "windows" && osfs.LinkCount(infoA) != want {
		t.Errorf("LinkCount: got %d, want %d", osfs.LinkCount(infoA), want)
	}

	if err := osfs.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	names, err := osfs.ReadDir(dir)
	slices.Sort(names)
	if want := []string{"a", "b", "sub"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("ReadDir: got %q, %v, want %q", names, err, want)
	}

	if err := osfs.Remove(b); err != nil {
		t.Fatal(err)
	}
	writeFile(t, b, "B", 0o600)
	if err := osfs.Rename(b, a); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, a); got != "B" {
		t.Errorf("after Rename: got %q, want %q", got, "B")
	}
	if err := osfs.Rename(b, a); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Rename of nothing: got %v, want fs.ErrNotExist", err)
	}
}

func TestReadlink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("target", link); err != nil {
		skip(t, err.Error())
	}
	if _, err := os.Lstat(link); err != nil {
		skip(t, "this system pretends to make symlinks: "+err.Error()) // Wine 8
	}
	if got, info, err := (fsys.OS{}).Readlink(link); got != "target" || err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("got %q, %v, %v, want %q of a symlink", got, info, err, "target")
	}
}

func TestExchange(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	writeFile(t, a, "A", 0o600)
	writeFile(t, b, "B", 0o600)

	err := fsys.OS{}.Exchange(a, b)
	if errors.Is(err, errors.ErrUnsupported) {
		if runtime.GOOS == "linux" || runtime.GOOS == "darwin" {
			skip(t, "the file system of "+dir+" cannot exchange files: "+err.Error())
		}
		return
	}
	if gotA, gotB := readFile(t, a), readFile(t, b); err != nil || gotA != "B" || gotB != "A" {
		t.Errorf("got %q, %q, %v, want them exchanged", gotA, gotB, err)
	}
	err = fsys.OS{}.Exchange(a, filepath.Join(dir, "missing"))
	var linkErr *os.LinkError
	if !errors.As(err, &linkErr) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("exchange with nothing: got %#v, want an *os.LinkError that is fs.ErrNotExist", err)
	}
}

func TestSyncDir(t *testing.T) {
	dir := t.TempDir()
	if err := (fsys.OS{}).SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := (fsys.OS{}).SyncDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a missing directory: got %v, want fs.ErrNotExist", err)
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	var osfs fsys.OS
	unlock, err := osfs.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := osfs.LockDir(dir); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("second lock: got %v, want ErrLocked", err)
	}
	unlock()
	again, err := osfs.LockDir(dir)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock() // the second call must not release the lock of another process
	if _, err := osfs.LockDir(dir); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("after a second unlock of the first: got %v, want ErrLocked", err)
	}
	again()
}

func TestCheckWritable(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	writeFile(t, name, "", 0o600)
	for _, ok := range []string{dir, name} {
		if err := (fsys.OS{}).CheckWritable(ok); err != nil {
			t.Errorf("got %v, want nil", err)
		}
	}
	err := fsys.OS{}.CheckWritable(filepath.Join(dir, "missing"))
	var pathErr *fs.PathError
	if !errors.As(err, &pathErr) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %#v, want a *fs.PathError that is fs.ErrNotExist", err)
	}
}

func TestCopyAttributesOfMode(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0o600, 0o644, 0o444} {
		src, dst := filepath.Join(dir, fmt.Sprintf("src%o", mode)), filepath.Join(dir, fmt.Sprintf("dst%o", mode))
		writeFile(t, src, "", mode)
		to := open(t, dst, os.O_RDWR|os.O_CREATE)
		if err := to.CopyAttributes(open(t, src, os.O_RDONLY)); err != nil {
			t.Fatal(err)
		}
		want, err := os.Stat(src)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.Stat(dst); err != nil || got.Mode() != want.Mode() {
			t.Errorf("mode: got %v, %v, want %v", got.Mode(), err, want.Mode())
		}
		os.Chmod(src, 0o600) // so that Windows can remove them
		os.Chmod(dst, 0o600)
	}
	to := open(t, filepath.Join(dir, "other"), os.O_RDWR|os.O_CREATE)
	if err := to.CopyAttributes(struct{ fsys.File }{}); err == nil {
		t.Error("from a file of another file system: got nil, want an error")
	}
}

func TestHasWritersUnsupported(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	writeFile(t, name, "", 0o600)
	// A file that is open for writing would count itself, so that no system can
	// tell.
	got, err := open(t, name, os.O_RDWR).HasWriters()
	if got || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, %v, want false and errors.ErrUnsupported", got, err)
	}
	if runtime.GOOS == "linux" {
		return
	}
	if got, err = open(t, name, os.O_RDONLY).HasWriters(); got || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, %v, want false and errors.ErrUnsupported", got, err)
	}
}

// BenchmarkRead compares OpenFile, Stat and Read with os.ReadFile, for a config
// of 24 kB.
func BenchmarkRead(b *testing.B) {
	name := filepath.Join(b.TempDir(), "config.json")
	writeFile(b, name, string(make([]byte, 24<<10)), 0o600)
	b.Run("os.ReadFile", func(b *testing.B) {
		for b.Loop() {
			if _, err := os.ReadFile(name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fsys.OS", func(b *testing.B) {
		for b.Loop() {
			f, err := fsys.OS{}.OpenFile(name, os.O_RDONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			info, err := f.Stat()
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, info.Size()+1)
			if _, err := io.ReadFull(f, buf); err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
			f.Close()
		}
	})
}
