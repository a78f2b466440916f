// Package legacy implements the wire format of the YA-WAMF telemetry worker, so
// that its clients can report to a collector unchanged: the same paths, statuses,
// and JSON. Their reports belong to one app, the one with [collector.App.Legacy].
// On the wire, faults are called issues. docs/legacy.md describes how each field
// is counted.
//
// There are three differences. An installation ID that is not a UUID is accepted,
// as by the worker, and stands for a UUID derived from it ([InstallationID]). The
// figures of an app that is not public require a token, and small groups are
// hidden from the public. And /version contains no version: the worker knows it
// from its author's build, whereas the newest version that clients report can be
// made up.
package legacy

import (
	"cmp"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
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
	// HeartbeatsPerMinute and HealthPerMinute limit the reports of an address
	// prefix and of an installation: so many at once, and so many more each
	// minute.
	HeartbeatsPerMinute = 6
	HealthPerMinute     = 1
	// limitKeys is how many prefixes and installations the limits remember.
	limitKeys = 32 << 10
)

// Options configure a [Handler]. Collector is required.
type Options struct {
	Collector *engine.Engine
	// Country returns the country of an address; nil records no countries.
	Country func(netip.Addr) string
	// MayRead reports whether a request may read the figures of an app that is
	// not public; nil is never.
	MayRead func(r *http.Request, app string) bool
	// Logger receives the log lines; nil discards them.
	Logger *slog.Logger
}

// A Handler answers requests to the paths of the format. Create it with [New].
type Handler struct {
	http.Handler
	opts                        Options
	heartbeatLimit, healthLimit *limit.Table
}

// New returns a handler.
func New(opts Options) (*Handler, error) {
	if opts.Collector == nil {
		return nil, errors.New("legacy: Collector is required")
	}
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	h := &Handler{
		opts:           opts,
		heartbeatLimit: limit.New(limitKeys, time.Minute/HeartbeatsPerMinute, HeartbeatsPerMinute),
		healthLimit:    limit.New(limitKeys, time.Minute/HealthPerMinute, HealthPerMinute),
	}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) { r.handle(h, w, req) })
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
func (h *Handler) app(w http.ResponseWriter) (collector.App, bool) {
	for _, app := range h.opts.Collector.Apps() {
		if app.Legacy {
			return app, true
		}
	}
	refuse(w, http.StatusNotFound, "This collector does not accept reports in this format")
	return collector.App{}, false
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

func (h *Handler) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=1800")
	writeJSON(w, http.StatusOK, map[string]any{
		"stable":   map[string]any{"version": nil, "url": nil},
		"dev":      map[string]any{"version": nil, "commit": nil, "url": nil},
		"branches": map[string]any{},
	})
}

// dashboard redirects to the page of the app that shows the same figures.
func (h *Handler) dashboard(w http.ResponseWriter, r *http.Request) {
	app, ok := h.app(w)
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
