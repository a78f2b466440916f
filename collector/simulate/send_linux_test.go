package simulate_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/collector/simulate"
)

// A connection that is still being opened at the end has not failed: nothing was to be sent any more.
func TestSendEndsWhileConnecting(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// Nobody takes connections from the queue: once it is full, no further one is opened.
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	full := false
	for range 10 {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if full = err != nil; full {
			break
		}
		defer conn.Close()
	}
	if !full {
		t.Fatal("the queue does not fill up")
	}
	s := simulate.Sending{Endpoint: "http://" + l.Addr().String(), Connections: 16, Duration: 20 * time.Millisecond}
	for range 20 {
		if result, err := s.Run(t.Context(), endless); err != nil || result.Failed > 0 {
			t.Fatalf("got %d failed (%s), %v, want none", result.Failed, result.Error, err)
		}
	}
}
