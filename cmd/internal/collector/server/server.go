// Package server is the HTTP interface of a collector: it receives reports,
// answers questions about the figures, and lets an installation see and delete
// its data. It uses the address of a sender for limits while a request lasts,
// and neither stores nor logs addresses or installation IDs.
package server

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// Options configure a [Server]. Collector and Access are required, or Counter and
// Elsewhere.
type Options struct {
	Collector *engine.Engine
	Access    *access.Tokens
	// Counter counts the reports; nil is one of Collector with Limits.
	Counter Counter
	// Elsewhere, if not nil, makes the server a receiver: it answers all requests but
	// reports, those about an installation, probes, and metrics. It receives them as
	// Dashboard does.
	Elsewhere http.Handler
	// Prefix returns what stands for the network of an address in reports; nil is
	// [limit.Prefix].
	Prefix func(netip.Addr) uint64
	// MayReadAll reports whether the sender of a request may read the metrics; nil
	// asks Access.
	MayReadAll func(*http.Request) bool
	// Releases has the releases of the apps. All who change them need the same
	// store; nil is one of the server's own.
	Releases *release.Store
	// Notes has the notes of the apps. All who change them need the same store;
	// nil is one of the server's own.
	Notes *note.Store
	// Weeks returns the weekly reports of an app, the latest first; nil is none.
	Weeks func(context.Context, collector.AppNum) ([]insight.Week, error)
	// Audit receives who read and deleted what, and floods; nil discards it.
	Audit *audit.Log
	// Dashboard handles all paths that are not the server's own; nil is none.
	// Dashboard and Legacy receive requests as their clients made them: with the
	// client's address as RemoteAddr, and with the URL scheme https if the
	// client uses TLS.
	Dashboard http.Handler
	// Legacy answers in another wire format; nil is none.
	Legacy Legacy
	// BaseURL is the address at which people open the pages; see
	// [ParseBaseURL]. Nil is that of each request.
	BaseURL *url.URL
	// TrustedProxies are the addresses of proxies whose forwarding headers are
	// trusted; the default is none.
	TrustedProxies []netip.Prefix
	// Country returns the country of an address as an ISO 3166-1 code, or "".
	// Nil records no countries.
	Country func(netip.Addr) string
	// CountryHeader is the header that trusted proxies set to the country, such as
	// CF-IPCountry. It comes before Country; empty is none.
	CountryHeader string
	// Limits bound what one sender may send.
	Limits counter.Limits
	// Metrics receives the server's metrics, and is served at /metrics; nil
	// serves none.
	Metrics *prometheus.Registry
	// Behind says that replicas receive the requests, and count them: Metrics has
	// none of that.
	Behind bool
	// MoreMetrics, if not nil, returns metrics to serve besides: also those of closed
	// days if the reader may read all apps.
	MoreMetrics func(mayRead bool) []prometheus.Gatherer
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
	engine  *engine.Engine // nil in a receiver
	counter Counter
	log     *slog.Logger
	origins *http.CrossOriginProtection
	metrics metrics
	ready   readiness
	mux     *http.ServeMux
	// requests limits all requests except reports.
	requests *limit.Table
	// wrong limits requests that are refused with 4xx.
	wrong      *limit.Table
	unfinished limit.Gate
	cards      cardCache
	flood      *limit.Flood
	hinted     sync.Once // see proxyHint
}

// A Counter counts what the server has received: package counter has the one of
// this process, and package replica one that may be in another. The reports have no
// number of an app; the counter looks it up.
type Counter interface {
	// Heartbeat and Health return what [counter.Counter] does.
	Heartbeat(ctx context.Context, r collector.Received) (collector.Receipt, error)
	Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error)
	// Refuse counts a report that the server refuses; app is empty if unknown. It
	// does not wait.
	Refuse(app, reason string)
	Describe(ctx context.Context, l counter.Lookup) ([]collector.Held, error)
	Forget(ctx context.Context, l counter.Lookup) (collector.Deletion, error)
	Apps(ctx context.Context) ([]collector.App, error)
	Ready(ctx context.Context) (provisional bool, err error)
}

var _ Counter = (*counter.Counter)(nil)

