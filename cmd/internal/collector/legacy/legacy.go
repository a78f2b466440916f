// Package legacy speaks the wire format of the YA-WAMF telemetry worker, so that clients which report there can be pointed at
// a collector as they are: the same paths, statuses and JSON. What they report belongs to one app, the one that has
// [collector.App.Legacy]. docs/legacy.md says how each of their fields is counted.
//
// Three things differ. An installation ID that is no UUID is taken, as the worker takes it, and stands for a UUID that is
// derived from it ([InstallationID]). The figures of an app that is not public need a token, and small groups are hidden
// from the public. And /version gives no version: the worker has one from its author's build, and the newest that clients
// report is what anybody can make up.
package legacy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/limit"
	"github.com/rollcall-dev/rollcall/report"
)

// The limits of the format.
const (
	// MaxBody bounds a body, in bytes.
	MaxBody = 128 << 10
	// MaxIssues bounds the issues of a report that are counted. MaxEvents bounds the events of a report together, and how
	// often an issue without events happened. What comes behind is left out.
	MaxIssues = 25
	MaxEvents = 250
	// HeartbeatsPerMinute and HealthPerMinute bound the reports from one address prefix, and those of one installation: so
	// many at once, and so many more each minute.
	HeartbeatsPerMinute = 6
	HealthPerMinute     = 1
)

// limitKeys is how many addresses and installations the limits remember.
const limitKeys = 32 << 10

// commitWait bounds the wait for the collector.
const commitWait = 10 * time.Second

// Options say how the handler works. Collector is required.
type Options struct {
	Collector *engine.Engine
	// Country gives the country of the sender; nil for no countries.
	Country func(*http.Request) string
	// MayRead tells whether a request may see the figures of an app that is not public; nil is never.
	MayRead func(r *http.Request, app string) bool
	// Logger gets the log lines; nil discards them.
	Logger *slog.Logger
}

// A Handler answers requests to the paths of the format. Create it with [New].
type Handler struct {
	opts                        Options
	heartbeatLimit, healthLimit *limit.Table
	handler                     http.Handler
}

