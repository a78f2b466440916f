package replica

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// Identity is the configuration of TLS of a secret.
func Identity(s *secret.Secret) (*tls.Config, error) { return identity(s) }

// NewClient returns a client with that configuration.
func NewClient(config *tls.Config) *http.Client { return newClient(config) }

// The bounds of a [Guard].
const (
	MaxStrangers     = maxStrangers
	HandshakeTimeout = handshakeTimeout
)

// A Guard is the listener for replicas.
type Guard = guard

// NewGuard returns a running guard that accepts ofReplica connections from each
// replica, and that gives a slow machine a minute for a handshake.
func NewGuard(l net.Listener, config *tls.Config, ofReplica int) *Guard {
	g := newGuard(l, config, slog.New(slog.DiscardHandler))
	g.max, g.patience = ofReplica, time.Minute
	go g.run()
	return g
}

// Strangers returns how many connections have not proved yet that they have the
// secret.
func (g *guard) Strangers() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.strangers)
}
