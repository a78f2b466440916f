package page

import (
	"net/http"

	"github.com/rollcall-dev/rollcall/internal/guard"
)

// policy lets the page use its own style sheet, script, icon and forms, and
// nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

// setHeaders sets the headers of every response.
func setHeaders(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	// With no-referrer, browsers send "Origin: null" with a form (Fetch, section
	// 3.2). Over plain HTTP to another machine they also omit Sec-Fetch-Site, so
	// the form would be refused. Other sites get no referrer either way.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
}

// isForeign reports whether a page of another origin caused the request.
func (p *operatorPage) isForeign(r *http.Request) bool {
	return guard.CrossSite(r) || p.crossOrigin.Check(r) != nil
}

// refuseForeign refuses a request that another origin caused. If an operator
// followed a link, the answer has a link to the page.
func (p *operatorPage) refuseForeign(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		http.Error(w, "Requests from other web sites are refused.", http.StatusForbidden)
		return
	}
	p.render(w, http.StatusForbidden, "foreign.html", view{Title: "Opened from another site", Host: plain(p.opts.Title)})
}