// New returns a handler.
func New(opts Options) (*Handler, error) {
	if opts.Collector == nil {
		return nil, errors.New("legacy: Collector is required")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
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
	h.handler = allowAllSites(mux)
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
	{"GET", "/stats/health-issues", (*Handler).faultStats},
	{"GET", "/version", (*Handler).version},
	{"GET", "/dashboard", (*Handler).dashboard},
}

// Paths returns the paths of the format.
func (h *Handler) Paths() []string {
	paths := make([]string, len(routes))
	for i, r := range routes {
		paths[i] = r.path
	}
	return paths
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// InstallationID calls [InstallationID].
func (h *Handler) InstallationID(text string) string { return InstallationID(text) }

// allowAllSites lets pages of other sites call, as the worker does.
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

// app finds the app that the format's reports belong to.
func (h *Handler) app(w http.ResponseWriter) (collector.App, bool) {
	for _, app := range h.opts.Collector.Apps() {
		if app.Legacy {
			return app, true
		}
	}
	fail(w, http.StatusNotFound, "This collector takes no reports of this format")
	return collector.App{}, false
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func fail(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

// object reads a body that has to be one JSON object. What is not UTF-8 in it is replaced, as the worker does.
func (h *Handler) object(w http.ResponseWriter, r *http.Request, app collector.App) (object, bool) {
	refuse := func(reason report.Code, status int, text string) (object, bool) {
		h.opts.Collector.Refuse(app.Num, string(reason))
		fail(w, status, text)
		return nil, false
	}
	if r.ContentLength > MaxBody {
		return refuse(report.CodeTooLarge, http.StatusRequestEntityTooLarge, "Payload too large")
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	var value any
	switch {
	case len(data) > MaxBody:
		return refuse(report.CodeTooLarge, http.StatusRequestEntityTooLarge, "Payload too large")
	case err == nil && len(data) == 0:
		return refuse(report.CodeMissing, http.StatusBadRequest, "Missing JSON body")
	case err != nil || json.Unmarshal(bytes.TrimPrefix(data, byteOrderMark), &value) != nil:
		return refuse(report.CodeNotJSON, http.StatusBadRequest, "Invalid JSON body")
	}
	o, ok := value.(map[string]any)
	if !ok {
		return refuse(report.CodeWrongType, http.StatusBadRequest, "JSON body must be an object")
	}
	return o, true
}

var byteOrderMark = []byte("\ufeff")

// allowed holds a sender to a limit.
func (h *Handler) allowed(w http.ResponseWriter, r *http.Request, app collector.App, t *limit.Table, id string) bool {
	if _, ok := t.Take(limit.Client(r.RemoteAddr)); ok {
		if _, ok := t.Take(limit.Of("installation " + id)); ok {
			return true
		}
	}
	h.opts.Collector.Refuse(app.Num, collector.RefusedRate)
	w.Header().Set("Retry-After", "60")
	fail(w, http.StatusTooManyRequests, "Rate limit exceeded")
	return false
}

func (h *Handler) heartbeat(w http.ResponseWriter, r *http.Request) {
	app, ok := h.app(w)
	if !ok {
		return
	}
	body, ok := h.object(w, r, app)
	if !ok {
		return
	}
	id := InstallationID(body.text("installation_id"))
	if id == "" {
		h.opts.Collector.Refuse(app.Num, string(report.CodeMissing))
		fail(w, http.StatusBadRequest, "Missing installation_id")
		return
	}
	if !h.allowed(w, r, app, h.heartbeatLimit, id) {
		return
	}
	received := collector.Received{App: app.Num}
	received.Heartbeat, received.Dropped = heartbeatOf(body, app.Key, id, time.Now())
	if h.opts.Country != nil {
		received.Country = h.opts.Country(r)
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	if _, err := h.opts.Collector.Heartbeat(ctx, received); err != nil {
		h.refused(w, app, err)
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	app, ok := h.app(w)
	if !ok {
		return
	}
	body, ok := h.object(w, r, app)
	if !ok {
		return
	}
	id := InstallationID(body.text("installation_id"))
	list, isList := body["issues"].([]any)
	if id == "" || !isList {
		h.opts.Collector.Refuse(app.Num, string(report.CodeMissing))
		fail(w, http.StatusBadRequest, map[bool]string{true: "Missing installation_id", false: "Missing issues"}[id == ""])
		return
	}
	if !h.allowed(w, r, app, h.healthLimit, id) {
		return
	}
	received, issues := healthOf(body, list, app, id, time.Now())
	if issues == 0 {
		answer(w, http.StatusOK, outcome{Status: "ok"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commitWait)
	defer cancel()
	receipt, err := h.opts.Collector.Health(ctx, received)
	switch {
	case err != nil:
		h.refused(w, app, err)
	case receipt.Counted == 0:
		answer(w, http.StatusOK, outcome{Status: "ok", Duplicate: true})
	default:
		answer(w, http.StatusOK, outcome{Status: "ok", Accepted: issues})
	}
}

type outcome struct {
	Status    string `json:"status"`
	Accepted  int    `json:"accepted"`
	Duplicate bool   `json:"duplicate"`
}

// refused answers a report that the collector does not take.
func (h *Handler) refused(w http.ResponseWriter, app collector.App, err error) {
	status, text, reason := http.StatusServiceUnavailable, "Try again later", collector.RefusedStore
	switch {
	case errors.Is(err, collector.ErrGone):
		status, text, reason = http.StatusGone, "Nothing more is wanted", collector.RefusedGone
	case errors.Is(err, collector.ErrNewLimit):
		status, text, reason = http.StatusTooManyRequests, "Rate limit exceeded", collector.RefusedNew
	case errors.Is(err, collector.ErrBusy), errors.Is(err, collector.ErrClosed):
		reason = collector.RefusedBusy
	}
	if status != http.StatusGone {
		w.Header().Set("Retry-After", "300")
	}
	h.opts.Collector.Refuse(app.Num, reason)
	fail(w, status, text)
}

func (h *Handler) version(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=1800")
	answer(w, http.StatusOK, map[string]any{
		"stable":   map[string]any{"version": nil, "url": nil},
		"dev":      map[string]any{"version": nil, "commit": nil, "url": nil},
		"branches": map[string]any{},
	})
}

// dashboard leads to the page of the app that shows what was asked for.
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

// clampDays gives the range that the worker shows when so many days are asked for.
func clampDays(days int) int {
	switch {
	case days <= 7:
		return 7
	case days <= 30:
		return 30
	}
	return 90
}
