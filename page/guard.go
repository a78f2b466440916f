package page

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// policy lets the page have its own style sheet, script, icon and forms, and nothing else from anywhere.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

// setHeaders sets what every answer has.
func setHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Not no-referrer: with it browsers send "Origin: null" with a form (Fetch, section 3.2), and where they send no
	// Sec-Fetch-Site, which is over plain HTTP to any machine but this one, the form would be refused. Other sites get
	// no referrer either way.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
}

// hosts are the names by which the page may be addressed.
//
// A site can have its own name resolve to 127.0.0.1 and then read what is served there as if it were its own. Its
// requests carry that name in their Host header.
type hosts struct {
	names map[string]bool
	any   bool
}

func newHosts(opts Options) hosts {
	h := hosts{names: map[string]bool{"localhost": true}, any: opts.AnyHost}
	for _, name := range opts.AllowHosts {
		h.names[canonicalHost(name)] = true
	}
	return h
}

// allow judges a Host header. The port does not matter: it may be a forwarded one.
func (h hosts) allow(header string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = canonicalHost(host)
	if h.any || h.names[host] {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
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

// isForeign tells whether a page of another origin caused the request. CrossOriginProtection leaves the methods that
// only read to the same-origin policy.
func (p *operatorPage) isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site": // "same-site" can be another program's page, on another port
		return true
	}
	return p.crossOrigin.Check(r) != nil
}

// refuseForeign refuses a request that another origin caused. To an operator who has followed a link it offers the way
// in: a link on this very page.
func (p *operatorPage) refuseForeign(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		http.Error(w, "Requests from other web sites are refused.", http.StatusForbidden)
		return
	}
	p.render(w, http.StatusForbidden, "foreign.html", view{Title: "Opened from another site", Host: plain(p.opts.Title)})
}
