package agent

import (
	"net/http"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/internal/guard"
)

// hostsOf returns the names by which clients may address the server:
// those of loopback, the host it listens on, and the allowed ones. A
// server that listens on all addresses may be addressed by any IP.
func hostsOf(opts Options) (guard.Hosts, error) {
	host, err := listen.Host(opts.Listen)
	if err != nil {
		return guard.Hosts{}, err
	}
	hosts := guard.Hosts{AnyIP: host == ""}
	if host != "" {
		hosts.Add(host)
	}
	hosts.Add(opts.AllowHosts...)
	return hosts, nil
}

// guard passes to next what programs and operators on this machine
// send, and sets the headers that keep browsers from showing the answer
// to other sites. It deliberately sets no CORS headers.
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
		case !a.hosts.Allow(r.Host):
			writeError(w, http.StatusMisdirectedRequest, "the Host header names another server; see --allow-host")
		case a.opts.Page != nil && !isOwn(r.URL.Path):
			next.ServeHTTP(w, r) // the page refuses other sites with a page of its own
		case guard.CrossSite(r):
			refuseCrossSite(w, r)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

// isOwn reports whether a path belongs to the agent rather than to the
// operator's page.
func isOwn(path string) bool {
	switch path {
	case pathHealth, pathReady, pathMetrics:
		return true
	}
	return strings.HasPrefix(path, "/v1/")
}

func refuseCrossSite(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusForbidden, "requests from other web sites are refused")
}
