package flight_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/internal/flight"
)

const limit = 5 * time.Second

// timeout returns a context that ends after the limit.
func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// hang returns an operation that hangs until release is closed, whatever its
// context does.
func hang(release <-chan struct{}, then error) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		<-release
		return "late", then
	}
}

func answer(context.Context) (string, error) { return "answer", nil }

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, flight.ErrTimeout) {
		t.Errorf("got %v, want a timeout", err)
	}
}

func requireTook(t *testing.T, begin time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(begin); got != want {
		t.Errorf("took %v, want %v", got, want)
	}
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		ctx := timeout(t)
		got, err := flight.Do(ctx, &f, "read", func(given context.Context) (string, error) {
			if given != ctx {
				t.Error("another context")
			}
			return "value", io.EOF
		})
		if got != "value" || err != io.EOF {
			t.Errorf("got %q, %v, want what the function returned", got, err)
		}
	})
}

// TestHang: an operation that hangs is abandoned when the context ends.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		release := make(chan struct{})
		begin := time.Now()
		got, err := flight.Do(timeout(t), &f, "save", hang(release, nil))
		if got != "" {
			t.Errorf("got %q", got)
		}
		requireTimeout(t, err)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "save: timed out: ") {
			t.Errorf("got %v", err)
		}
		requireTook(t, begin, limit)
		if op, since := f.Running(); op != "save" || since != begin {
			t.Errorf("running: got %q since %v", op, since)
		}
		close(release)
		synctest.Wait()
		if op, since := f.Running(); op != "" || !since.IsZero() {
			t.Errorf("running: got %q since %v, want none", op, since)
		}
	})
}

// TestOneAtATime: while an operation hangs none is started, and later ones wait.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		release := make(chan struct{})
		flight.Do(timeout(t), &f, "save", hang(release, nil))

		var started atomic.Int32
		count := func(context.Context) (string, error) { started.Add(1); return answer(t.Context()) }
		for range 3 {
			begin := time.Now()
			_, err := flight.Do(timeout(t), &f, "read", count)
			requireTimeout(t, err)
			requireTook(t, begin, limit)
			if !strings.Contains(err.Error(), "an earlier operation is still running: save") {
				t.Errorf("the error does not name the earlier operation: %v", err)
			}
		}
		if n := started.Load(); n != 0 {
			t.Errorf("%d were started", n)
		}

		time.AfterFunc(time.Second, func() { close(release) })
		begin := time.Now()
		if got, err := flight.Do(timeout(t), &f, "read", count); got != "answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		requireTook(t, begin, time.Second)
	})
}

// TestManyWait runs many operations one after the other.
func TestManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		var running, most, total atomic.Int32
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				_, err := flight.Do(timeout(t), &f, "save", func(context.Context) (string, error) {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(100 * time.Millisecond)
					running.Add(-1)
					total.Add(1)
					return "", nil
				})
				if err != nil {
					requireTimeout(t, err)
				}
			})
		}
		callers.Wait()
		synctest.Wait()
		if most.Load() != 1 || total.Load() < 49 {
			t.Errorf("%d concurrent ones, %d in total", most.Load(), total.Load())
		}
	})
}

// TestAbandonedRunsOn: an abandoned operation sees that its context has ended,
// and its results are dropped.
func TestAbandonedRunsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		release := make(chan struct{})
		var seen error
		flight.Do(timeout(t), &f, "save", func(ctx context.Context) (string, error) {
			<-release
			seen = ctx.Err()
			return "late", seen
		})
		close(release)
		if got, err := flight.Do(timeout(t), &f, "read", answer); got != "answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if !errors.Is(seen, context.DeadlineExceeded) {
			t.Errorf("its context ended with %v", seen)
		}
	})
}

// TestNoticesFirst: it is a timeout even if the operation notices first.
func TestNoticesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			var f flight.Flight
			_, err := flight.Do(timeout(t), &f, "save", func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			})
			requireTimeout(t, err)
		}
	})
}

// TestEnded: nothing is started after the context has ended.
func TestEnded(t *testing.T) {
	var f flight.Flight
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the cause")
	cancel(cause)
	_, err := flight.Do(ctx, &f, "save", func(context.Context) (string, error) {
		t.Error("it was started")
		return "", nil
	})
	requireTimeout(t, err)
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name string
			fn   func()
			want string
		}{
			{"a text", func() { panic("broken") }, "save: panic: broken"},
			{"an error", func() { panic(io.EOF) }, "save: panic: EOF"},
			{"nil", func() { panic(nil) }, "save: panic: panic called with nil argument"},
			{"Goexit", runtime.Goexit, "save: ended its goroutine"},
			{"a nil pointer as an error", nil, "save: panic: runtime error: invalid memory address or nil pointer dereference"},
		} {
			var f flight.Flight
			got, err := flight.Do(timeout(t), &f, "save", func(context.Context) (string, error) {
				if tt.fn == nil {
					var none *fs.PathError
					return "", none
				}
				tt.fn()
				return "value", nil
			})
			var e *flight.PanicError
			ok := errors.As(err, &e)
			if got != "" || !ok || err.Error() != tt.want {
				t.Errorf("%s: got %q, %v, want %s", tt.name, got, err, tt.want)
			}
			if ok && !strings.Contains(string(e.Stack), "TestPanic") && tt.fn != nil {
				t.Errorf("%s: the stack does not show the panic:\n%s", tt.name, e.Stack)
			}
			if got, err := flight.Do(timeout(t), &f, "read", answer); got != "answer" || err != nil {
				t.Errorf("%s: next operation: got %q, %v", tt.name, got, err)
			}
		}
	})
}

// TestPanicAfterTimeout: the panic of an abandoned operation is dropped, and ends
// the operation.
func TestPanicAfterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flight.Flight
		release := make(chan struct{})
		_, err := flight.Do(timeout(t), &f, "save", func(context.Context) (string, error) {
			<-release
			panic("late")
		})
		requireTimeout(t, err)
		close(release)
		if got, err := flight.Do(timeout(t), &f, "read", answer); got != "answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
