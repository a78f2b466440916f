//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Op is an operation of a file system, as the kernel requests it. A
// system call can be several: opening a file is a Lookup of each
// directory in its path and of the file itself, and an Open or a Create.
type Op string

// The operations. Closing a file is a Flush, for which the caller waits,
// and after the last one a Release, for which nobody waits. Truncate,
// chmod, chown and setting times are all SetAttr.
const (
	Lookup      Op = "lookup"
	GetAttr     Op = "getattr"
	SetAttr     Op = "setattr"
	Open        Op = "open"
	Create      Op = "create"
	Read        Op = "read"
	Write       Op = "write"
	Fsync       Op = "fsync"
	Flush       Op = "flush"
	Release     Op = "release"
	Fallocate   Op = "fallocate"
	OpenDir     Op = "opendir"
	ReadDir     Op = "readdir"
	FsyncDir    Op = "fsyncdir"
	ReleaseDir  Op = "releasedir"
	Mknod       Op = "mknod"
	Mkdir       Op = "mkdir"
	Rmdir       Op = "rmdir"
	Unlink      Op = "unlink"
	Rename      Op = "rename"
	Exchange    Op = "exchange" // renameat2 with RENAME_EXCHANGE
	Link        Op = "link"
	Symlink     Op = "symlink"
	Readlink    Op = "readlink"
	GetXattr    Op = "getxattr"
	ListXattr   Op = "listxattr"
	SetXattr    Op = "setxattr"
	RemoveXattr Op = "removexattr"
	Statfs      Op = "statfs"

	// Any stands for every operation in a rule.
	Any Op = "*"
)

// Ops are all operations, for tests that let each of them hang in turn.
var Ops = []Op{
	Lookup, GetAttr, SetAttr, Open, Create, Read, Write, Fsync, Flush, Release, Fallocate, OpenDir, ReadDir, FsyncDir,
	ReleaseDir, Mknod, Mkdir, Rmdir, Unlink, Rename, Exchange, Link, Symlink, Readlink, GetXattr, ListXattr, SetXattr,
	RemoveXattr, Statfs,
}

// Always is the number of times of a fault that does not end by itself.
const Always = -1

// patience bounds the wait for anything that has to happen.
const patience = 2 * time.Minute

// A FaultDir is a directory of which every operation can be made to hang,
// wait or fail. It is a file system on top of another directory. The
// kernel caches nothing of it, so every operation meets the rules.
//
// An operation that hangs by a rule hangs as on a broken local disk: the
// waiting thread cannot be killed, and its process cannot exit. With
// Freeze operations hang as on an unreachable NFS server: their threads
// can be killed.
//
// If several rules match an operation, the oldest one applies until it
// has happened as often as it should. The methods fail the test if the
// server does not answer, so only the goroutine of the test may call
// them.
type FaultDir struct {
	Path    string // of the directory
	Backing string // the directory beneath, which meets no faults

	t      testing.TB
	server *os.Process
	exited <-chan struct{}

	mu     sync.Mutex // one request at a time
	out    *json.Encoder
	in     *json.Decoder
	pipe   *os.File // the end of in
	frozen bool
	nextID int
}

// Cached lets the kernel cache the content of open files, as for other
// file systems, instead of passing on every read. Memory-mapped files
// need it.
const Cached Option = "cached"

// An Option of [FUSE].
type Option string

// FUSE mounts a new, empty FaultDir until the end of the test. It needs
// root and FUSE. Other users can use it, subject to the usual rules of
// owner and mode.
func FUSE(t testing.TB, options ...Option) *FaultDir {
	t.Helper()
	Need(t, Root, FUSEDevice)
	dir := newDir(t)
	d := &FaultDir{Path: filepath.Join(dir, "mount"), Backing: filepath.Join(dir, "backing"), t: t}
	for _, path := range []string{d.Path, d.Backing} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatalf("lab: %v", err)
		}
	}

	cmd := exec.Command(self(), d.Path, d.Backing)
	cmd.Env = childEnviron(serverName)
	for _, o := range options {
		cmd.Args = append(cmd.Args, string(o))
	}
	requestR, requestW := pipe(t)
	replyR, replyW := pipe(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = requestR, replyW, os.Stderr
	// In a group of its own, so that ^C does not kill it before the
	// janitor can unmount.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	exited, err := startBound(cmd)
	requestR.Close()
	replyW.Close()
	if err != nil {
		t.Fatalf("lab: start FUSE server: %v", err)
	}
	d.server, d.exited = cmd.Process, exited
	d.out, d.in, d.pipe = json.NewEncoder(requestW), json.NewDecoder(replyR), replyR
	undoAtEnd(t, deed{Kind: mounted, Path: d.Path})
	forget := tellJanitor(t, deed{Kind: started, PID: cmd.Process.Pid})
	t.Cleanup(func() { // operations that hang get ECONNABORTED, so that unmounting cannot hang
		d.Kill()
		forget()
		requestW.Close()
		replyR.Close()
	})
	d.ask(request{Do: doNothing}) // answered when it is mounted
	return d
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatalf("lab: %v", err)
	}
	return r, w
}

