package isolate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// A child is a process that serves requests.
type child struct {
	process *os.Process
	in, out *os.File // the ends of the pipes to and from it
	expiry  *time.Timer
}

// ask sends a request and waits for the answer, however long that takes. When
// ctx ends, it closes the child's input. The child can be reused if usable is
// true; otherwise it has to be ended.
func (c *child) ask(ctx context.Context, req request) (a answer, usable bool, err error) {
	stop := context.AfterFunc(ctx, func() { c.in.Close() })
	err = writeMessage(c.in, &req)
	if err == nil {
		err = readMessage(c.out, &a)
	}
	return a, stop() && err == nil, err
}

// end closes the child's pipes and waits for its end. The error says how it
// ended, if not well.
func (c *child) end() error {
	c.in.Close()
	c.out.Close()
	state, err := c.process.Wait()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	return err
}

// inherited are the environment variables that a child gets as well. Without
// SystemRoot, Windows has no random numbers. The others say what a build with
// the race detector or with coverage does at its end.
var inherited = []string{"SystemRoot", "GORACE", "GOCOVERDIR"}

// startChild starts this program again, as a child. The child gets no terminal
// and next to nothing of the environment: all it needs is in the request.
//
// Package os/exec would do the same in fewer lines, but add 60 kB to a host
// that does not use it otherwise.
func startChild() (*child, error) {
	path, err := executable()
	if err != nil {
		return nil, err
	}
	environment := []string{childVariable + "=" + protocolVersion, "GOMAXPROCS=1"}
	for _, name := range inherited {
		if value := os.Getenv(name); value != "" {
			environment = append(environment, name+"="+value)
		}
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer childIn.Close()
	out, childOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer childOut.Close()
	process, err := os.StartProcess(path, []string{path}, &os.ProcAttr{
		Dir: string(os.PathSeparator),
		Env: environment,
		// What it writes to standard error is lost. It cannot be written to
		// its input, and a system may have no /dev/null.
		Files: []*os.File{childIn, childOut, childIn},
		Sys:   detached(),
	})
	if err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return &child{process: process, in: in, out: out}, nil
}

// Available returns why this process can have no child: the system cannot say
// which program it is, as Linux without /proc. It does not touch the disk.
func Available() error {
	if _, err := os.Executable(); err != nil {
		return fmt.Errorf("this process cannot start itself again: %w", err)
	}
	return nil
}

func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil // even if an update replaced the binary
	}
	return os.Executable()
}
