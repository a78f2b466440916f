package faultfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/rollcall-dev/rollcall/internal/fsys"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
)

// TestConformance runs the same scripts on the file system in memory and
// on a real one, and compares their results. Each real one has a thread
// of its own, which shares no umask, user or mounts with the others.
func TestConformance(t *testing.T) {
	for _, s := range scripts {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.root && self.uid != 0 {
				skip(t, "it needs root")
			}
			fake := inMemory(s)
			real, err := onDisk(t, s)
			if err != nil {
				skip(t, err.Error())
			}
			for _, line := range slices.Concat(fake, real) {
				if strings.HasPrefix(line, noScene) {
					t.Error(line)
				}
			}
			if !slices.Equal(fake, real) {
				t.Errorf("differs:\n%s", sideBySide(fake, real))
			}
		})
	}
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("ROLLCALL_REQUIRE_ALL") == "1" {
		t.Fatalf("cannot run: %s", why)
	}
	fmt.Fprintf(os.Stderr, "SKIPPED %s: %s\n", t.Name(), why)
	t.Skip(why)
}

func sideBySide(fake, real []string) string {
	var b strings.Builder
	for i := range max(len(fake), len(real)) {
		f, r := "-", "-"
		if i < len(fake) {
			f = fake[i]
		}
		if i < len(real) {
			r = real[i]
		}
		if f != r {
			fmt.Fprintf(&b, "  in memory: %s\n  for real:  %s\n", f, r)
		}
	}
	return b.String()
}

// self is the user of the test. A script can make its thread another
// user.
var self = struct{ uid, gid int }{os.Getuid(), os.Getgid()}

// stage is one of the two file systems, with what scripts need besides.
// It records what happened.
type stage struct {
	fsys.FS
	props
	dir   string
	lines []string
	files []fsys.File
}

// props sets up a file system.
type props interface {
	Symlink(target, name string) error
	Mknod(name string, mode fs.FileMode) error
	Chmod(name string, mode fs.FileMode) error
	Chown(name string, uid, gid int) error
	SetXattr(name, attr, value string) error
	Owner(name string) (uid, gid int, err error)
	Xattrs(name string) (map[string]string, error)
	MountPoint(name string) error
	ReadOnly(name string) error
	Immutable(name string, yes bool) error
	As(uid, gid int, do func()) error
}

func (s *stage) p(name string) string {
	if name == "" {
		return s.dir
	}
	return s.dir + "/" + name
}

