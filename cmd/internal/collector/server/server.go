// Package server is a collector's HTTP side: it receives reports, answers questions about the figures, and lets an
// installation see and delete what is held about it. It says no more about a sender than its figures need: addresses are
// used for limits while a request lasts, and neither stored nor logged; nor are installation IDs.
package server

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
)

// Options say how a [Server] works. Collector and Access are required.
type Options struct {
	Collector *engine.Engine
	Access    *access.Tokens
	// Dashboard answers all paths that are not the server's own; nil for none. What it and Legacy see as the request's
	// RemoteAddr is the client's address, and the scheme of the URL is https where the client came over TLS.
	Dashboard http.Handler
	// Legacy answers in another wire format; nil is none.
	Legacy Legacy
	// TrustedProxies are the addresses of proxies whose forwarding headers are believed; none by default.
	TrustedProxies []netip.Prefix
	// Country gives the country of an address, as an ISO 3166-1 code or empty; nil for no countries.
	Country func(netip.Addr) string
	// Limits bound what one sender may do.
	Limits Limits
	// Metrics gets the server's metrics, and is served at /metrics; nil for neither.
	Metrics *prometheus.Registry
	// OpenMetrics says that /metrics needs no token.
	OpenMetrics bool
	// Version is the program's.
	Version string
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
}

// Legacy answers requests in another wire format. See package legacy.
type Legacy interface {
	http.Handler
	// Paths returns the paths that belong to the format.
	Paths() []string
	// InstallationID returns the ID under which the collector counts an ID of
	// the format, which may be any text.
	InstallationID(text string) string
}

// A Server answers requests. Make it with [New]. It is safe for concurrent use.
type Server struct {
	opts    Options
	c       *engine.Engine
	access  *access.Tokens
	log     *slog.Logger
	limits  *limiter
	lookups *limit.Table
	// requests limits all requests but reports.
	requests *limit.Table
	origins  *http.CrossOriginProtection
	metrics  *metrics
	ready    readiness
	mux      *http.ServeMux
}

// The time that a request may wait for the collector, and what Retry-After says when it has to come again.
const (
	commitWait = 10 * time.Second
	queryWait  = 20 * time.Second
)

// New makes a server; it starts nothing.
func New(opts Options) (*Server, error) {
	if opts.Collector == nil || opts.Access == nil {
		return nil, errors.New("server: Collector and Access are required")
	}
	if err := opts.Limits.check(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, c: opts.Collector, access: opts.Access, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		limits: newLimiter(opts.Limits), lookups: newLookups(), requests: newRequests(), origins: http.NewCrossOriginProtection(),
		mux: http.NewServeMux(),
	}
	var err error
	if s.metrics, err = newMetrics(opts.Metrics); err != nil {
		return nil, err
	}
	s.routes()
	return s, nil
}

// Handler gives what answers requests.
func (s *Server) Handler() http.Handler { return s.mux }

// A route is one path of the server. A hot one has its own limits; the others are limited by outside.
type route struct {
	method, path string
	handler      http.HandlerFunc
	hot          bool
}

// table lists the server's own paths; the OpenAPI description has each of them.
func (s *Server) table() []route {
	routes := []route{
		{"POST", "/v1/heartbeat", s.heartbeat, true},
		{"POST", "/v1/health", s.health, true},
		{"GET", "/v1/installations/{id}", s.describe, false},
		{"DELETE", "/v1/installations/{id}", s.forget, false},
		{"GET", "/healthz", s.healthz, false},
		{"GET", "/readyz", s.readyz, false},
		{"GET", "/metrics", s.serveMetrics, false},
		{"GET", "/api/openapi.json", s.openAPI, false},
		{"GET", "/api/v1/apps", s.apps, false},
		{"GET", "/api/v1/apps/{app}/export", s.export, false},
		{"GET", "/api/v1/apps/{app}/badge/{badge}", s.badge, false},
	}
	for _, q := range questions {
		routes = append(routes, route{"GET", "/api/v1/apps/{app}/" + q.name, s.ask(q), false})
	}
	return routes
}

func (s *Server) routes() {
	for _, r := range s.table() {
		handler := r.handler
		if !r.hot {
			handler = s.outside(handler)
		}
		s.mux.Handle(r.method+" "+r.path, s.counted(r.path, handler))
	}
	if s.opts.Legacy != nil {
		for _, path := range s.opts.Legacy.Paths() {
			s.mux.Handle(path, s.counted(path, s.outside(s.opts.Legacy)))
		}
	}
	for _, below := range []string{"/v1/", "/api/"} {
		s.mux.Handle(below, s.counted(below, s.outside(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refuse(w, http.StatusNotFound, "not_found", "there is nothing at this path, or it takes another method")
		}))))
	}
	if s.opts.Dashboard != nil {
		s.mux.Handle("/", s.counted("/", s.outside(s.opts.Dashboard)))
	}
}
