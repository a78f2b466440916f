package daemon

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// The bounds of connections. Each costs some 40 kB, and with HTTP/2 up to
// maxStreamBytes for each unfinished request besides.
const (
	maxConnections = 2048
	// A prefix may have one in prefixShare of all connections.
	prefixShare = 4
	// slowAfter is when a request is slow, so that a further one from there may
	// take its place.
	slowAfter = 2 * time.Second
	// reservedFiles are descriptors for the disk, the verbs, and alerts.
	reservedFiles = 128

	maxStreams         = 64
	maxStreamBytes     = 64 << 10
	maxConnectionBytes = 256 << 10
)

// connections bounds the connections of all servers, in total and by address
// prefix, so that there are always descriptors and memory left. Where there are
// too many, the one goes that has been without a request for the longest time:
// of a flood of connections that send nothing, each closes another. If none is
// without a request, the oldest goes of the prefix that has the most, or a slow
// one of the newcomer's.
type connections struct {
	max, maxPerPrefix int
	trusted           []netip.Prefix // proxies, which have no bound of their own
	flood             *limit.Flood

	mu       sync.Mutex
	all      map[*connection]struct{}
	byPrefix map[limit.Key]int
}

// A connection is one that was accepted.
type connection struct {
	net.Conn
	of     *connections
	prefix limit.Key
	// exempt connections count only in total.
	exempt bool
	// since is when it was accepted, became idle, or got a request.
	since time.Time
	busy  bool // has a request
}

func newConnections(trusted []netip.Prefix, flood *limit.Flood) *connections {
	n := maxConnections
	if files := openFiles(); files > 0 {
		n = max(16, min(n, files-reservedFiles))
	}
	return &connections{
		max: n, maxPerPrefix: max(8, n/prefixShare), trusted: trusted, flood: flood,
		all: make(map[*connection]struct{}), byPrefix: make(map[limit.Key]int),
	}
}

// listener returns l with the bounds.
func (c *connections) listener(l net.Listener) net.Listener { return boundedListener{l, c} }

type boundedListener struct {
	net.Listener
	of *connections
}

// Accept returns the next connection that is within the bounds.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.of.add(conn); c != nil {
			return c, nil
		}
		conn.Close()
	}
}

// add counts a connection, and closes another one if need be. It returns nil if
// none can be closed.
func (c *connections) add(conn net.Conn) *connection {
	var addr netip.Addr
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap()
	}
	added := &connection{
		Conn: conn, of: c, prefix: limit.Prefix(addr), since: time.Now(),
		exempt: slices.ContainsFunc(c.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ofPrefix := !added.exempt && c.byPrefix[added.prefix] >= c.maxPerPrefix
	if ofPrefix || len(c.all) >= c.max {
		c.flood.Note("connections")
		of := func(conn *connection) bool { return !ofPrefix || conn.prefix == added.prefix && !conn.exempt }
		victim := c.oldest(func(conn *connection) bool { return of(conn) && !conn.busy })
		if victim == nil {
			most := added.prefix
			if !ofPrefix {
				most = c.most(most)
			}
			victim = c.oldest(func(conn *connection) bool {
				return conn.prefix == most && !conn.exempt && (most != added.prefix || time.Since(conn.since) > slowAfter)
			})
		}
		if victim == nil {
			return nil
		}
		c.remove(victim)
		go victim.Conn.Close()
	}
	c.all[added] = struct{}{}
	if !added.exempt {
		c.byPrefix[added.prefix]++
	}
	return added
}

// oldest returns the connection that has been as it is for the longest time, of
// those that match. The caller holds mu.
func (c *connections) oldest(match func(*connection) bool) (found *connection) {
	for conn := range c.all {
		if match(conn) && (found == nil || conn.since.Before(found.since)) {
			found = conn
		}
	}
	return found
}

// most returns the prefix with the most connections, and that of the newcomer
// if none has more. The caller holds mu.
func (c *connections) most(newcomer limit.Key) limit.Key {
	most, n := newcomer, c.byPrefix[newcomer]+1
	for prefix, count := range c.byPrefix {
		if count > n {
			most, n = prefix, count
		}
	}
	return most
}

// remove stops counting a connection. The caller holds mu.
func (c *connections) remove(conn *connection) {
	if _, ok := c.all[conn]; !ok {
		return
	}
	delete(c.all, conn)
	if conn.exempt {
		return
	}
	if c.byPrefix[conn.prefix]--; c.byPrefix[conn.prefix] == 0 {
		delete(c.byPrefix, conn.prefix)
	}
}

// Close implements [net.Conn].
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.remove(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// changed is the ConnState of an [http.Server].
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	known, ok := conn.(*connection)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateActive, http.StateIdle:
		known.since, known.busy = time.Now(), state == http.StateActive
	}
}
