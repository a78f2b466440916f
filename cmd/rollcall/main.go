package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// The exit codes, which doc.go describes.
const (
	exitOK      = 0
	exitError   = 1
	exitProblem = 2
	exitNotWell = 3
)

// The main goroutine keeps the main thread, and so does no file
// operation on it. Linux delivers a signal to the main thread first,
// even if that thread waits for a hung disk and cannot take it. Without
// this, an agent with --isolate=false would miss SIGTERM.
func init() { runtime.LockOSThread() }

func main() {
	rollcall.RunChild() // does not return in the child process that does the file work
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
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
	printError(stderr, err)
	return exitError
}

func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "rollcall: %v\n", err)
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintf(w, "  hint: %s\n", hinted.hint)
	}
}

// An exitCode ends a command whose output needs no error message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// A hintedError is an error with advice on what to do next.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

// untilSignal returns a context that ends with the first SIGINT or
// SIGTERM. After that the process exits within the limit, unless done
// is called, and at once on a second signal.
func untilSignal(parent context.Context, limit time.Duration) (ctx context.Context, done func()) {
	ctx, release := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		release() // so that a second signal kills the process
		select {
		case <-time.After(limit):
			os.Exit(exitOK)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		release()
	}
}
