//go:build !rollcall_nosend

package sender

import (
	"context"
	"net"
	"sync"
	"time"
)

// conns are the connections of one attempt, including those to name servers.
// None outlives it. On its own, Go continues the lookup, the dialing and the
// handshake of a cancelled request.
//
// A lookup by the C library, which some system settings require, cannot be
// ended.
type conns struct {
	ctx context.Context // of the attempt

	mu     sync.Mutex
	open   []net.Conn
	closed bool
}

// dialer returns a dialer with a limit for each connection. It looks up
// names as resolver does, over connections of c.
func (c *conns) dialer(limit time.Duration, resolver *net.Resolver) *net.Dialer {
	dial := resolver.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Dialer{
		Timeout:  limit,
		Resolver: &net.Resolver{PreferGo: resolver.PreferGo, StrictErrors: resolver.StrictErrors, Dial: c.bind(dial)},
	}
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// bind returns dial bound to the attempt: dialing and connections end with it.
func (c *conns) bind(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		if c.ctx.Err() != nil {
			return nil, context.Cause(c.ctx)
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			conn.Close()
			return nil, net.ErrClosed
		}
		c.open = append(c.open, conn)
		return conn, nil
	}
}

func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}
