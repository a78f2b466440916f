// Package flight runs operations that may hang, such as file operations, so that the caller never does.
//
// A system call on a hung disk cannot be cancelled: an operation that is given up goes on in its goroutine until the
// kernel lets go of it. A [Flight] therefore runs at most one operation at a time. Those that come while one is stuck
// wait for it, each within its own context, and start none of their own: a disk that hangs for ever costs one
// goroutine, however often it is tried.
package flight

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// ErrTimeout says that the context ended before the operation did. It comes together with the context's cause.
var ErrTimeout = errors.New("timed out")

// PanicError is what a function that panicked, or that ended its goroutine, is reported as.
type PanicError struct {
	Value any    // what it panicked with; nil after runtime.Goexit
	Stack []byte // where
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "ended its goroutine"
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// A Flight runs at most one operation at a time. The zero value is ready to use; it must not be copied. It is safe for
// concurrent use.
type Flight struct {
	mu    sync.Mutex
	free  chan struct{} // closed when the running operation is over; nil when none is running
	op    string
	since time.Time
}

// Running tells which operation is in flight and since when; op is "" when none is.
func (f *Flight) Running() (op string, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.op, f.since
}

// Do runs fn in a goroutine of its own and returns what it returns, or an error that is [ErrTimeout] as soon as ctx
// ends. fn gets ctx and has to look at it between its steps: an operation that was given up stops at the next step it
// reaches. While an earlier operation of f is still running, Do waits for it, also no longer than ctx.
//
// A panic of fn comes back as a *[PanicError]. What fn shares with its caller it may use after Do has returned.
func Do[T any](ctx context.Context, f *Flight, op string, fn func(context.Context) (T, error)) (T, error) {
	var none T
	done, err := f.begin(ctx, op)
	if err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	results := make(chan result, 1)
	go func() {
		var r result
		returned := false
		defer func() {
			if !returned {
				r.err = fmt.Errorf("%s: %w", op, &PanicError{Value: recover(), Stack: debug.Stack()})
			}
			done()
			results <- r
		}()
		r.value, r.err = fn(ctx)
		returned = true
	}()
	var r result
	select {
	case r = <-results:
	case <-ctx.Done():
		select {
		case r = <-results: // it came in time after all
		default:
			return none, timeoutError(op, context.Cause(ctx))
		}
	}
	if r.err != nil && ctx.Err() != nil && errors.Is(r.err, ctx.Err()) {
		return none, timeoutError(op, r.err) // fn was the first to notice
	}
	return r.value, r.err
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
