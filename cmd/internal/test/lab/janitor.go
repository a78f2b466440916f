//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A deed is something that a test has done to the machine and that has to
// be undone.
type deed struct {
	Kind deedKind
	Path string `json:",omitempty"`
	PID  int    `json:",omitempty"`
}

type deedKind string

const (
	started  deedKind = "started"   // a process
	mounted  deedKind = "mounted"   // something mounted on a path
	frozen   deedKind = "frozen"    // the file system of a path
	attrSet  deedKind = "attribute" // immutable, on a path
	madePath deedKind = "made"      // a directory with its contents
)

// undo undoes a deed. It succeeds if nothing is left to undo.
func (d deed) undo() error {
	switch d.Kind {
	case started:
		return ignore(unix.Kill(d.PID, unix.SIGKILL), unix.ESRCH)
	case mounted:
		return ignore(unix.Unmount(d.Path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW), unix.EINVAL, unix.ENOENT)
	case frozen:
		return ignore(freeze(d.Path, fithaw), unix.EINVAL, unix.ENOENT)
	case attrSet:
		return ignore(setImmutable(d.Path, false), unix.ENOENT)
	case madePath:
		return removeUnmounted(d.Path)
	}
	return fmt.Errorf("lab: unknown deed %q", d.Kind)
}

func ignore(err error, errnos ...unix.Errno) error {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return nil
		}
	}
	return err
}

// removeUnmounted removes a directory, unless something is still mounted
// in it, whose files it would remove too.
func removeUnmounted(path string) error {
	points, err := mountPoints()
	if err != nil {
		return err
	}
	for _, point := range points {
		if point == path || strings.HasPrefix(point, path+"/") {
			return fmt.Errorf("lab: %s is still mounted", point)
		}
	}
	return os.RemoveAll(path)
}

// mountPoints returns the mount points in the order of mounting.
func mountPoints() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, unescape.Replace(fields[4]))
		}
	}
	return points, nil
}

// undoAtEnd undoes the deed at the end of the test, or when the process
// dies before that. If something can go wrong in between, call it before
// the deed. The returned function undoes the deed earlier.
func undoAtEnd(t testing.TB, d deed) (now func()) {
	t.Helper()
	forget := tellJanitor(t, d)
	now = sync.OnceFunc(func() {
		if err := d.undo(); err != nil {
			t.Errorf("lab: undo %s %s: %v", d.Kind, d.Path, err)
		}
		forget()
	})
	t.Cleanup(now)
	return now
}

// The janitor is a process that undoes what a dead test process left
// behind. It learns of every deed through its standard input, and of the
// death by the end of that input, or by a signal, because a thread of the
// dead process may hang in the kernel and keep the input open.
var janitor struct {
	mu     sync.Mutex
	in     *os.File
	exited <-chan struct{}
	deeds  int
}

const janitorName = "lab janitor"

func init() { Register(janitorName, runJanitor) }

// A notice tells the janitor of a deed, or that it was undone.
type notice struct {
	ID   int
	Deed *deed `json:",omitempty"`
}

func tellJanitor(t testing.TB, d deed) (forget func()) {
	t.Helper()
	settle(t)
	janitor.mu.Lock()
	defer janitor.mu.Unlock()
	janitor.deeds++
	id := janitor.deeds
	send := func(n notice) {
		if err := json.NewEncoder(janitor.in).Encode(n); err != nil {
			t.Errorf("lab: tell the janitor: %v", err)
		}
	}
	send(notice{ID: id, Deed: &d})
	return func() {
		janitor.mu.Lock()
		defer janitor.mu.Unlock()
		send(notice{ID: id})
	}
}

// settle starts the janitor and creates the process's directory, once.
func settle(t testing.TB) {
	t.Helper()
	if !mainRan {
		t.Fatalf("lab: TestMain does not call lab.Main")
	}
	janitor.mu.Lock()
	defer janitor.mu.Unlock()
	if janitor.in != nil {
		return
	}
	if err := makeBase(); err != nil {
		t.Fatalf("lab: %v", err)
	}
	if err := hireJanitor(); err != nil {
		t.Fatalf("lab: start janitor: %v", err)
	}
}

