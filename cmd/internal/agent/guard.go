package agent

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hosts are the names by which the server may be addressed.
//
// A page from anywhere can have its own name resolve to 127.0.0.1 and then read what the server answers as if it were
// its own. Its requests carry that name in their Host header, so a name that nobody configured is refused. An IP address
// cannot be rebound: one of loopback is always good, and any is when the server listens on all addresses.
type hosts struct {
	names map[string]bool
	anyIP bool
}

// newHosts gives the names for a server that listens on the address.
func newHosts(listen string, allow []string) (hosts, error) {
	host, err := splitListen(listen)
	if err != nil {
		return hosts{}, fmt.Errorf("%w on %q: %w", ErrListen, listen, err)
	}
	h := hosts{names: map[string]bool{"localhost": true}, anyIP: host == ""}
	if host != "" {
		h.names[canonicalHost(host)] = true
	}
	for _, name := range allow {
		h.names[canonicalHost(name)] = true
	}
	return h, nil
}

// allow tells whether a request with this Host header is meant for this server. The port does not matter: it may be a
// forwarded one.
func (h hosts) allow(header string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = canonicalHost(host)
	if h.names[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.Unmap().IsLoopback() || h.anyIP)
}

// canonicalHost makes spellings of a host equal: case, a final dot, the brackets of an IPv6 address.
func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String()
	}
	return host
}

// guard lets through to next what a program or an operator on this machine would send, and sets the headers that keep
// browsers from giving the answer to other sites. There are no CORS headers, on purpose.
func (a *Agent) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(refuseCrossSite))
	guarded := crossOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		switch {
		case !a.hosts.allow(r.Host):
			writeError(w, http.StatusMisdirectedRequest, "the Host header names another server; see --allow-host")
		case a.opts.Page != nil && !isOwn(r.URL.Path):
			next.ServeHTTP(w, r) // the page refuses other sites in a way that people understand
		case isCrossSite(r):
			refuseCrossSite(w, r)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

// isOwn tells whether the path is one of the agent's own, and not of the operator's page.
func isOwn(path string) bool {
	switch path {
	case pathHealth, pathReady, pathMetrics:
		return true
	}
	return strings.HasPrefix(path, "/v1/")
}

// isCrossSite tells whether a browser says that a page of another origin sent the request. CrossOriginProtection
// leaves this to the same-origin policy for the methods that only read, where an ID is what is to be protected.
func isCrossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site": // "same-site" can be another program's page, on another port
		return true
	}
	return false
}

func refuseCrossSite(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusForbidden, "requests from other web sites are refused")
}
