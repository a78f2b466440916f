//go:build !rollcall_nosend

package sender

import (
	"context"
	"net"
	"sync"
	"time"
)

// lines are the connections of one attempt, those to name servers included; none outlives it. Left to itself Go goes on
// with the look-up, the dialling and the handshake of a request that was cancelled, and tells an HTTP/2 server good-bye.
// What it cannot end is a look-up by the system's own library, which is used where the system's settings need it.
type lines struct {
	ctx context.Context // of the attempt

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// dialer gives one with a limit for each connection. Names are looked up as names does it, but for the lines that it
// takes.
func (l *lines) dialer(limit time.Duration, names *net.Resolver) *net.Dialer {
	dial := names.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Dialer{
		Timeout:  limit,
		Resolver: &net.Resolver{PreferGo: names.PreferGo, StrictErrors: names.StrictErrors, Dial: l.through(dial)},
	}
}

// A dialFunc is a DialContext.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// through gives a dialFunc whose dialling and whose connections end with the attempt.
func (l *lines) through(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(l.ctx, cancel)()
		if l.ctx.Err() != nil {
			return nil, context.Cause(l.ctx)
		}
		conn, err := dial(ctx, network, address)
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
