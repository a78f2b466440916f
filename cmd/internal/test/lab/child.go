//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// childEnv names the function that a process started by Command runs
// instead of the tests.
const childEnv = "ROLLCALL_LAB_CHILD"

var (
	children = make(map[string]func()) // written by Register, before Main
	mainRan  bool
)

// Register registers the function that the test binary runs when
// [Command] starts it under this name. The function finds its arguments
// in os.Args[1:]; when it returns, the process exits with status 0. Call
// Register before [Main], from TestMain or an init function.
func Register(name string, fn func()) {
	if children[name] != nil {
		panic("lab: child registered twice: " + name)
	}
	children[name] = fn
}

// Main is the body of a TestMain. It runs the tests and exits. In a
// process that [Command] started, it runs the registered function
// instead. As a rule m is a [testing.M].
func Main(m interface{ Run() (code int) }) {
	RunChild()
	sweep()
	code := m.Run()
	dismissJanitor()
	removeBase()
	os.Exit(code)
}

// RunChild runs the registered function and exits, in a process that
// [Command] started. Elsewhere it returns. It is for a TestMain that does
// more than [Main].
func RunChild() {
	mainRan = true
	name := os.Getenv(childEnv)
	if name == "" {
		return
	}
	os.Unsetenv(childEnv) // so that the child's own children do not run it
	fn := children[name]
	if fn == nil {
		fmt.Fprintf(os.Stderr, "lab: no child is registered as %q\n", name)
		os.Exit(2)
	}
	fn()
	os.Exit(0)
}

// Command returns the command that runs a registered function in a
// process of its own. The caller starts it. It is killed at the end of
// the test, or when this process dies.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	if children[name] == nil {
		t.Fatalf("lab: no child is registered as %q", name)
	}
	if !mainRan {
		t.Fatal("lab: TestMain does not call lab.Main")
	}
	cmd := exec.CommandContext(t.Context(), self(), args...)
	cmd.Env = childEnviron(name)
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func childEnviron(name string) []string { return append(os.Environ(), childEnv+"="+name) }

// AsUser makes the command run as another user, whose only group has the
// same number.
func AsUser(cmd *exec.Cmd, uid int) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	if cmd.Path == self() {
		cmd.Path = "/proc/self/exe" // other users cannot enter the directory of the test binary
	}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err) // /proc is not mounted
	}
	return path
}

// startBound starts a command that is to die with this process. The
// kernel sends the Pdeathsig when the thread ends that started the
// command, so that thread waits. The channel is closed when the command
// has exited.
func startBound(cmd *exec.Cmd) (exited <-chan struct{}, err error) {
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(done)
		}
	}()
	return done, <-started
}
