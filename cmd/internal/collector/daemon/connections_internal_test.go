package daemon

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// A fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from   netip.Addr
	closed chan struct{}
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 1))
}
func (c *fakeConn) Close() error { close(c.closed); return nil }

func (c *fakeConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func newFakeConn(from string) *fakeConn {
	return &fakeConn{from: netip.MustParseAddr(from), closed: make(chan struct{})}
}

func testConnections() *connections {
	c := newConnections([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, limit.NewFlood(slog.New(slog.DiscardHandler)))
	c.max, c.maxPerPrefix = 8, 3
	return c
}

// Connections without a request make room, those of the same network first.
func TestQuietConnectionsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConnections()
		var flood []*fakeConn
		for range 20 {
			conn := newFakeConn("192.0.2.1")
			if c.add(conn) == nil {
				t.Fatal("a connection was refused, although others are quiet")
			}
			flood = append(flood, conn)
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		for i, conn := range flood {
			if want := i < 17; conn.isClosed() != want {
				t.Errorf("connection %d: closed %v, want %v", i, !want, want)
			}
		}
		if len(c.all) != 3 {
			t.Errorf("got %d connections, want 3", len(c.all))
		}
		// One with a request stays.
		busy := newFakeConn("192.0.2.2")
		held := c.add(busy)
		c.changed(held, http.StateActive)
		for range 20 {
			c.add(newFakeConn("192.0.2.2"))
		}
		synctest.Wait()
		if busy.isClosed() {
			t.Error("a connection with a request was closed for quiet ones")
		}
		c.changed(held, http.StateIdle)
		time.Sleep(time.Millisecond)
		for range 3 {
			c.add(newFakeConn("192.0.2.2"))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if !busy.isClosed() {
			t.Error("an idle connection stayed")
		}
	})
}

// Where all have requests, the network with the most loses one, and a network
// that has its share already gets no more.
func TestBusyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConnections()
		add := func(from string) (*fakeConn, *connection) {
			conn := newFakeConn(from)
			held := c.add(conn)
			if held != nil {
				c.changed(held, http.StateActive)
			}
			time.Sleep(time.Millisecond)
			return conn, held
		}
		oldest, _ := add("192.0.2.1")
		for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "10.0.0.1", "10.0.0.1", "10.0.0.1"} {
			if _, held := add(from); held == nil {
				t.Fatalf("%s was refused", from)
			}
		}
		if _, held := add("192.0.2.1"); held != nil {
			t.Error("a network got more than its share")
		}
		if _, held := add("192.0.2.3"); held == nil {
			t.Error("a newcomer was refused")
		}
		synctest.Wait()
		if !oldest.isClosed() {
			t.Error("the oldest of the network with the most stayed")
		}
		if _, held := add("192.0.2.2"); held != nil && len(c.all) > c.max {
			t.Errorf("got %d connections, want %d at most", len(c.all), c.max)
		}
		time.Sleep(2 * slowAfter)
		if _, held := add("192.0.2.2"); held == nil {
			t.Error("slow requests of its own network kept a newcomer out")
		}
		for conn := range c.all {
			conn.Close()
		}
		if len(c.all) != 0 || len(c.byPrefix) != 0 {
			t.Errorf("after closing all: %d connections, %d networks", len(c.all), len(c.byPrefix))
		}
	})
}
