// Package loopback recognizes this machine in the names and addresses that a
// program is told to connect to, listens on, or is addressed by. It resolves
// no name.
package loopback

import (
	"net"
	"net/netip"
	"strings"
)

// Canonical returns the spelling of a host that all its spellings share: lower
// case, without a final dot and without the brackets of an IPv6 address. IPv4
// addresses mapped into IPv6 become IPv4.
func Canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return host
}

// IsHost reports whether a host without a port is localhost or a loopback
// address. Other names count as remote, wherever they resolve to.
func IsHost(host string) bool {
	host = Canonical(host)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// IsAddr reports whether addr is a TCP address on loopback.
func IsAddr(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
