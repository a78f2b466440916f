// Package server is the HTTP interface of a collector: it receives reports,
// answers questions about the figures, and lets an installation see and delete
// its data. It uses the address of a sender for limits while a request lasts,
// and neither stores nor logs addresses or installation IDs.
package server

import (
	"cmp"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// Options configure a [Server]. Collector and Access are required.
type Options struct {
	Collector *engine.Engine
	Access    *access.Tokens
	// Dashboard handles all paths that are not the server's own; nil is none.
	// Dashboard and Legacy receive requests as their clients made them: with the
	// client's address as RemoteAddr, and with the URL scheme https if the
	// client uses TLS.
	Dashboard http.Handler
	// Legacy answers in another wire format; nil is none.
	Legacy Legacy
	// TrustedProxies are the addresses of proxies whose forwarding headers are
	// trusted; the default is none.
	TrustedProxies []netip.Prefix
	// Country returns the country of an address as an ISO 3166-1 code, or "".
	// Nil records no countries.
	Country func(netip.Addr) string
	// Limits bound what one sender may send.
	Limits Limits
	// Metrics receives the server's metrics, and is served at /metrics; nil
	// serves none.
	Metrics *prometheus.Registry
	// OpenMetrics serves /metrics without a token.
	OpenMetrics bool
	// Version is the program's version.
	Version string
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// Legacy answers requests in another wire format. See package legacy.
type Legacy interface {
	http.Handler
	// Paths returns the paths of the format.
	Paths() []string
	// InstallationID returns the ID under which the collector counts an ID of
	// the format, which may be any text.
	InstallationID(text string) string
}

// A Server answers requests. Create it with [New]. It is safe for concurrent
// use.
type Server struct {
	opts    Options
	engine  *engine.Engine
	log     *slog.Logger
	limits  limiter
	origins *http.CrossOriginProtection
	metrics metrics
	ready   readiness
	mux     *http.ServeMux
	// requests limits all requests except reports, and lookups those about an
	// installation.
	requests, lookups *limit.Table
}

// New returns a server. It starts nothing.
func New(opts Options) (*Server, error) {
	if opts.Collector == nil || opts.Access == nil {
		return nil, errors.New("server: Collector and Access are required")
	}
	limits, err := newLimiter(opts.Limits)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, engine: opts.Collector, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		limits: limits, origins: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
		requests: limit.New(limitedKeys, requestInterval, requestBurst),
		lookups:  limit.New(limitedKeys, lookupInterval, lookupBurst),
	}
	if s.metrics, err = newMetrics(cmp.Or(opts.Metrics, prometheus.NewRegistry())); err != nil {
		return nil, err
	}
	s.handleAll()
	return s, nil
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.mux }

type route struct {
	method, path string
	handler      http.HandlerFunc
	report       bool // has limits of its own
}

// routes returns the server's own paths. The OpenAPI description has each of
// them.
func (s *Server) routes() []route {
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
		routes = append(routes, route{"GET", "/api/v1/apps/{app}/" + q.name, s.answer(q), false})
	}
	return routes
}

func (s *Server) handleAll() {
	for _, r := range s.routes() {
		handler := r.handler
		if !r.report {
			handler = s.asClient(handler)
		}
		s.mux.Handle(r.method+" "+r.path, s.instrument(r.path, handler))
	}
	handle := func(path string, handler http.Handler) {
		s.mux.Handle(path, s.instrument(path, s.asClient(handler)))
	}
	notFound := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, reasonNotFound, "there is no such path, or not with this method")
	})
	handle("/v1/", notFound)
	handle("/api/", notFound)
	if s.opts.Legacy != nil {
		for _, path := range s.opts.Legacy.Paths() {
			handle(path, s.opts.Legacy)
		}
	}
	if s.opts.Dashboard != nil {
		handle("/", s.opts.Dashboard)
	}
}

// description describes the interface. TestOpenAPI derives it from the handlers.
//
//go:embed openapi.json
var description []byte

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Cache-Control", "no-cache")
	respond.Body(w, r, description)
}
