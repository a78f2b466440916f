package replica

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

const (
	// maxStrangers bounds the connections whose other end has not proved yet that it
	// has the secret, and handshakeTimeout bounds how long that may take.
	maxStrangers     = 64
	handshakeTimeout = 5 * time.Second
	// maxOfReplica bounds the connections of one replica. It is more than a receiver
	// passes on at once.
	maxOfReplica = 1280
	// strangerEvery is the least time between two log lines about strangers.
	strangerEvery = time.Minute
)

// A guard is a listener for replicas. Accept returns only connections whose
// other end has proved that it has the secret. When too many have not proved it
// yet, the guard closes the oldest one of the network that has most of them: a
// flood closes its own connections, and no established one. It refuses a broken
// replica that keeps connecting, beyond maxOfReplica.
type guard struct {
	net.Listener
	config   *tls.Config
	log      *slog.Logger
	max      int           // of a replica
	patience time.Duration // limit of a handshake
	accepted chan net.Conn
	ended    chan struct{}
	end      func() // closes ended

	mu        sync.Mutex
	strangers map[*peer]struct{}
	replicas  map[string]int // connections, by replica
	logged    time.Time      // when a stranger was
}

// A peer is a connection below TLS.
type peer struct {
	net.Conn
	of      *guard
	network limit.Key
	since   time.Time
	replica string // empty while it is a stranger's
}

// newGuard returns a guard that accepts nothing before run.
func newGuard(l net.Listener, config *tls.Config, log *slog.Logger) *guard {
	g := &guard{
		Listener: l, config: config, log: log, max: maxOfReplica, patience: handshakeTimeout, accepted: make(chan net.Conn),
		ended: make(chan struct{}), strangers: make(map[*peer]struct{}), replicas: make(map[string]int),
	}
	g.end = sync.OnceFunc(func() { close(g.ended) })
	return g
}

// acceptPause is the pause after a connection could not be accepted, as without
// descriptors.
const acceptPause = 50 * time.Millisecond

// run accepts connections until Close.
func (g *guard) run() {
	var shaking sync.WaitGroup
	defer shaking.Wait()
	for {
		conn, err := g.Listener.Accept()
		switch {
		case err == nil:
			p := g.enter(conn)
			shaking.Go(func() { g.check(p) })
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		select {
		case <-g.ended:
			return
		case <-time.After(acceptPause):
		}
	}
}

// enter notes a stranger, and closes another one if need be.
func (g *guard) enter(conn net.Conn) *peer {
	p := &peer{Conn: conn, of: g, since: time.Now()}
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		p.network = limit.Prefix(tcp.AddrPort().Addr().Unmap())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.strangers[p] = struct{}{}
	if len(g.strangers) > maxStrangers {
		victim := g.oldestOfMost(p.network)
		delete(g.strangers, victim)
		go victim.Conn.Close()
	}
	return p
}

// oldestOfMost returns the oldest stranger of the network that has most of them;
// in a tie the newcomer's network counts. The caller holds mu.
func (g *guard) oldestOfMost(newcomer limit.Key) (oldest *peer) {
	counts := make(map[limit.Key]int)
	for p := range g.strangers {
		counts[p.network]++
	}
	most := newcomer
	for network, n := range counts {
		if n > counts[most] {
			most = network
		}
	}
	for p := range g.strangers {
		if p.network == most && (oldest == nil || p.since.Before(oldest.since)) {
			oldest = p
		}
	}
	return oldest
}

// check completes the handshake, and hands over the connection of a replica.
func (g *guard) check(p *peer) {
	_ = p.SetDeadline(p.since.Add(g.patience)) // fails only if it is closed
	conn := tls.Server(p, g.config)
	err := conn.Handshake()
	if err == nil {
		err = p.SetDeadline(time.Time{})
	}
	if err != nil {
		g.noteStranger(err)
		p.Close()
		return
	}
	if !g.admit(p, replicaOf(conn.ConnectionState())) {
		p.Close()
		return
	}
	select {
	case g.accepted <- conn:
	case <-g.ended:
		conn.Close()
	}
}

// admit turns a stranger into a replica's connection, unless the replica has too
// many.
func (g *guard) admit(p *peer, replica string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, open := g.strangers[p]; !open || g.replicas[replica] >= g.max {
		return false
	}
	delete(g.strangers, p)
	p.replica = replica
	g.replicas[replica]++
	return true
}

// noteStranger logs that the other end has another secret, or none.
func (g *guard) noteStranger(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(err, errStranger) && (g.logged.IsZero() || time.Since(g.logged) >= strangerEvery) {
		g.logged = time.Now()
		g.log.Warn("Refused a connection of a replica", "error", err.Error())
	}
}

// Close implements [net.Conn].
func (p *peer) Close() error {
	p.of.mu.Lock()
	delete(p.of.strangers, p)
	if p.replica != "" {
		if p.of.replicas[p.replica]--; p.of.replicas[p.replica] == 0 {
			delete(p.of.replicas, p.replica)
		}
		p.replica = ""
	}
	p.of.mu.Unlock()
	return p.Conn.Close()
}

// Accept implements [net.Listener].
func (g *guard) Accept() (net.Conn, error) {
	select {
	case conn := <-g.accepted:
		return conn, nil
	case <-g.ended:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. It also closes the connections of strangers.
func (g *guard) Close() error {
	g.end()
	err := g.Listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for p := range g.strangers {
		p.Conn.Close()
	}
	return err
}
