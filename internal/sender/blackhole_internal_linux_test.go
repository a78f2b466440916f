//go:build !rollcall_nosend

package sender

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// N1: SYNs are dropped, as the kernel does for a listener whose queue is
// full. The limit of the connection is TestStalls' concern.
func TestSYNDropped(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	refused := 0 // in a row; a single one may be due to a busy machine
	for range 20 {
		conn, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			if refused++; refused == 3 {
				break
			}
			continue
		}
		refused = 0
		defer conn.Close()
	}
	if refused < 3 {
		t.Fatal("the queue does not fill up")
	}
	noLeaks(t)
	dialer := new(conns).dialer(100*time.Millisecond, net.DefaultResolver)
	if _, err := dialer.DialContext(t.Context(), "tcp", address); err == nil || noAnswer(nil, err).Text != "no connection within 10 seconds" {
		t.Errorf("got %v, want a time-out", err)
	}
	dialing := make(chan struct{}, 1)
	dialer = new(conns).dialer(10*time.Second, net.DefaultResolver)
	dialer.Control = func(string, string, syscall.RawConn) error { dialing <- struct{}{}; return nil }
	r := newRig(t)
	s := r.onWire("http://"+address, func(_ *Config, n *network) { n.dial = dialer.DialContext })
	done := make(chan error, 1)
	go func() { done <- s.SendNow(t.Context()) }()
	<-dialing
	began := time.Now()
	s.Stop(t.Context())
	if took := time.Since(began); took > patience {
		t.Errorf("stop took %v", took)
	}
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}
