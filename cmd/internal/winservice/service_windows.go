// Package winservice runs a program as a service of Windows.
package winservice

import (
	"context"
	"io"
	"strings"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
)

// Run calls run if the service manager started this process, and returns
// its exit code. The context ends when the service is told to stop, or the
// machine shuts down. What run writes to stderr goes to the event log, a line
// an event, from a source with the service's name. In any other process, Run
// returns false at once.
func Run(run func(ctx context.Context, stderr io.Writer) int) (code int, ok bool) {
	if is, err := svc.IsWindowsService(); err != nil || !is {
		return 0, false
	}
	s := &service{run: run, openLog: openLog}
	// The name does not matter: the process has one service.
	if err := svc.Run("", s); err != nil {
		return 1, true
	}
	return s.code, true
}

// openLog opens the event log. Without it, lines are dropped: there is nobody
// else to tell.
func openLog(name string) io.WriteCloser {
	log, err := eventlog.Open(name)
	if err != nil {
		return discard{}
	}
	return events{log}
}

// A service is the only one of this process.
type service struct {
	run     func(ctx context.Context, stderr io.Writer) int
	openLog func(name string) io.WriteCloser
	code    int // what run returned
}

// Execute is called once, with the service's name in args.
func (s *service) Execute(args []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	status <- svc.Status{State: svc.StartPending}
	var name string
	if len(args) > 0 {
		name = args[0]
	}
	log := s.openLog(name)
	defer log.Close()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- s.run(ctx, log) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	status <- running
	for {
		select {
		case s.code = <-ended:
			// A code other than 0 counts as a failure, so that the recovery
			// actions of the service apply.
			return true, uint32(s.code)
		case request := <-requests:
			switch request.Cmd {
			case svc.Interrogate:
				status <- request.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending}
				stop()
			}
		}
	}
}

// events writes to the event log.
type events struct{ log *eventlog.Log }

// maxEvent is the longest text of an event, in bytes of UTF-16.
const maxEvent = 31839

func (e events) Write(p []byte) (int, error) {
	text := strings.ReplaceAll(strings.TrimRight(string(p), "\r\n"), "\x00", "")
	if err := e.log.Info(1, text[:min(len(text), maxEvent/2)]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (e events) Close() error { return e.log.Close() }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