// New returns a server. It starts nothing.
func New(opts Options) (*Server, error) {
	receiver := opts.Elsewhere != nil
	switch {
	case !receiver && (opts.Collector == nil || opts.Access == nil):
		return nil, errors.New("server: Collector and Access are required")
	case receiver && opts.Counter == nil:
		return nil, errors.New("server: a receiver requires a Counter")
	}
	opts.BaseURL = cmp.Or(opts.BaseURL, &url.URL{})
	if opts.Prefix == nil {
		opts.Prefix = func(addr netip.Addr) uint64 { return uint64(limit.Prefix(addr)) }
	}
	s := &Server{
		opts: opts, engine: opts.Collector, counter: opts.Counter, log: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)),
		origins: http.NewCrossOriginProtection(), mux: http.NewServeMux(),
		requests: limit.New(limitedKeys, requestInterval, requestBurst),
		wrong:    limit.New(limitedKeys, wrongInterval, wrongBurst), unfinished: limit.Gate{Total: maxRequests, PerKey: maxRequestsPerPrefix},
	}
	s.flood = limit.NewFlood(s.log)
	var clock func() collector.Clock
	if !receiver {
		clock = opts.Collector.Clock
		s.opts.Releases = cmp.Or(opts.Releases, release.New(opts.Collector))
		s.opts.Notes = cmp.Or(opts.Notes, note.New(opts.Collector))
	}
	if s.opts.MayReadAll == nil {
		s.opts.MayReadAll = func(r *http.Request) bool { return !receiver && s.mayRead(r, "") }
	}
	var err error
	if s.counter == nil {
		s.counter, err = counter.New(counter.Options{Collector: opts.Collector, Limits: opts.Limits, Audit: opts.Audit})
		if err != nil {
			return nil, err
		}
	}
	if s.metrics, err = newMetrics(cmp.Or(opts.Metrics, prometheus.NewRegistry()), opts.Behind, clock); err != nil {
		return nil, err
	}
	s.handleAll()
	return s, nil
}

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler { return s.bounded(s.belowBase(s.mux)) }

// Forwarded returns the handler of requests that another replica received, and
// bounded; see [WithClient].
func (s *Server) Forwarded() http.Handler { return s.mux }

type route struct {
	method, path string
	handler      http.HandlerFunc
	unlimited    bool // no limit, or one of its own
}

// received returns the paths that each replica answers itself.
func (s *Server) received() []route {
	return []route{
		{"POST", "/v1/heartbeat", s.heartbeat, true},
		{"POST", "/v1/health", s.health, true},
		{"GET", "/v1/installations/{id}", s.describe, false},
		{"DELETE", "/v1/installations/{id}", s.forget, false},
		{"GET", "/healthz", s.healthz, true},
		{"GET", "/readyz", s.readyz, true},
		{"GET", "/metrics", s.serveMetrics, false},
	}
}

// routes returns the server's own paths. The OpenAPI description has each of
// them.
func (s *Server) routes() []route {
	if s.opts.Elsewhere != nil {
		return s.received()
	}
	routes := append(s.received(), []route{
		{"GET", "/v1/releases/{app}", s.released, false},
		{"GET", "/api/openapi.json", s.openAPI, false},
		{"GET", "/api/v1/apps", s.apps, false},
		{"GET", "/api/v1/apps/{app}/export", s.export, false},
		{"POST", "/api/v1/apps/{app}/releases", s.publish, false},
		{"GET", "/api/v1/apps/{app}/notes", s.notes, false},
		{"POST", "/api/v1/apps/{app}/notes", s.addNote, false},
		{"DELETE", "/api/v1/apps/{app}/notes/{id}", s.removeNote, false},
		{"GET", "/api/v1/apps/{app}/feed.atom", s.serveFeed, false},
		{"GET", "/api/v1/apps/{app}/badge/{badge}", s.badge, false},
		{"GET", "/api/v1/apps/{app}/chart/{chart}", s.chart, false},
		{"GET", "/api/v1/apps/{app}/card.png", s.card, false},
	}...)
	for _, q := range questions {
		routes = append(routes, route{"GET", "/api/v1/apps/{app}/" + q.name, s.answer(q), false})
	}
	return routes
}

func (s *Server) handleAll() {
	for _, r := range s.routes() {
		handler := r.handler
		if !r.unlimited {
			handler = s.asClient(handler)
		}
		s.mux.Handle(r.method+" "+r.path, s.instrument(r.path, handler))
	}
	handle := func(path string, handler http.Handler) {
		s.mux.Handle(path, s.instrument(path, s.asClient(handler)))
	}
	if s.opts.Legacy != nil {
		for _, path := range s.opts.Legacy.Paths() {
			s.mux.Handle(path, s.instrument(path, s.withCountry(s.asClient(s.opts.Legacy))))
		}
	}
	if s.opts.Elsewhere != nil {
		handle("/", s.opts.Elsewhere) // which knows the names that it may be asked under
		return
	}
	notFound := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, reasonNotFound, "there is no such path, or not with this method")
	})
	handle("/v1/", notFound)
	handle("/api/", notFound)
	if s.opts.Dashboard != nil {
		handle("/", s.knownNames(s.opts.Dashboard))
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
