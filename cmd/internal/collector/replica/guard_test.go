package replica_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
)

// peerAddress is where the counter listens for other replicas.
func (r *rig) peerAddress() string {
	r.t.Helper()
	r.counter()
	r.fence.mu.Lock()
	defer r.fence.mu.Unlock()
	return r.fence.holder.address
}

// A flood at the port for replicas sends nothing, half a handshake, or a certificate
// of another secret, from the same network as the replicas. Established links go
// on, and a new replica can connect.
func TestFloodAtThePortForReplicas(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2, unlimited)
	receiver := r.receivers()[0]
	address := r.peerAddress()
	before, began := r.logs.String(), time.Now()
	var hello []byte
	for name, flood := range map[string]func(net.Conn){
		"silence":          func(net.Conn) {},
		"half a handshake": func(conn net.Conn) { conn.Write(hello) },
		"wrong certificate": func(conn net.Conn) {
			c := tls.Client(conn, strangersConfig(t))
			if c.Handshake() == nil {
				io.ReadAll(c) // until it is closed
			}
		},
	} {
		hello = clientHello(t)
		var open []net.Conn
		var wg sync.WaitGroup
		refused := make(chan struct{}, 1)
		for range 4 * replica.MaxStrangers {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			open = append(open, conn)
			wg.Go(func() {
				flood(conn)
				if _, err := io.Copy(io.Discard, conn); !errors.Is(err, net.ErrClosed) { // an answer may come before
					select {
					case refused <- struct{}{}:
					default:
					}
				}
			})
		}
		<-refused // there are too many
		for i := range 20 {
			if status := receiver.beat(t, i); status != 200 {
				t.Errorf("%s: report during the flood: got %d, want 200", name, status)
			}
		}
		response, err := ownClient(t).Get("https://" + address + "/nothing")
		if err != nil {
			t.Errorf("%s: a new connection of a replica: %v", name, err)
		} else {
			response.Body.Close()
		}
		if name == "wrong certificate" {
			waitFor(t, func() bool { return strings.Contains(r.logs.String(), otherSecret) })
		}
		for _, conn := range open {
			conn.Close()
		}
		wg.Wait()
	}
	log := strings.TrimPrefix(r.logs.String(), before)
	most := 1 + int(time.Since(began)/time.Minute)
	if n := strings.Count(log, otherSecret); n < 1 || n > most {
		t.Errorf("got %d log lines about the other secret, want one a minute:\n%s", n, log)
	}
	if strings.Contains(log, "This replica receives") || strings.Contains(log, "does not count any more") {
		t.Errorf("links have ended:\n%s", log)
	}
}

const otherSecret = "does not have this collector's secret"

// clientHello is how a handshake begins.
func clientHello(t *testing.T) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	go tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	buf := make([]byte, 4<<10)
	n, err := theirs.Read(buf)
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A handshake that takes too long is ended, even if nobody else wants the place.
func TestHandshakeHasADeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, unlimited)
	address, hello := r.peerAddress(), clientHello(t)
	began := time.Now()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(began.Add(time.Minute))
	conn.Write(hello) // fails only if it is closed already
	io.Copy(io.Discard, conn)
	if took := time.Since(began); took < replica.HandshakeTimeout || took >= time.Minute {
		t.Errorf("closed after %s, want %s", took, replica.HandshakeTimeout)
	}
}

// A flood from one network takes no other network's places.
func TestFloodFromAnotherNetwork(t *testing.T) {
	t.Parallel()
	g, address := newGuard(t, 1)
	slow := dialFrom(t, "127.0.1.1", address)
	waitFor(t, func() bool { return g.Strangers() == 1 })
	for range 3 * replica.MaxStrangers {
		dialFrom(t, "127.0.2.1", address)
	}
	// The slow connection comes from the network that has few, and is let in.
	c := tls.Client(slow, configOf(t, secretBytes))
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n := g.Strangers(); n > replica.MaxStrangers {
		t.Errorf("got %d strangers, want %d at most", n, replica.MaxStrangers)
	}
}

// One replica has a bounded number of connections, and others have their own.
func TestConnectionsOfAReplicaAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 3
	g, address := newGuard(t, bound)
	admitted := make(chan net.Conn, bound)
	go func() {
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			admitted <- conn
		}
	}()
	broken := configOf(t, secretBytes)
	connect := func(config *tls.Config) bool {
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		select {
		case <-admitted:
			return true
		case <-closed(conn):
			return false
		}
	}
	for range bound {
		if !connect(broken) {
			t.Fatal("refused before there are too many")
		}
	}
	if connect(broken) {
		t.Error("it has one too many")
	}
	if !connect(configOf(t, secretBytes)) {
		t.Error("another replica is refused")
	}
}

// closed returns a channel that is closed when a connection is.
func closed(conn net.Conn) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		io.Copy(io.Discard, conn)
		close(done)
	}()
	return done
}

// A receiver has one link: a new one ends the one before.
func TestOneLinkOfAReceiver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, unlimited)
	address := r.peerAddress()
	own := ownClient(t)
	link := func(c *http.Client) io.ReadCloser {
		request, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+"/replica/link", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "rollcall-link/1")
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %s", response.Status)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response.Body
	}
	first, other := link(own), link(ownClient(t))
	if !r.counter().Needed() {
		t.Error("a counter with links is not needed")
	}
	second := link(own)
	io.Copy(io.Discard, first) // ends
	for _, conn := range []io.ReadCloser{second, other} {
		ended := make(chan struct{})
		go func() { io.Copy(io.Discard, conn); close(ended) }()
		select {
		case <-ended:
			t.Error("another link has ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func newGuard(t *testing.T, ofReplica int) (*replica.Guard, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := replica.NewGuard(l, configOf(t, secretBytes), ofReplica)
	t.Cleanup(func() { g.Close() })
	return g, l.Addr().String()
}

func dialFrom(t *testing.T, from, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("SKIPPED: no address %s on loopback: %v", from, err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
