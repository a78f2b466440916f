package alert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
)

// A dialer connects to what a maintainer configured: to public addresses, and to
// those that the operator of the collector allowed. Otherwise everyone who may
// change the alerts of one app could use the collector to reach the machines
// around it.
type dialer struct{ allowed []netip.Prefix }

// dial connects. The address is checked after its name is resolved, and it is
// the one connected to.
func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	own := net.Dialer{Timeout: SendTimeout}
	if proxy, _ := ctx.Value(proxyKey{}).(*proxyUsed); proxy == nil || !proxy.is(address) {
		own.Control = d.check
	}
	return own.DialContext(ctx, network, address)
}

// check is a [net.Dialer.Control].
func (d dialer) check(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	addr := to.Addr().Unmap().WithZone("")
	if isPublic(addr) || slices.ContainsFunc(d.allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	return fmt.Errorf("%s is not a public address, and not allowed by --webhook-allow", addr)
}

// An unreachableError hides why a target could not be reached, which would let
// its reader find out what there is around the collector. The log has the cause.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string {
	return "it could not be reached, or its address is not allowed; the collector's log says more"
}

// causeOf returns the text of an error for the log of the operator.
func causeOf(err error) string {
	if hidden, ok := errors.AsType[*unreachableError](err); ok {
		return oneLine(hidden.cause).Error()
	}
	return err.Error()
}

// notPublic are addresses that no target on the internet has, beyond those that
// netip knows.
var notPublic = parsePrefixes(
	// RFC 6890 and its successors: this network, shared space (where Alibaba
	// Cloud has its metadata), protocol assignments (Oracle's), documentation,
	// 6to4 relays, benchmarks, reserved.
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"240.0.0.0/4",
	// Azure's services for the machine itself, at an address that looks public.
	"168.63.129.16/32",
	// IPv4-compatible, local NAT64, discard, Teredo and the other protocol
	// assignments, documentation, site-local.
	"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "fec0::/10",
)

// Addresses that contain an IPv4 address and the byte where it begins. Gateways
// forward to it: NAT64 (RFC 6052) and 6to4 (RFC 3056).
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
}

func parsePrefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// isPublic reports whether an address belongs to a machine on the internet.
func isPublic(addr netip.Addr) bool {
	for _, e := range embedded {
		if e.prefix.Contains(addr) {
			bytes := addr.As16()
			return isPublic(netip.AddrFrom4([4]byte(bytes[e.at : e.at+4])))
		}
	}
	return addr.IsGlobalUnicast() && !addr.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// A proxyUsed is the proxy of one request. The operator chose it, so it may have
// any address; it is up to the proxy where it connects to.
type proxyUsed struct{ url *url.URL }

type proxyKey struct{}

func (p *proxyUsed) is(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && p.url != nil && host == p.url.Hostname()
}

// proxyOf returns the proxy of the environment, and notes it in the request.
func proxyOf(r *http.Request) (*url.URL, error) {
	at, err := http.ProxyFromEnvironment(r)
	if used, ok := r.Context().Value(proxyKey{}).(*proxyUsed); ok {
		used.url = at
	}
	return at, err
}
