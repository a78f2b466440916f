//go:build !rollcall_nosend

package sender

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is for a machine that is busy. It is less than the time limit of a
// connection, so a wait for that is found out.
const patience = 8 * time.Second

// noLeaks checks at the end of the test that nothing works any more, and that
// no more descriptors are open than now. It is for tests that do not run in
// parallel.
func noLeaks(t *testing.T) {
	t.Helper()
	files := descriptors()
	t.Cleanup(func() {
		for wait := time.Millisecond; ; wait *= 2 {
			stacks, now := working(), descriptors()
			if len(stacks) == 0 && now <= files {
				return
			}
			if wait > 10*time.Second {
				t.Errorf("%d descriptors, %d before; at work:\n%s", now, files, strings.Join(stacks, "\n\n"))
				return
			}
			time.Sleep(wait)
		}
	})
}

// descriptors counts those that are open, where the system tells.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	n := 0
	for _, e := range entries {
		// The runtime's poller stays, once it is there.
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(target, "anon_inode:") {
			n++
		}
	}
	return n
}

// serveTCP serves each connection to a socket with serve.
func serveTCP(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// Over real sockets, with DNS of the system, nothing is left either.
func TestSockets(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(nil)
	fails := func(t *testing.T, endpoint, want string) {
		t.Helper()
		noLeaks(t)
		r := newRig(t)
		began := time.Now()
		r.fails(r.onWire(endpoint, nil), want)
		if took := time.Since(began); took > patience {
			t.Errorf("took %v", took)
		}
	}
	t.Run("resets", func(t *testing.T) {
		fails(t, "http://"+serveTCP(t, func(conn net.Conn) { readRequest(conn); conn.(*net.TCPConn).SetLinger(0) }), "no answer from the collector: ")
	})
	t.Run("hangs up", func(t *testing.T) {
		fails(t, "http://"+serveTCP(t, readRequest), "the connection was closed")
	})
	t.Run("nobody listens", func(t *testing.T) {
		fails(t, "http://127.0.0.1:1", "no answer from the collector: ")
	})
	t.Run("TLS", func(t *testing.T) {
		noLeaks(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var collector recorder
		server := start(t, l, &cert, collector.ServeHTTP)
		r := newRig(t)
		r.succeeds(r.onWire(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), func(c *Config, _ *network) { c.CAFile = ca.file }))
		if collector.count() != 1 || collector.requests[0].Proto != "HTTP/1.1" || collector.bodies[0] != "heartbeat" {
			t.Errorf("got %d requests: %+v", collector.count(), collector.requests)
		}
	})
	for _, with := range []string{"http", "https"} {
		t.Run("stop during "+with, func(t *testing.T) {
			noLeaks(t)
			reached := make(chan struct{}, 1)
			address := serveTCP(t, func(conn net.Conn) {
				readRequest(conn)
				reached <- struct{}{}
				io.Copy(io.Discard, conn)
			})
			r := newRig(t)
			s := r.onWire(with+"://"+address, nil)
			done := make(chan error, 1)
			go func() { done <- s.SendNow(t.Context()) }()
			<-reached
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
}

const proxyChild = "ROLLCALL_TEST_PROXY_CHILD"

// The proxy of the environment, which Go reads once in a process. This one is
// a child.
func TestProxyFromEnvironment(t *testing.T) {
	if caFile := os.Getenv(proxyChild); caFile != "" {
		s := New(Config{Endpoint: "https://" + testHost, CAFile: caFile, UserAgent: "child", Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
		fmt.Printf("result: %v\n", s.Upload(t.Context(), []byte("from a child")))
		return
	}
	ca := newAuthority(t)
	cert := ca.issue(nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var collector recorder
	start(t, l, &cert, collector.ServeHTTP)
	proxy := &connectProxy{to: l.Addr().String(), lead: func(conn net.Conn, in io.Reader, to string) {
		onward, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer onward.Close()
		go func() {
			io.Copy(onward, in)
			onward.Close()
		}()
		io.Copy(conn, onward)
	}}
	address := serveTCP(t, proxy.serve)
	other := newAuthority(t)
	tried, succeed := 0, 0
	for _, tt := range []struct{ password, caFile, systemFile, want string }{
		{proxyPassword, ca.file, "", "result: <nil>"},
		{"not " + proxyPassword, ca.file, "", "result: the proxy answered 407 (proxy authentication required)"},
		{proxyPassword, other.file, other.file, "result: the collector's certificate is not trusted: it is signed by an unknown authority"},
		{proxyPassword, other.file, ca.file, "result: <nil>"}, // CAFile adds to the system's
	} {
		if tt.systemFile != "" && (runtime.GOOS == "windows" || runtime.GOOS == "darwin") {
			continue // the system's certificates are no file
		}
		if tried++; strings.HasSuffix(tt.want, "<nil>") {
			succeed++
		}
		u := url.URL{Scheme: "http", Host: address, User: url.UserPassword(proxyUser, tt.password)}
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyFromEnvironment$")
		child.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.Contains(strings.ToLower(v), "_proxy=") || strings.HasPrefix(v, "GOCOVERDIR=")
		}), "HTTPS_PROXY="+u.String(), proxyChild+"="+tt.caFile)
		if tt.systemFile != "" {
			child.Env = append(child.Env, "SSL_CERT_FILE="+tt.systemFile, "SSL_CERT_DIR="+t.TempDir())
		}
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), tt.want+"\n") {
			t.Errorf("got %v, want %q in:\n%s", err, tt.want, out)
		}
		checkNoSecret(t, "output", string(out))
	}
	if collector.count() != succeed || collector.bodies[0] != "from a child" || int(proxy.asked.Load()) != tried {
		t.Errorf("got %d requests, want %d; proxy asked %d times, want %d", collector.count(), succeed, proxy.asked.Load(), tried)
	}
}

// An attempt that is given up while it dials does not dial.
func TestDialAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrStopped)
	c := &conns{ctx: ctx}
	dial := c.bind(func(context.Context, string, string) (net.Conn, error) {
		t.Error("it dials")
		return nil, http.ErrServerClosed
	})
	if _, err := dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}

// A connection that comes about after the end is closed.
func TestConnAfterTheEnd(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	c := &conns{ctx: t.Context()}
	dial := c.bind(func(context.Context, string, string) (net.Conn, error) {
		c.close()
		return near, nil
	})
	if _, err := dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is open: %v", err)
	}
}
