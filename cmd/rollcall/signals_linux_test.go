package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"golang.org/x/sys/unix"
)

// endLimit is the agent's promise. A busy machine can delay what a test
// sees, so the best of some tries counts.
const (
	endLimit = time.Second
	tries    = 20
)

// startAgent starts the program as an agent. Its log goes to stderr, or
// to a file whose name is returned.
func startAgent(t *testing.T, stderr *os.File, args ...string) (cmd *exec.Cmd, log string) {
	t.Helper()
	cmd = exec.Command(filepath.Join(binDir(t), programName), append([]string{"agent"}, args...)...)
	if stderr == nil {
		var err error
		if stderr, err = os.CreateTemp(t.TempDir(), "log"); err != nil {
			t.Fatal(err)
		}
		defer stderr.Close()
	}
	cmd.Stderr = stderr
	cmd.Env = append(os.Environ(), quickExit)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, stderr.Name()
}

// awaitLog waits until the log has a match of re, and returns its last
// group.
func awaitLog(t *testing.T, log string, re string) string {
	t.Helper()
	pattern := regexp.MustCompile(re)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(log)
		if match := pattern.FindSubmatch(text); match != nil {
			return string(match[len(match)-1])
		}
	}
	t.Fatalf("no match of %q in the log after %v", re, patience)
	return ""
}

// end sends the signal and returns how long the process took to exit.
func end(t *testing.T, cmd *exec.Cmd, signal os.Signal) (took time.Duration, err error) {
	t.Helper()
	begin := time.Now()
	if err := cmd.Process.Signal(signal); err != nil { // works after its exit too, until somebody waits for it
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return time.Since(begin), err
	case <-time.After(patience):
		t.Fatalf("still running %v after %v", patience, signal)
		return 0, nil
	}
}

// bestEnd stops agents that start returns, with exit code 0 each, until
// one of them is in time.
func bestEnd(t *testing.T, start func(t *testing.T) *exec.Cmd) {
	t.Helper()
	var all []time.Duration
	for range tries {
		took, err := end(t, start(t), syscall.SIGTERM)
		if err != nil {
			t.Fatalf("got %v, want exit code 0", err)
		}
		all = append(all, took)
		if took <= endLimit {
			return
		}
	}
	t.Errorf("took %v to exit, want at most %v", all, endLimit)
}

func TestEndsWhileTheDiskHangs(t *testing.T) {
	tests := []struct {
		name string
		args []string
		hang func(d *lab.FaultDir)
	}{
		{"isolated", nil, func(d *lab.FaultDir) { d.Hang(lab.Any, "", lab.Always) }},
		{"isolated, during a save", nil, func(d *lab.FaultDir) { d.Hang(lab.Fsync, "", lab.Always) }},
		// An uninterruptible wait would keep its process from exiting, so
		// in the process itself only the other kind is tested.
		{"in process", []string{"--isolate=false"}, func(d *lab.FaultDir) { d.Freeze() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lab.Need(t, lab.Root, lab.FUSEDevice)
			bestEnd(t, func(t *testing.T) *exec.Cmd {
				d := lab.FUSE(t)
				tt.hang(d)
				args := append([]string{"--config", filepath.Join(d.Path, "config.json"), "--listen", "127.0.0.1:0"}, tt.args...)
				cmd, log := startAgent(t, nil, append(args, "--attempt-timeout", "100ms")...)
				awaitLog(t, log, "will retry")
				return cmd
			})
		})
	}
}

func TestEndsWhileAClientWaits(t *testing.T) {
	bestEnd(t, func(t *testing.T) *exec.Cmd {
		cmd, log := startAgent(t, nil, "--config", filepath.Join(t.TempDir(), "c.json"), "--listen", "127.0.0.1:0")
		dial(t, awaitLog(t, log, `msg=Listening address=(\S+)\n`))
		awaitLog(t, log, "Telemetry service started")
		return cmd
	})
}

// dial opens a connection and sends half a request.
func dial(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
}

// A log that nobody reads blocks its writers.
func TestEndsWhileTheLogBlocks(t *testing.T) {
	bestEnd(t, func(t *testing.T) *exec.Cmd {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		fill(t, w)
		dir := t.TempDir()
		socket := filepath.Join(dir, "s")
		cmd, _ := startAgent(t, w, "--config", filepath.Join(dir, "c.json"), "--listen", "unix:"+socket)
		w.Close()
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if conn, err := net.Dial("unix", socket); err == nil {
				conn.Close()
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("the agent does not listen after %v: %v", patience, err)
			}
		}
		time.Sleep(time.Second) // a process that cannot log anything has no other sign of the blocked writer
		return cmd
	})
}

// fill writes to a pipe until it is full.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	raw, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		for size := 1 << 16; size > 0; size /= 2 {
			for err == nil {
				_, err = unix.Write(int(fd), bytes.Repeat([]byte{'x'}, size))
			}
			if !errors.Is(err, unix.EAGAIN) {
				t.Error(err)
			}
			err = nil
		}
	})
}

func TestSecondSignal(t *testing.T) {
	for range tries {
		cmd, log := startAgent(t, nil, "--config", filepath.Join(t.TempDir(), "c.json"), "--listen", "127.0.0.1:0")
		dial(t, awaitLog(t, log, `msg=Listening address=(\S+)\n`)) // the agent waits for it, for more than half a second
		awaitLog(t, log, "Telemetry service started")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		_, err := end(t, cmd, syscall.SIGTERM)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			if status := exit.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGTERM {
				return
			}
			t.Fatalf("got %v, want killed by the signal", err)
		}
		// It had exited before the second signal, on a slow machine.
	}
	t.Skip("the machine is too slow to send two signals within half a second")
}
