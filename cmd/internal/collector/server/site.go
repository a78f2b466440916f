package server

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/guard"
)

// ParseBaseURL parses the address at which people open the pages. An empty
// address is that of each request.
func ParseBaseURL(text string) (*url.URL, error) {
	if text == "" {
		return &url.URL{}, nil
	}
	at, err := url.Parse(strings.TrimRight(text, "/"))
	switch {
	case err != nil:
		return nil, err
	case at.Scheme != "http" && at.Scheme != "https", at.Host == "":
		return nil, errors.New("not an http or https URL with a host")
	case at.RawQuery != "" || at.Fragment != "" || at.User != nil:
		return nil, errors.New("has a user, a query, or a fragment")
	case at.RawPath != "" || at.Path != "" && at.Path != path.Clean(at.Path):
		return nil, errors.New("has a path with escapes, dots, or empty parts")
	}
	return at, nil
}

// knownNames passes requests for pages on if they name this server. A site whose
// own name resolves to this address (DNS rebinding) could read them otherwise.
// It cannot with TLS, which it has no certificate for.
func (s *Server) knownNames(next http.Handler) http.Handler {
	hosts := guard.Hosts{AnyIP: true}
	if name := s.opts.BaseURL.Hostname(); name != "" {
		hosts.Add(name)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !usesTLS(r, s.opts.TrustedProxies) && !hosts.Allow(r.Host) {
			http.Error(w, "The pages are not known under this name. Start the collector with --base-url and the address that people open.",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// belowBase serves what is below the path of the base URL, also for a proxy that
// removed the path. Redirects to the clean form of a path are below it too; those
// of the ServeMux, which does not know the base, would lead to another site of
// the host.
func (s *Server) belowBase(next http.Handler) http.Handler {
	base := s.opts.BaseURL.Path
	if base == "" {
		return next
	}
	strip := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.EscapedPath()
		clean := path.Clean("/" + asked)
		if clean != "/" && strings.HasSuffix(asked, "/") {
			clean += "/"
		}
		switch {
		case clean != asked && strings.HasPrefix(asked, "/"): // not OPTIONS *
			if clean != base && !strings.HasPrefix(clean, base+"/") {
				clean = base + clean
			}
			if r.URL.RawQuery != "" {
				clean += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, clean, http.StatusTemporaryRedirect)
		case r.URL.Path == base:
			http.Redirect(w, r, base+"/", http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.Path, base+"/"):
			strip.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
