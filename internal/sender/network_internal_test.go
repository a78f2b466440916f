//go:build !rollcall_nosend

package sender

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A memoryNet is a network in memory, for bubbles. Its servers are closed at
// the end of the test, when no client's connection may be open any more.
type memoryNet struct {
	t       *testing.T
	mu      sync.Mutex
	servers map[string]func(net.Conn) // by address
	conns   []*memoryConn             // the servers' ends
	open    atomic.Int32              // clients' connections
}

func newMemoryNet(t *testing.T) *memoryNet {
	m := &memoryNet{t: t, servers: map[string]func(net.Conn){}}
	t.Cleanup(func() {
		if n := m.open.Load(); n != 0 {
			t.Errorf("%d connections are left open", n)
		}
		for _, conn := range m.conns {
			conn.Close()
		}
		time.Sleep(time.Second) // until the last ones are closed
	})
	return m
}

// listen serves each connection with serve, which may do what it likes.
func (m *memoryNet) listen(serve func(net.Conn)) (address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	address = fmt.Sprintf("127.0.0.1:%d", 10_000+len(m.servers))
	m.servers[address] = serve
	return address
}

// dial is a dialFunc for clients.
func (m *memoryNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := m.connect(network, address)
	if err != nil {
		return nil, err
	}
	m.open.Add(1)
	return &clientConn{memoryConn: conn, open: &m.open}, nil
}

func (m *memoryNet) connect(network, address string) (*memoryConn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	serve := m.servers[address]
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	a, b := net.Pipe()
	client, server := newMemoryConn(a), newMemoryConn(b)
	m.conns = append(m.conns, server)
	go func() {
		defer server.Close()
		serve(server)
	}()
	return client, nil
}

// lead copies between a connection and a new one to address, until both end.
func (m *memoryNet) lead(conn net.Conn, in io.Reader, address string) {
	onward, err := m.connect("tcp", address)
	if err != nil {
		return
	}
	defer onward.Close()
	go func() {
		io.Copy(onward, in)
		onward.Close()
	}()
	io.Copy(conn, onward)
}

// A memoryConn is one end of a connection. Unlike that of a net.Pipe, it
// buffers what is written, as a socket does.
type memoryConn struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func newMemoryConn(pipe net.Conn) *memoryConn {
	c := &memoryConn{Conn: pipe, out: make(chan []byte, 16), closed: make(chan struct{})}
	go c.pump()
	return c
}

// pump writes what is buffered. After Close the peer gets the rest of it, if
// it reads.
func (c *memoryConn) pump() {
	defer c.Conn.Close()
	for {
		select {
		case data := <-c.out:
			if _, err := c.Conn.Write(data); err != nil {
				c.Close()
				return
			}
			continue
		case <-c.closed:
		}
		select {
		case data := <-c.out:
			c.Conn.Write(data)
		default:
			return
		}
	}
}

func (c *memoryConn) Write(data []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case c.out <- bytes.Clone(data):
		return len(data), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *memoryConn) Read(data []byte) (int, error) {
	n, err := c.Conn.Read(data)
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

// SetWriteDeadline does nothing: a write does not wait for the peer.
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

func (c *memoryConn) SetDeadline(at time.Time) error { return c.SetReadDeadline(at) }

func (c *memoryConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.Conn.SetReadDeadline(time.Unix(1, 0))
		c.Conn.SetWriteDeadline(time.Now().Add(time.Millisecond))
	})
	return nil
}

// A clientConn is counted while it is open.
type clientConn struct {
	*memoryConn
	closing sync.Once
	open    *atomic.Int32
}

func (c *clientConn) Close() error {
	c.closing.Do(func() { c.open.Add(-1) })
	return c.memoryConn.Close()
}

// silent reads everything and says nothing.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// says reads a request, answers with a text as it is, and then says more
// forever, a piece after every pause.
func says(text string, pause time.Duration, more string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		conn.Write([]byte(text))
		for more != "" {
			if _, err := io.WriteString(conn, more); err != nil {
				return
			}
			time.Sleep(pause)
		}
		silent(conn)
	}
}

// readRequest reads the first bytes that come.
func readRequest(conn net.Conn) { conn.Read(make([]byte, 4<<10)) }

// A relay leads to a server and counts what the client says.
type relay struct {
	m    *memoryNet
	to   string
	said atomic.Int64
}

func (r *relay) serve(conn net.Conn) { r.m.lead(conn, io.TeeReader(conn, r), r.to) }

func (r *relay) Write(data []byte) (int, error) {
	r.said.Add(int64(len(data)))
	return len(data), nil
}

// Package net makes a channel at the first lookup of a process. It must not
// belong to a bubble.
func init() {
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	(&net.Resolver{PreferGo: true, Dial: refuse}).LookupHost(context.Background(), "collector.invalid")
}

// resolver returns a resolver whose name server is serve; it counts questions.
func (m *memoryNet) resolver(serve func(net.Conn)) (*net.Resolver, *atomic.Int32) {
	asked := new(atomic.Int32)
	address := m.listen(func(conn net.Conn) {
		asked.Add(1)
		serve(conn)
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return m.dial(ctx, network, address)
		},
	}, asked
}
