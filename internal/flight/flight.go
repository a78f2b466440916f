// Package flight runs operations that may hang, such as file operations, so
// that the caller never does.
//
// A system call on a hung disk cannot be cancelled: an abandoned operation
// continues in its goroutine until the kernel lets go of it. A [Flight]
// therefore runs at most one operation at a time. Later ones wait for it, each
// within its own context, and start none of their own: a disk that hangs
// forever costs one goroutine, however often it is tried.
package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrTimeout means that the context ended before the operation did. The error
// wraps the context's cause too.
var ErrTimeout = errors.New("timed out")

// A PanicError is the error of a function that panicked or ended its goroutine.
type PanicError struct {
	Value any    // of the panic; nil after runtime.Goexit
	Stack []byte // of the panic
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "ended its goroutine"
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// A Flight runs at most one operation at a time. The zero value is ready to
// use; it must not be copied. It is safe for concurrent use.
type Flight struct {
	mu    sync.Mutex
	free  chan struct{} // closed when the running operation ends; nil if none runs
	op    string
	since time.Time
}

// Running returns the operation in flight and when it began; op is "" if there
// is none.
func (f *Flight) Running() (op string, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.op, f.since
}

// Do runs fn in a goroutine of its own and returns its results, or an error
// that wraps [ErrTimeout] as soon as ctx ends. While an earlier operation of f
// runs, Do waits for it, also until ctx ends. fn receives ctx and must check it
// between its steps: an abandoned operation stops at its next step. fn may run
// on after Do has returned, so it must not write what the caller reads.
//
// A panic of fn, or of its error's methods, is returned as a *[PanicError].
func Do[T any](ctx context.Context, f *Flight, op string, fn func(context.Context) (T, error)) (T, error) {
	value := new(T) // read only once fn has returned
	returned, err := f.run(ctx, op, func() (err error) {
		*value, err = fn(ctx)
		return err
	})
	if !returned {
		var none T
		return none, err
	}
	return *value, err
}

// run is Do without a value, so that the compiler makes one copy of it for all
// types. It reports whether fn returned in time and not because ctx ended.
func (f *Flight) run(ctx context.Context, op string, fn func() error) (returned bool, err error) {
	done, err := f.begin(ctx, op)
	if err != nil {
		return false, err
	}
	results := make(chan error, 1)
	go func() {
		var err error
		finished := false
		defer func() {
			if !finished {
				err = fmt.Errorf("%s: %w", op, &PanicError{Value: recover(), Stack: debug.Stack()})
			}
			done()
			results <- err
		}()
		if err = fn(); err != nil {
			// A nil pointer in the error panics here rather than in the caller.
			_, _ = err.Error(), errors.Is(err, ErrTimeout)
		}
		finished = true
	}()
	select {
	case err = <-results:
	case <-ctx.Done():
		select {
		case err = <-results: // in time after all
		default:
			return false, timeoutError(op, context.Cause(ctx))
		}
	}
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return false, timeoutError(op, err) // fn was the first to notice
	}
	return true, err
}

// begin waits until no operation is running and marks op as the running one.
func (f *Flight) begin(ctx context.Context, op string) (done func(), err error) {
	for {
		if ctx.Err() != nil {
			return nil, timeoutError(op, context.Cause(ctx))
		}
		f.mu.Lock()
		free, running := f.free, f.op
		if free == nil {
			mine := make(chan struct{})
			f.free, f.op, f.since = mine, op, time.Now()
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				f.free, f.op, f.since = nil, "", time.Time{}
				f.mu.Unlock()
				close(mine)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (an earlier operation is still running: %s)", timeoutError(op, context.Cause(ctx)), running)
		}
	}
}

func timeoutError(op string, cause error) error {
	return fmt.Errorf("%s: %w: %w", op, ErrTimeout, cause)
}