func hireJanitor() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self())
	cmd.Env = childEnviron(janitorName)
	cmd.Stdin = r
	cmd.Stderr = os.Stderr
	// In a session of its own, so that ^C does not kill it along with the
	// tests.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setsid: true}
	exited, err := startBound(cmd)
	if err != nil {
		w.Close()
		return err
	}
	janitor.in, janitor.exited = w, exited
	return nil
}

// dismissJanitor lets the janitor undo what is left, which is nothing
// unless a cleanup failed.
func dismissJanitor() {
	janitor.mu.Lock()
	defer janitor.mu.Unlock()
	if janitor.in == nil {
		return
	}
	janitor.in.Close()
	select {
	case <-janitor.exited:
	case <-time.After(20 * time.Second):
		fmt.Fprintln(os.Stderr, "lab: the janitor hangs")
	}
}

func runJanitor() {
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGTERM)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	notices := make(chan notice)
	go func() {
		defer close(notices)
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var n notice
			if err := in.Decode(&n); err != nil {
				if err != io.EOF {
					fmt.Fprintf(os.Stderr, "lab: janitor: %v\n", err)
				}
				return
			}
			notices <- n
		}
	}()

	open := make(map[int]deed)
	heed := func(n notice) {
		if n.Deed != nil {
			open[n.ID] = *n.Deed
		} else {
			delete(open, n.ID)
		}
	}
	for alive := true; alive; {
		select {
		case n, ok := <-notices:
			if ok {
				heed(n)
			} else {
				alive = false
			}
		case <-died:
			alive = false
			for wait := time.After(time.Second); wait != nil; { // what is still in the pipe
				select {
				case n, ok := <-notices:
					if !ok {
						wait = nil
						break
					}
					heed(n)
				case <-wait:
					wait = nil
				}
			}
		}
	}

	// Processes first: once its server is dead, nothing waits for a file
	// system any more.
	ids := slices.SortedFunc(maps.Keys(open), func(a, b int) int {
		if a, b := open[a].Kind == started, open[b].Kind == started; a != b {
			if a {
				return -1
			}
			return 1
		}
		return b - a // the latest first
	})
	for _, id := range ids {
		d, done := open[id], make(chan error, 1)
		go func() { done <- d.undo() }()
		select {
		case err := <-done:
			if err != nil {
				fmt.Fprintf(os.Stderr, "lab: janitor: undo %s %s: %v\n", d.Kind, d.Path, err)
			}
		case <-time.After(5 * time.Second):
			fmt.Fprintf(os.Stderr, "lab: janitor: undo %s %s: hangs\n", d.Kind, d.Path)
		}
	}
}

// Each process has a directory for the lab's directories, and keeps it
// locked. One that is not locked is left over from a process whose
// janitor died too.
const basePrefix = "rollcall-lab-"

var base struct {
	path        string // set by settle
	lock        *os.File
	directories atomic.Int64
}

// newDir creates an empty directory until the end of the test.
func newDir(t testing.TB) string {
	t.Helper()
	settle(t)
	path := filepath.Join(base.path, strconv.FormatInt(base.directories.Add(1), 10))
	undoAtEnd(t, deed{Kind: madePath, Path: path})
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatalf("lab: %v", err)
	}
	return path
}

func makeBase() error {
	path, err := os.MkdirTemp("", basePrefix)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return err
	}
	base.path, base.lock = path, lock
	return nil
}

func removeBase() {
	if base.path == "" {
		return
	}
	if err := os.Remove(base.path); err != nil {
		fmt.Fprintf(os.Stderr, "lab: %v\n", err)
	}
	base.lock.Close()
}

// sweep undoes what earlier processes left that died together with their
// janitors.
func sweep() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), basePrefix+"*"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue // perhaps it is about to be locked
		}
		lock, err := os.Open(path)
		if err != nil {
			continue
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			points, _ := mountPoints()
			for _, point := range slices.Backward(points) {
				if strings.HasPrefix(point, path+"/") {
					deed{Kind: mounted, Path: point}.undo()
				}
			}
			removeUnmounted(path)
		}
		lock.Close()
	}
}
