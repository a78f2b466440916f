package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/rollcall-dev/rollcall"
)

// The exit codes; doc.go describes them.
const (
	exitOK      = 0
	exitError   = 1
	exitProblem = 2
	exitNotWell = 3
)

// The main goroutine keeps the main thread for itself, and so out of file operations. Linux gives a signal to the main
// thread before all others, also while that waits for a hung disk and will not take it: with --isolate=false the agent
// would not hear of SIGTERM.
func init() { runtime.LockOSThread() }

func main() {
	rollcall.RunChild() // in the child process that does the file work, this does not return
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	fmt.Fprintf(stderr, "rollcall: %v\n", err)
	if h, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintf(stderr, "  hint: %s\n", h.hint)
	}
	return exitError
}

// exitCode ends a command whose output has said all there is to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// hintedError is an error and what its reader can do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// withHint adds a hint to err.
func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}
