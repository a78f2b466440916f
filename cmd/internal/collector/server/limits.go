package server

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// Limits bound what one sender may do. An address stands for its prefix: itself for IPv4, its /64 for IPv6. The zero
// value is the defaults; -1 takes a limit away.
type Limits struct {
	// PerPrefix is how many reports an address prefix may send in a minute, and NewPerPrefix how many of them in an hour
	// may be of installations that are not known. The defaults are 600 and 60.
	PerPrefix, NewPerPrefix int
	// KnownPerPrefix is a further number of reports in a minute for installations that are known, when PerPrefix is used
	// up. The default is 600.
	KnownPerPrefix int
	// PerInstallation is how many reports an installation may send in an hour; the default is 30.
	PerInstallation int
	// Keys is how many prefixes and installations the limits remember; those beyond it loosen the limits. They take 16
	// bytes each. The default is 1,000,000.
	Keys int
}

// The defaults of [Limits].
const (
	DefaultPerPrefix       = 600
	DefaultNewPerPrefix    = 60
	DefaultKnownPerPrefix  = 600
	DefaultPerInstallation = 30
	DefaultLimitKeys       = 1_000_000
)

func (l Limits) check() error {
	for _, field := range []struct {
		name  string
		value int
	}{
		{"PerPrefix", l.PerPrefix}, {"NewPerPrefix", l.NewPerPrefix}, {"KnownPerPrefix", l.KnownPerPrefix},
		{"PerInstallation", l.PerInstallation}, {"Keys", l.Keys},
	} {
		if field.value < -1 || field.value > 1<<30 {
			return fmt.Errorf("server: Limits.%s is %d, and not -1 to %d", field.name, field.value, 1<<30)
		}
	}
	return nil
}

// A limiter holds senders to the limits.
type limiter struct {
	prefixes, fresh, known, installations *limit.Table // nil for no limit
}

func newLimiter(l Limits) *limiter {
	keys := cmp.Or(l.Keys, DefaultLimitKeys)
	if keys < 0 {
		keys = DefaultLimitKeys
	}
	table := func(n, fallback int, per time.Duration) *limit.Table {
		if n = cmp.Or(n, fallback); n < 0 {
			return nil
		}
		return limit.New(keys/4, per/time.Duration(n), n)
	}
	return &limiter{
		prefixes:      table(l.PerPrefix, DefaultPerPrefix, time.Minute),
		fresh:         table(l.NewPerPrefix, DefaultNewPerPrefix, time.Hour),
		known:         table(l.KnownPerPrefix, DefaultKnownPerPrefix, time.Minute),
		installations: table(l.PerInstallation, DefaultPerInstallation, time.Hour),
	}
}

func take(t *limit.Table, key limit.Key) (wait time.Duration, ok bool) {
	if t == nil {
		return 0, true
	}
	return t.Take(key)
}

// take takes a report of an installation from an address prefix. The reason is empty if it may go on.
func (l *limiter) take(prefix limit.Key, id string, known bool) (wait time.Duration, reason string) {
	if known {
		if wait, ok := take(l.installations, limit.Of(id)); !ok {
			return wait, collector.RefusedRate
		}
		if _, ok := take(l.prefixes, prefix); ok {
			return 0, ""
		}
		if wait, ok := take(l.known, prefix); !ok {
			return wait, collector.RefusedRate
		}
		return 0, ""
	}
	if wait, ok := take(l.fresh, prefix); !ok {
		return wait, collector.RefusedNew
	}
	if wait, ok := take(l.prefixes, prefix); !ok {
		return wait, collector.RefusedRate
	}
	return 0, ""
}

// A sender is where a request comes from, as far as that matters.
type sender struct {
	addr netip.Addr
	key  limit.Key
}

// sender gives where a request comes from: the other end of the connection or, when that is a proxy that is believed, what
// the proxies say, read from the right up to the first address that is none of them.
func (s *Server) sender(r *http.Request) sender {
	addr := ClientAddr(r, s.opts.TrustedProxies)
	return sender{addr, prefixKey(addr)}
}

// prefixKey gives the key of an address. Connections without one share one.
func prefixKey(addr netip.Addr) limit.Key {
	if !addr.IsValid() {
		return limit.Of("")
	}
	return limit.Prefix(addr)
}

// ClientAddr gives the address of the client of a request; see [Options.TrustedProxies]. The zero address is not known.
func ClientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := remoteAddr(r)
	if !isTrusted(addr, trusted) {
		return addr
	}
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for forwarded != "" {
		at := strings.LastIndexByte(forwarded, ',')
		hop := parseAddr(strings.TrimSpace(forwarded[at+1:]))
		if !hop.IsValid() {
			return addr // the nearest that is believed and can be read
		}
		addr = hop
		if !isTrusted(addr, trusted) {
			return addr
		}
		forwarded = forwarded[:max(at, 0)]
	}
	return addr
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return addr.IsValid() && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func remoteAddr(r *http.Request) netip.Addr {
	return parseAddr(r.RemoteAddr)
}

// parseAddr reads an address with or without a port; some proxies add one. The zero address is none.
func parseAddr(text string) netip.Addr {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone("")
}

func (s *Server) country(from sender) string {
	if s.opts.Country == nil || !from.addr.IsValid() {
		return ""
	}
	return s.opts.Country(from.addr)
}
