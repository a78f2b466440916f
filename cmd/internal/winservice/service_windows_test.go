package winservice

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/windows/svc"
)

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// A service says that it runs, answers questions, and stops when it is told to.
func TestExecute(t *testing.T) {
	for _, command := range []svc.Cmd{svc.Stop, svc.Shutdown} {
		var log buffer
		var source string
		s := &service{
			run: func(ctx context.Context, stderr io.Writer) int {
				fmt.Fprintln(stderr, "a line")
				<-ctx.Done()
				return 0
			},
			openLog: func(name string) io.WriteCloser { source = name; return &log },
		}
		requests, status := make(chan svc.ChangeRequest), make(chan svc.Status)
		type result struct {
			specific bool
			code     uint32
		}
		done := make(chan result)
		go func() {
			specific, code := s.Execute([]string{"rollcall-agent"}, requests, status)
			done <- result{specific, code}
		}()
		if got := <-status; got.State != svc.StartPending {
			t.Errorf("got %v first, want StartPending", got)
		}
		running := <-status
		if running.State != svc.Running || running.Accepts != svc.AcceptStop|svc.AcceptShutdown {
			t.Errorf("got %v, want Running, which accepts to stop", running)
		}
		requests <- svc.ChangeRequest{Cmd: svc.Interrogate, CurrentStatus: running}
		if got := <-status; got != running {
			t.Errorf("got %v when asked, want %v", got, running)
		}
		requests <- svc.ChangeRequest{Cmd: command}
		if got := <-status; got.State != svc.StopPending {
			t.Errorf("got %v, want StopPending", got)
		}
		if got := <-done; got != (result{true, 0}) {
			t.Errorf("got %v at the end, want code 0", got)
		}
		if source != "rollcall-agent" || log.String() != "a line\n" {
			t.Errorf("got %q from the source %q in the log", log.String(), source)
		}
	}
}

// A program that ends by itself with an error is a failure to the service
// manager, which then restarts it.
func TestExecuteFails(t *testing.T) {
	s := &service{
		run:     func(context.Context, io.Writer) int { return 3 },
		openLog: func(string) io.WriteCloser { return discard{} },
	}
	status := make(chan svc.Status, 3)
	specific, code := s.Execute(nil, make(chan svc.ChangeRequest), status)
	if !specific || code != 3 || s.code != 3 {
		t.Errorf("got specific %t, code %d, and %d, want 3", specific, code, s.code)
	}
}

// This process was not started by the service manager.
func TestRunOutside(t *testing.T) {
	called := false
	if code, ok := Run(func(context.Context, io.Writer) int { called = true; return 0 }); ok || called || code != 0 {
		t.Errorf("got code %d, ok %t, and called %t in a process that is no service", code, ok, called)
	}
}
