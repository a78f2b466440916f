package fsys_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/internal/fsys"
)

// TestPlace finds out about mounts that it makes: of a file system, of a
// directory, and of a file that is then replaced.
func TestPlace(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), `odd name\ with spaces`)
	memory, other := filepath.Join(dir, "memory"), filepath.Join(dir, "other")
	for _, name := range []string{dir, memory, other} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "none", memory, "tmpfs", 0, "")
	inMemory := filepath.Join(memory, "sub", "file")
	if err := os.Mkdir(filepath.Dir(inMemory), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, inMemory, "", 0o600)
	bound := filepath.Join(other, "file")
	mount(t, filepath.Dir(inMemory), other, "", unix.MS_BIND, "")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(bound, link); err != nil {
		t.Fatal(err)
	}
	want := func(name string, want fsys.Place) {
		t.Helper()
		if got, err := (fsys.OS{}).Place(name); got != want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	want(inMemory, fsys.Place{Links: 1, Type: "tmpfs", Root: "/", Point: memory})
	want(bound, fsys.Place{Links: 1, Type: "tmpfs", Root: "/sub", Point: other})
	want(link, fsys.Place{Links: 1, Type: "tmpfs", Root: "/sub", Point: other})
	want("/proc/self/status", fsys.Place{Links: 1, Type: "proc", Root: "/", Point: "/proc"})

	// A mount of a file, which is then replaced.
	single := filepath.Join(dir, "single")
	writeFile(t, single, "", 0o600)
	mount(t, bound, single, "", unix.MS_BIND, "")
	want(single, fsys.Place{Links: 1, Type: "tmpfs", Root: "/sub/file", Point: single})
	writeFile(t, bound+".new", "", 0o600)
	if err := os.Rename(bound+".new", bound); err != nil {
		t.Fatal(err)
	}
	if got, err := (fsys.OS{}).Place(single); got.Links != 0 || got.Point != single || err != nil {
		t.Errorf("replaced: got %+v, %v, want no links", got, err)
	}

	if _, err := (fsys.OS{}).Place(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
}

// TestMountedElsewhere looks for mounts of a file in this namespace and in that
// of another process.
func TestMountedElsewhere(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	file, link, second := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "second")
	writeFile(t, file, "", 0o600)
	writeFile(t, second, "", 0o600)
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	throughLink := filepath.Join(link, "file")
	want := func(what, name, want string) {
		t.Helper()
		if got, err := (fsys.OS{}).MountedElsewhere(name); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", what, got, err, want)
		}
	}
	want("not mounted", file, "")

	// A process with mounts of its own, as a container.
	cmd := exec.Command("unshare", "-m", "sh", "-c", "mount --bind "+file+" "+second+" && echo && read line")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		skip(t, err.Error())
	}
	out.Read(make([]byte, 1))
	for _, name := range []string{file, throughLink} {
		want("mounted by another process", name, second+" of process "+strconv.Itoa(cmd.Process.Pid))
	}
	in.Close()
	cmd.Wait()
	want("that ended", file, "")

	mount(t, file, second, "", unix.MS_BIND, "")
	want("mounted", file, second)
	want("mounted, through a link", throughLink, second)
}

func BenchmarkMountedElsewhere(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := (fsys.OS{}).MountedElsewhere(name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlace(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := (fsys.OS{}).Place(name); err != nil {
			b.Fatal(err)
		}
	}
}
