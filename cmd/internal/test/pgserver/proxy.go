package pgserver

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// A Direction is one of the two ways through a [Proxy].
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// A Proxy forwards connections to a server, and cuts or stops them at chosen bytes.
// It is safe for concurrent use.
type Proxy struct {
	Port     int
	target   string
	listener net.Listener

	mu     sync.Mutex
	change *sync.Cond
	down   bool
	paused [2]bool
	armed  bool
	stays  bool // down after the cut
	dir    Direction
	left   int // bytes until the cut
	conns  map[net.Conn]bool
}

// NewProxy returns a proxy for a port of loopback, until the end of the test.
func NewProxy(t testing.TB, port int) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Port: l.Addr().(*net.TCPAddr).Port, target: fmt.Sprintf("127.0.0.1:%d", port), listener: l, conns: map[net.Conn]bool{}}
	p.change = sync.NewCond(&p.mu)
	go p.serve()
	t.Cleanup(func() {
		l.Close()
		p.SetDown(true)
	})
	return p
}

// Cut makes the proxy forward after more bytes in a direction, over all
// connections together, and then reset them all.
func (p *Proxy) Cut(dir Direction, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.stays, p.dir, p.left = true, false, dir, after
}

// CutForGood is Cut, after which the proxy stays down; see SetDown.
func (p *Proxy) CutForGood(dir Direction, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed, p.stays, p.dir, p.left = true, true, dir, after
}

// Disarm undoes a Cut that has not happened, and reports whether it had happened.
func (p *Proxy) Disarm() (happened bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	happened = !p.armed
	p.armed = false
	return happened
}

// Cutting reports whether a Cut has happened.
func (p *Proxy) Cutting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.armed
}

// SetDown resets all connections and refuses new ones, or accepts them again.
func (p *Proxy) SetDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down = down; down {
		p.cut()
	}
}

// Pause stops or continues to forward in a direction. Connections stay.
func (p *Proxy) Pause(dir Direction, paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused[dir] = paused
	p.change.Broadcast()
}

// cut resets all connections. The caller holds mu.
func (p *Proxy) cut() {
	for conn := range p.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		delete(p.conns, conn)
	}
	p.change.Broadcast()
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		if p.down {
			p.cut()
		}
		p.mu.Unlock()
		go p.forward(ToServer, server, client)
		go p.forward(ToClient, client, server)
	}
}

func (p *Proxy) forward(dir Direction, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !p.pass(dir, to, buf[:n]) {
			return
		}
		if err != nil {
			if err == io.EOF {
				_ = to.(*net.TCPConn).CloseWrite()
			}
			return
		}
	}
}

// pass writes bytes up to the cut.
func (p *Proxy) pass(dir Direction, to net.Conn, data []byte) bool {
	p.mu.Lock()
	for p.paused[dir] && p.conns[to] {
		p.change.Wait()
	}
	if !p.conns[to] {
		p.mu.Unlock()
		return false
	}
	cut := false
	if p.armed && p.dir == dir {
		if cut = len(data) > p.left; cut {
			data = data[:p.left]
			p.armed = false
			p.down = p.down || p.stays
		}
		p.left -= len(data)
	}
	p.mu.Unlock()
	_, err := to.Write(data)
	if cut {
		p.mu.Lock()
		p.closeOrderly(to)
		p.cut()
		p.mu.Unlock()
	}
	return err == nil && !cut
}

// closeOrderly closes a connection so that what was written to it arrives. The
// caller holds mu.
func (p *Proxy) closeOrderly(conn net.Conn) {
	conn.Close()
	delete(p.conns, conn)
}
