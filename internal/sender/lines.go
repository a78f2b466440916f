//go:build !rollcall_nosend

package sender

import (
	"context"
	"net"
	"sync"
)

// lines are the connections of one attempt; none outlives it. Left to itself an http.Transport goes on with the dialling
// of a request that was cancelled, name look-ups and handshakes included, and tells an HTTP/2 server good-bye.
type lines struct {
	ctx    context.Context // of the attempt
	dialer net.Dialer

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// dial is the DialContext of an http.Transport. It ends with ctx and with the attempt.
func (l *lines) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	if l.ctx.Err() != nil {
		return nil, context.Cause(l.ctx)
	}
	conn, err := l.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, conn)
	return conn, nil
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}
