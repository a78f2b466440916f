//go:build !rollcall_nosend

package sender

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// N1: SYNs are dropped, as the kernel does for a listener whose queue is full.
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
	full := false
	for range 10 {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if full = err != nil; full {
			break
		}
		defer conn.Close()
	}
	if !full {
		t.Fatal("the queue does not fill up")
	}
	t.Run("limit", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		r.fails(r.onWire("http://"+address, nil), "no connection within 10 seconds")
	})
	t.Run("stop", func(t *testing.T) {
		noLeaks(t)
		r := &rig{t: t, id: testID(1)}
		s := r.onWire("http://"+address, unhurried)
		done := make(chan error, 1)
		go func() { done <- s.SendNow(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		s.Stop(t.Context())
		if took := time.Since(began); took > patience {
			t.Errorf("stop took %v", took)
		}
		if err := <-done; !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want %v", err, ErrStopped)
		}
	})
}