// A Fault is a rule of a FaultDir.
type Fault struct {
	d  *FaultDir
	id int
}

// Hang makes operations hang until Release and then be executed. It
// affects the next so many operations, or Always, on names that end in
// suffix.
func (d *FaultDir) Hang(op Op, suffix string, times int) *Fault {
	d.t.Helper()
	return d.add(rule{Op: op, Suffix: suffix, Times: times, Hang: true})
}

// HangReply executes operations at once, and makes their replies hang
// until Release.
func (d *FaultDir) HangReply(op Op, suffix string, times int) *Fault {
	d.t.Helper()
	return d.add(rule{Op: op, Suffix: suffix, Times: times, HangReply: true})
}

// Delay makes operations wait, at most until Release, and then be
// executed.
func (d *FaultDir) Delay(op Op, suffix string, wait time.Duration, times int) *Fault {
	d.t.Helper()
	return d.add(rule{Op: op, Suffix: suffix, Times: times, Delay: wait})
}

// Fail fails operations without executing them. The kernel has two
// peculiarities: when the lookup of a name it knows fails, it tries a
// second time. And for some operations it takes ENOSYS to mean that they
// are not supported, and never asks again: Exchange then fails with
// EINVAL, and Fsync and Flush succeed.
func (d *FaultDir) Fail(op Op, suffix string, errno syscall.Errno, times int) *Fault {
	d.t.Helper()
	return d.add(rule{Op: op, Suffix: suffix, Times: times, Errno: errno})
}

// DoThenFail executes operations and then reports failure.
func (d *FaultDir) DoThenFail(op Op, suffix string, errno syscall.Errno, times int) *Fault {
	d.t.Helper()
	return d.add(rule{Op: op, Suffix: suffix, Times: times, Errno: errno, Do: true})
}

// WithoutExchange simulates a file system that cannot exchange files:
// EINVAL.
func (d *FaultDir) WithoutExchange() {
	d.t.Helper()
	d.Fail(Exchange, "", unix.EINVAL, Always)
}

// WithoutLinks simulates a file system without hard links: EPERM.
func (d *FaultDir) WithoutLinks() {
	d.t.Helper()
	d.Fail(Link, "", unix.EPERM, Always)
}

func (d *FaultDir) add(r rule) *Fault {
	d.t.Helper()
	d.mu.Lock()
	d.nextID++
	r.ID = d.nextID
	d.mu.Unlock()
	d.ask(request{Do: doAdd, Rule: &r})
	return &Fault{d, r.ID}
}

// Release ends the rule. Operations that hang or wait because of it
// continue.
func (f *Fault) Release() {
	f.d.t.Helper()
	f.d.ask(request{Do: doRelease, ID: f.id})
}

// Waiting returns how many operations hang or wait because of the rule.
func (f *Fault) Waiting() int {
	f.d.t.Helper()
	return f.d.ask(request{Do: doCount, ID: f.id}).Waiting
}

// Happened returns how often the rule was applied.
func (f *Fault) Happened() int {
	f.d.t.Helper()
	return f.d.ask(request{Do: doCount, ID: f.id}).Happened
}

// Await returns as soon as at least n operations hang or wait because of
// the rule. It fails the test after two minutes.
func (f *Fault) Await(n int) {
	f.d.t.Helper()
	for deadline := time.Now().Add(patience); f.Waiting() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.d.t.Fatalf("lab: %d operations hang after %v, want %d", f.Waiting(), patience, n)
		}
	}
}