// note records what happened.
func (s *stage) note(what string, err error, values ...any) {
	values = append([]any{what + ": " + errorName(err)}, values...)
	s.lines = append(s.lines, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
}

const noScene = "the scene cannot be set: "

// need records a failure only.
func (s *stage) need(err error) {
	if err != nil {
		s.lines = append(s.lines, noScene+err.Error())
	}
}

// errorName returns what a program can tell about an error.
func errorName(err error) string {
	if err == nil {
		return "ok"
	}
	if err == io.EOF {
		return "EOF"
	}
	kind := "other error"
	if _, ok := err.(*fs.PathError); ok {
		kind = "PathError"
	}
	if _, ok := err.(*os.LinkError); ok {
		kind = "LinkError"
	}
	var errno syscall.Errno
	ok := errors.As(err, &errno)
	switch {
	case errors.Is(err, fsys.ErrLocked):
		return kind + " locked"
	case errors.Is(err, fs.ErrClosed):
		return kind + " closed"
	case errors.Is(err, errors.ErrUnsupported):
		return kind + " unsupported"
	case ok:
		return kind + " " + errno.Error()
	}
	return kind
}

func (s *stage) open(name string, flag int, perm fs.FileMode) fsys.File {
	f, err := s.OpenFile(s.p(name), flag, perm)
	s.note(fmt.Sprintf("open %s %#x %o", name, flag, perm), err, f == nil)
	if err != nil {
		return nil
	}
	s.files = append(s.files, f)
	return f
}

func (s *stage) write(name, content string, perm fs.FileMode) {
	f, err := s.OpenFile(s.p(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.Write([]byte(content))
		err = errors.Join(err, f.Close())
	}
	s.need(err)
	s.need(s.Chmod(s.p(name), perm))
}

func (s *stage) mkdir(name string, perm fs.FileMode) {
	s.need(s.FS.Mkdir(s.p(name), 0o700))
	s.need(s.Chmod(s.p(name), perm))
}

// look records what can be seen of names.
func (s *stage) look(names ...string) {
	for _, name := range names {
		info, err := s.Lstat(s.p(name))
		if err != nil {
			s.note("lstat "+name, err)
			continue
		}
		uid, gid, err := s.props.Owner(s.p(name))
		size, links := info.Size(), s.LinkCount(info)
		switch info.Mode().Type() {
		case fs.ModeDir:
			size, links = 0, 0 // differs between real file systems
		case fs.ModeSymlink:
			size = 0 // differs with the path of the stage
		}
		s.note("lstat "+name, err, info.Name(), info.Mode(), size, links, uid-self.uid, gid-self.gid)
		if info.Mode().IsRegular() {
			s.content(name)
		}
	}
}

func (s *stage) content(name string) {
	f, err := s.OpenFile(s.p(name), os.O_RDONLY, 0)
	if err != nil {
		s.note("read "+name, err)
		return
	}
	data, err := io.ReadAll(f)
	s.note("read "+name, err, fmt.Sprintf("%.40q %d", data, len(data)), f.Close())
}

// list records the names in a directory.
func (s *stage) list(name string) {
	names, err := s.ReadDir(s.p(name))
	slices.Sort(names)
	s.note("readdir "+name, err, names)
}

func (s *stage) as(uid int, do func()) { s.need(s.As(uid, uid, do)) }

func (s *stage) act(do func(*stage)) []string {
	do(s)
	for _, f := range s.files {
		f.Close()
	}
	return s.lines
}

// memory is the file system in memory.
type memory struct{ *faultfs.FS }

func inMemory(sc script) []string {
	disk := faultfs.New()
	disk.SetUser(self.uid, self.gid)
	disk.MkdirAll("/stage", 0o755)
	disk.Chown("/stage", self.uid, self.gid)
	return (&stage{FS: disk, props: memory{disk}, dir: "/stage"}).act(sc.act)
}

func (m memory) Symlink(target, name string) error {
	m.FS.Symlink(target, name)
	m.FS.Lchown(name, self.uid, self.gid)
	return nil
}

func (m memory) Mknod(name string, mode fs.FileMode) error {
	m.FS.Mknod(name, mode)
	m.FS.Chown(name, self.uid, self.gid)
	return nil
}

func (m memory) Chmod(name string, mode fs.FileMode) error {
	m.FS.Chmod(name, mode)
	return nil
}

func (m memory) Chown(name string, uid, gid int) error {
	m.FS.Chown(name, uid, gid)
	return nil
}

func (m memory) SetXattr(name, attr, value string) error {
	m.FS.SetXattr(name, attr, value)
	return nil
}

func (m memory) Owner(name string) (uid, gid int, err error) {
	a, err := m.Attributes(name)
	return a.UID, a.GID, err
}

func (m memory) Xattrs(name string) (map[string]string, error) {
	a, err := m.Attributes(name)
	return a.Xattrs, err
}

func (m memory) MountPoint(name string) error {
	m.MarkMountPoint(name)
	return nil
}

func (m memory) ReadOnly(name string) error {
	m.MarkReadOnly(name)
	return nil
}

func (m memory) Immutable(name string, yes bool) error {
	if yes {
		m.MarkImmutable(name)
	} else {
		m.ClearMarks(name)
	}
	return nil
}

func (m memory) As(uid, gid int, do func()) error {
	m.SetUser(uid, gid)
	defer m.SetUser(self.uid, self.gid)
	do()
	return nil
}

// onDisk runs a script on the real file system. It fails if the machine
// cannot set it up.
func onDisk(t *testing.T, sc script) (lines []string, err error) {
	if b, err := os.ReadFile("/proc/sys/fs/protected_hardlinks"); err == nil && string(b) != "1\n" {
		return nil, errors.New("hard links are not protected here (sysctl fs.protected_hardlinks)")
	}
	dir := filepath.Join(t.TempDir(), "stage")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if self.uid == 0 {
		// Other users have to reach it.
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				return nil, err
			}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		flags := syscall.CLONE_FS
		if sc.mounts {
			flags |= syscall.CLONE_NEWNS
		}
		if err = syscall.Unshare(flags); err != nil {
			err = fmt.Errorf("unshare: %w", err)
			return
		}
		if sc.mounts {
			if err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
				return
			}
			if err = syscall.Mount("stage", dir, "tmpfs", 0, "mode=755"); err != nil {
				return
			}
		}
		syscall.Umask(0o022)
		r := &kernel{}
		lines = (&stage{FS: fsys.OS{}, props: r, dir: dir}).act(sc.act)
		err = r.missing
	}()
	<-done
	return lines, err
}
