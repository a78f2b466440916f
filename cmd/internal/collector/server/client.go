package server

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// The limits of an address prefix for requests other than reports: a burst, and
// then one request per interval.
const (
	requestBurst    = 1000
	requestInterval = 20 * time.Millisecond
	limitedKeys     = 64 << 10 // address prefixes to remember
)

// A Client is who made a request that another replica received. Its address is not
// known here.
type Client struct {
	// Prefix stands for its network.
	Prefix uint64
	// TLS says that it uses TLS.
	TLS bool
}

type forwardedKey struct{}

// WithClient returns a request that another replica received, for
// [Server.Forwarded].
func WithClient(r *http.Request, c Client) *http.Request {
	ctx := limit.WithClient(r.Context(), limit.Key(c.Prefix))
	return r.WithContext(context.WithValue(ctx, forwardedKey{}, c))
}

// asClient passes a request to the next handler as its client made it: with the
// client's address as RemoteAddr, and with the URL scheme https if the client
// uses TLS. It refuses requests of an address prefix beyond the limit. All
// routes except those of reports use it.
func (s *Server) asClient(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		seen := *r
		seen.URL = new(url.URL)
		*seen.URL = *r.URL
		seen.URL.Scheme = ""
		if usesTLS(r, s.opts.TrustedProxies) {
			seen.URL.Scheme = "https"
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		seen.RemoteAddr = ""
		if _, forwarded := r.Context().Value(forwardedKey{}).(Client); !forwarded {
			if addr := clientAddr(r, s.opts.TrustedProxies); addr.IsValid() {
				seen.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
			}
		}
		if wait, ok := s.requests.Take(limit.Client(&seen)); !ok {
			s.flood.Note("requests")
			s.flooded("", "requests")
			refuseTooMany(w, wait)
			return
		}
		next.ServeHTTP(w, &seen)
	}
}

// flooded notes that requests of an app or of the whole collector were refused
// because there were too many.
func (s *Server) flooded(app, what string) {
	s.opts.Audit.Add(audit.Entry{Action: audit.Flooded, Actor: audit.Nobody, App: app, Detail: what})
}

// usesTLS reports whether the client uses TLS: to this server, or to a trusted
// proxy in front of it.
func usesTLS(r *http.Request, trusted []netip.Prefix) bool {
	if c, forwarded := r.Context().Value(forwardedKey{}).(Client); forwarded {
		return c.TLS
	}
	if r.TLS != nil {
		return true
	}
	if !isTrusted(parseAddr(r.RemoteAddr), trusted) {
		return false
	}
	forwarded := strings.Join(r.Header.Values("X-Forwarded-Proto"), ",")
	last := forwarded[strings.LastIndexByte(forwarded, ',')+1:]
	return strings.EqualFold(strings.TrimSpace(last), "https")
}

// clientAddr returns the address of the client: the other end of the connection
// or, if that is a trusted proxy, the first address in X-Forwarded-For, read from
// the right, that is not a trusted proxy. The zero address is unknown.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := parseAddr(r.RemoteAddr)
	if !isTrusted(addr, trusted) {
		return addr
	}
	forwarded := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(forwarded) {
		hop := parseAddr(strings.TrimSpace(text))
		if !hop.IsValid() {
			return addr // the last trusted address
		}
		if addr = hop; !isTrusted(addr, trusted) {
			return addr
		}
	}
	return addr
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	return addr.IsValid() && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// parseAddr parses an address with or without a port, and with or without
// brackets; proxies write all of these. It returns the zero address if the text
// is invalid.
func parseAddr(text string) netip.Addr {
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil {
		withPort, _ := netip.ParseAddrPort(text)
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone("")
}

// sameSite refuses requests that a browser makes on behalf of another site,
// which could otherwise make its visitors report and delete. Programs do not
// state an origin and are accepted.
func (s *Server) sameSite(w http.ResponseWriter, r *http.Request) bool {
	if s.origins.Check(r) == nil {
		return true
	}
	refuse(w, http.StatusForbidden, reasonOrigin, "requests from other web sites are refused")
	return false
}