// Reset ends all rules.
func (d *FaultDir) Reset() {
	d.t.Helper()
	d.ask(request{Do: doReset})
}

// A Call is an operation that the kernel requested.
type Call struct {
	Op    Op
	Name  string        // the path within the directory, with a leading slash
	To    string        // the new name, of Rename, Exchange and Link; the target of Symlink; the attribute of GetXattr and the like
	Flags uint32        // of Open and Create, as for open(2)
	Done  bool          // answered
	Errno syscall.Errno // the answer; 0 for success
}

// Changes reports whether the operation changes something, or opens a
// file for writing.
func (c Call) Changes() bool {
	switch c.Op {
	case Open:
		return c.Flags&unix.O_ACCMODE != unix.O_RDONLY || c.Flags&unix.O_TRUNC != 0
	case SetAttr, Create, Write, Fallocate, Mknod, Mkdir, Rmdir, Unlink, Rename, Exchange, Link, Symlink, SetXattr, RemoveXattr:
		return true
	}
	return false
}

func (c Call) String() string {
	s := string(c.Op) + " " + c.Name
	if c.To != "" {
		s += " " + c.To
	}
	if c.Flags != 0 {
		s += fmt.Sprintf(" flags %#x", c.Flags)
	}
	switch {
	case !c.Done:
		s += ": hangs"
	case c.Errno != 0:
		s += ": " + c.Errno.Error()
	}
	return s
}

// Calls returns all operations since FUSE or ClearCalls, in order. A
// Release comes when the kernel likes, even after the file was closed.
// The kernel's own GetXattr of security.capability before each write is
// left out, and no rule applies to it.
func (d *FaultDir) Calls() []Call {
	d.t.Helper()
	return d.ask(request{Do: doCalls}).Calls
}

// Changes returns the operations of Calls that change something.
func (d *FaultDir) Changes() []Call {
	d.t.Helper()
	return slices.DeleteFunc(d.Calls(), func(c Call) bool { return !c.Changes() })
}

// ClearCalls forgets the operations so far.
func (d *FaultDir) ClearCalls() {
	d.t.Helper()
	d.ask(request{Do: doClear})
}

// Freeze stops the server, so that every operation hangs until Thaw, but
// can be killed. No method but Thaw and Kill works meanwhile.
func (d *FaultDir) Freeze() {
	d.t.Helper()
	if err := d.server.Signal(unix.SIGSTOP); err != nil {
		d.t.Fatalf("lab: %v", err)
	}
	d.setFrozen(true)
	stat := fmt.Sprintf("/proc/%d/stat", d.server.Pid)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(stat)
		if err != nil {
			break
		}
		// The state follows the name, which is in parentheses and may
		// contain some.
		if _, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')'):]), " "); strings.HasPrefix(rest, "T") {
			return
		}
	}
	d.t.Fatal("lab: the FUSE server did not stop")
}

// Thaw lets the server continue.
func (d *FaultDir) Thaw() {
	d.t.Helper()
	if err := d.server.Signal(unix.SIGCONT); err != nil {
		d.t.Fatalf("lab: %v", err)
	}
	d.setFrozen(false)
}

func (d *FaultDir) setFrozen(frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = frozen
}

// Kill kills the server, as when a disk is pulled out. Operations that
// hang fail with ECONNABORTED, later ones with ENOTCONN. No other method
// works any more.
func (d *FaultDir) Kill() {
	d.t.Helper()
	d.server.Kill()
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Error("lab: the FUSE server did not exit")
	}
}

func (d *FaultDir) alive() bool {
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// ask sends a request to the server, and waits up to two minutes for the reply.
func (d *FaultDir) ask(r request) reply {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.frozen {
		d.t.Fatal("lab: the FUSE server is frozen")
	}
	d.pipe.SetReadDeadline(time.Now().Add(patience))
	var answer reply
	err := d.out.Encode(r)
	if err == nil {
		err = d.in.Decode(&answer)
	}
	if err != nil {
		d.t.Fatalf("lab: %s: no answer from the FUSE server: %v", r.Do, err)
	}
	if answer.Err != "" {
		d.t.Fatalf("lab: %s: %s", r.Do, answer.Err)
	}
	return answer
}
