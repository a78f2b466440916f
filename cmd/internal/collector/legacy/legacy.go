// Package legacy implements the wire format of the YA-WAMF telemetry worker, so
// that its clients can report to a collector unchanged: the same paths, statuses,
// and JSON. Their reports belong to one app, the one with [collector.App.Legacy].
// On the wire, faults are called issues. docs/legacy.md describes how each field
// is counted.
//
// There are two differences. An installation ID that is not a UUID is accepted,
// as by the worker, and stands for a UUID derived from it ([InstallationID]). The
// figures of an app that is not public require a token, and small groups are
// hidden from the public.
package legacy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// The limits of the format.
const (
	// MaxBody bounds a body, in bytes.
	MaxBody = 128 << 10
	// MaxFaults bounds the faults of a report. Further ones are ignored.
	MaxFaults = 25
	// MaxEvents bounds the events of a report, and the count of a fault without
	// events.
	MaxEvents = 250
)

// A Counter counts the reports, like package counter. It enforces the limits of the
// format.
type Counter interface {
	Heartbeat(ctx context.Context, r collector.Received) (collector.Receipt, error)
	Health(ctx context.Context, r collector.ReceivedHealth) (collector.Receipt, error)
	Refuse(app, reason string)
	Apps(ctx context.Context) ([]collector.App, error)
}

// Options configure a [Handler]. Collector and Releases are required, or Counter
// and Elsewhere.
type Options struct {
	Collector *engine.Engine
	// Counter counts the reports; nil is one of Collector.
	Counter Counter
	// Elsewhere, if not nil, answers all requests but reports.
	Elsewhere http.Handler
	// Prefix returns what stands for the network of an address; nil is
	// [limit.Prefix].
	Prefix func(netip.Addr) uint64
	// Releases has the versions that /version names.
	Releases *release.Store
	// Country returns the country of a request's client; nil records no countries.
	Country func(*http.Request) string
	// MayRead reports whether a request may read the figures of an app that is
	// not public; nil is never.
	MayRead func(r *http.Request, app string) bool
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// A Handler answers requests to the paths of the format. Create it with [New].
type Handler struct {
	http.Handler
	opts Options
}

// New returns a handler.
func New(opts Options) (*Handler, error) {
	switch {
	case opts.Elsewhere == nil && (opts.Collector == nil || opts.Releases == nil):
		return nil, errors.New("legacy: Collector and Releases are required")
	case opts.Elsewhere != nil && opts.Counter == nil:
		return nil, errors.New("legacy: a receiver requires a Counter")
	case opts.Counter == nil:
		var err error
		if opts.Counter, err = counter.New(counter.Options{Collector: opts.Collector}); err != nil {
			return nil, err
		}
	}
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	if opts.Prefix == nil {
		opts.Prefix = func(addr netip.Addr) uint64 { return uint64(limit.Prefix(addr)) }
	}
	h := &Handler{opts: opts}
	mux := http.NewServeMux()
	for _, r := range routes {
		if r.method != http.MethodPost && opts.Elsewhere != nil {
			continue
		}
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) { r.handle(h, w, req) })
	}
	if opts.Elsewhere != nil {
		mux.Handle("/", opts.Elsewhere)
		h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				allowAllSites(mux).ServeHTTP(w, r)
				return
			}
			opts.Elsewhere.ServeHTTP(w, r) // which allows them itself
		})
		return h, nil
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "404 Not Found", http.StatusNotFound) })
	h.Handler = allowAllSites(mux)
	return h, nil
}

// routes are the paths of the format.
var routes = []struct {
	method, path string
	handle       func(*Handler, http.ResponseWriter, *http.Request)
}{
	{"POST", "/heartbeat", (*Handler).heartbeat},
	{"POST", "/health-issues", (*Handler).health},
	{"GET", "/stats/summary", (*Handler).summary},
	{"GET", "/stats/health-issues", (*Handler).faults},
	{"GET", "/version", (*Handler).version},
	{"GET", "/dashboard", (*Handler).dashboard},
}

// Paths returns the paths of the format.
func (h *Handler) Paths() []string {
	var paths []string
	for _, r := range routes {
		paths = append(paths, r.path)
	}
	return paths
}

// InstallationID calls [InstallationID].
func (h *Handler) InstallationID(text string) string { return InstallationID(text) }

// allowAllSites allows requests from pages of other sites, as the worker does.
func allowAllSites(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET,HEAD,PUT,POST,DELETE,PATCH")
			if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
				w.Header().Set("Access-Control-Allow-Headers", asked)
				w.Header().Set("Vary", "Access-Control-Request-Headers")
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// app returns the app that reports belong to.
func (h *Handler) app(w http.ResponseWriter, r *http.Request) (collector.App, bool) {
	app, ok, err := h.findApp(r)
	switch {
	case err != nil:
		w.Header().Set("Retry-After", storeRetry)
		refuse(w, http.StatusServiceUnavailable, "Try again later")
	case !ok:
		refuse(w, http.StatusNotFound, "This collector does not accept reports in this format")
	}
	return app, ok
}

func (h *Handler) findApp(r *http.Request) (collector.App, bool, error) {
	ctx, cancel := context.WithTimeout(r.Context(), commitTimeout)
	defer cancel()
	apps, err := h.opts.Counter.Apps(ctx)
	if i := slices.IndexFunc(apps, func(app collector.App) bool { return app.Legacy }); i >= 0 {
		return apps[i], true, nil
	}
	return collector.App{}, false, err
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// dashboard redirects to the page of the app that shows the same figures.
func (h *Handler) dashboard(w http.ResponseWriter, r *http.Request) {
	app, ok := h.app(w, r)
	if !ok {
		return
	}
	page, query := "overview", r.URL.Query()
	if query.Get("view") == "health" {
		page = "health"
	}
	to := url.URL{Path: "/a/" + app.Key + "/" + page}
	if days, err := strconv.Atoi(query.Get("days")); err == nil {
		to.RawQuery = url.Values{"days": {strconv.Itoa(clampDays(days))}}.Encode()
	}
	http.Redirect(w, r, to.String(), http.StatusFound)
}

func clampDays(days int) int {
	switch {
	case days <= 7:
		return 7
	case days <= 30:
		return 30
	}
	return 90
}
