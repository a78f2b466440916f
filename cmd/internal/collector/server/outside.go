package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// The requests other than reports that an address prefix may make: requestBurst at once, and one more each requestEvery.
const (
	requestBurst = 1000
	requestEvery = 20 * time.Millisecond
	requestKeys  = 64 << 10
)

func newRequests() *limit.Table { return limit.New(requestKeys, requestEvery, requestBurst) }

// outside shows a request to the next handler as its client made it: with the client's address as RemoteAddr, and with
// https as the scheme of the URL where the client came over TLS. It refuses those of an address prefix that made too
// many. All routes but those of reports go through it.
func (s *Server) outside(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		seen := *r
		seen.URL = new(url.URL)
		*seen.URL = *r.URL
		seen.URL.Scheme = ""
		if isSecure(r, s.opts.TrustedProxies) {
			seen.URL.Scheme = "https"
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		addr := ClientAddr(r, s.opts.TrustedProxies)
		seen.RemoteAddr = ""
		if addr.IsValid() {
			seen.RemoteAddr = netip.AddrPortFrom(addr, 0).String()
		}
		if wait, ok := s.requests.Take(prefixKey(addr)); !ok {
			retryAfter(w, wait)
			refuse(w, http.StatusTooManyRequests, collector.RefusedRate, "too many requests; try again later")
			return
		}
		next.ServeHTTP(w, &seen)
	}
}

// isSecure tells whether the client came over TLS: to this server, or to the proxy before it, if that is believed.
func isSecure(r *http.Request, trusted []netip.Prefix) bool {
	if r.TLS != nil {
		return true
	}
	if !isTrusted(remoteAddr(r), trusted) {
		return false
	}
	lines := r.Header.Values("X-Forwarded-Proto")
	if len(lines) == 0 {
		return false
	}
	last := lines[len(lines)-1]
	return strings.EqualFold(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]), "https")
}

// survive answers 500 where a handler panicked, and logs it without what the client sent: the panic's text may hold that.
func (s *Server) survive(w http.ResponseWriter, path string) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.log.Error("Request failed", "path", path, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	refuse(w, http.StatusInternalServerError, "internal", "something went wrong")
}

// ownSite refuses what a browser sends because another site made it: a page could have its visitors report and delete.
// Programs do not say where a request comes from, and pass.
func (s *Server) ownSite(w http.ResponseWriter, r *http.Request) bool {
	if s.origins.Check(r) == nil {
		return true
	}
	refuse(w, http.StatusForbidden, refusedOrigin, "another site caused this request")
	return false
}

const refusedOrigin = "cross_origin"
