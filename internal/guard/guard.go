// Package guard protects a server on this machine from the web pages that
// its user visits. A page of any site can send requests to loopback, and can
// let its own name resolve to 127.0.0.1 to read the answers as if they were
// its own (DNS rebinding).
package guard

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/rollcall-dev/rollcall/internal/loopback"
)

// Hosts are the names under which a server may be addressed. Localhost and
// all loopback addresses are always among them, because they cannot be
// rebound. The zero value allows nothing else.
type Hosts struct {
	// Any allows every name.
	Any bool
	// AnyIP allows every IP address, none of which can be rebound.
	AnyIP bool

	names map[string]bool
}

// Add allows further names or addresses. They have no port.
func (h *Hosts) Add(names ...string) {
	if h.names == nil {
		h.names = make(map[string]bool)
	}
	for _, name := range names {
		h.names[loopback.Canonical(name)] = true
	}
}

// Allow reports whether a request with this Host header is meant for the
// server. The port does not matter: it may have been forwarded.
func (h *Hosts) Allow(header string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = loopback.Canonical(host)
	if h.Any || h.names[host] || loopback.IsHost(host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return h.AnyIP && err == nil
}

// CrossSite reports whether a browser says that a page of another origin
// caused the request. Unlike [http.CrossOriginProtection] it covers the
// methods that only read.
func CrossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site": // another port of this host is same-site
		return true
	}
	return false
}
