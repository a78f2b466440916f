package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/guard"
)

// The paths of the local server.
const (
	PathInstallation = "/v1/installation"
	PathStatus       = "/v1/status"
	pathHealth       = "/healthz"
	pathReady        = "/readyz"
	pathMetrics      = "/metrics"
)

const (
	// maxWait is the longest ?wait= of a request.
	maxWait = 30 * time.Second
	// The values of Retry-After, in seconds: while the disk is slow, and
	// while the operator has not decided.
	retrySoon  = 1
	retryLater = 60
)

// Installation is the answer to GET /v1/installation.
type Installation struct {
	ID        installid.ID `json:"installation_id"`
	Persisted bool         `json:"persisted"`
	Settled   bool         `json:"settled"`
	// Provisional: the storage is not read yet, so the ID may change.
	Provisional bool `json:"provisional"`
}

// Status is the answer to GET /v1/status.
type Status struct {
	rollcall.Status
	Version       string  `json:"version"`
	UptimeSeconds float64 `json:"uptime_seconds"`
}

// Settled is present in an errorBody if the ID is missing.
type errorBody struct {
	Error   string `json:"error"`
	Settled *bool  `json:"settled,omitempty"`
}

// Handler serves the agent's endpoints:
//
//	GET /v1/installation  the ID once it is settled, 503 before; ?wait=5s waits for it, at most 30 s
//	GET /v1/status        all that the service knows about itself
//	GET /healthz          200 while the process is alive
//	GET /readyz           200 once the ID is settled, 503 before
//	GET /metrics          for Prometheus
//	GET /v1/consent       the operator's decisions; POST changes them, as {"telemetry": false}
//	/                     the operator's page
//
// The Host header of a request has to be a loopback address, localhost,
// the host that the agent listens on, or one of Options.AllowHosts. Other
// requests get 421. Requests that a browser makes for pages of other
// origins get 403.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, h http.Handler) {
		mux.Handle("GET "+path, h)
		mux.Handle(path, allowOnly("GET, HEAD"))
	}
	handle(PathInstallation, http.HandlerFunc(a.serveInstallation))
	handle(PathStatus, http.HandlerFunc(a.serveStatus))
	handle(pathHealth, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	}))
	handle(pathReady, http.HandlerFunc(a.serveReady))
	if a.opts.Metrics != nil {
		handle(pathMetrics, promhttp.HandlerFor(a.opts.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	}
	mux.HandleFunc("GET "+PathConsent, a.serveConsent)
	mux.HandleFunc("POST "+PathConsent, a.changeConsent)
	mux.Handle(PathConsent, allowOnly("GET, HEAD, POST"))
	mux.HandleFunc("/v1", unknownPath) // instead of a redirect to /v1/
	mux.HandleFunc("/v1/", unknownPath)
	if a.opts.Page != nil {
		mux.Handle("/", a.opts.Page)
	} else {
		mux.HandleFunc("/", unknownPath)
	}
	return a.guard(mux)
}

func unknownPath(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, "no such path")
}

func allowOnly(methods string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", methods)
		writeError(w, http.StatusMethodNotAllowed, "allowed methods: "+methods)
	})
}

func (a *Agent) serveInstallation(w http.ResponseWriter, r *http.Request) {
	wait, err := parseWait(r.URL.Query().Get("wait"))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	a.waitSettled(w, r, wait)
	st := a.service.Status()
	switch {
	case !st.Settled:
		writeUnavailable(w, retrySoon, "the installation ID is not settled yet", false)
	case st.ID.IsZero():
		writeUnavailable(w, retryLater, "there is no installation ID: "+st.Reason, true)
	default:
		writeJSON(w, http.StatusOK, Installation{st.ID, st.Persisted, st.Settled, st.Provisional})
	}
}

// waitSettled returns early if the client leaves or the agent stops.
func (a *Agent) waitSettled(w http.ResponseWriter, r *http.Request, d time.Duration) {
	if d == 0 {
		return
	}
	// A ResponseWriter without deadlines needs no later one.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + writeTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	select {
	case <-a.service.Settled():
	case <-ctx.Done():
	case <-a.stopping.Done():
	}
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		return 0, errors.New("wait: not a duration between 0s and " + maxWait.String())
	}
	return d, nil
}

func (a *Agent) serveStatus(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, Status{
		Status:        a.service.Status(),
		Version:       a.opts.Version,
		UptimeSeconds: time.Since(a.began).Round(time.Millisecond).Seconds(),
	})
}

func (a *Agent) serveReady(w http.ResponseWriter, _ *http.Request) {
	if !a.service.Status().Settled {
		writeUnavailable(w, retrySoon, "the installation ID is not settled yet", false)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func writeUnavailable(w http.ResponseWriter, retryAfter int, message string, settled bool) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	writeJSON(w, http.StatusServiceUnavailable, errorBody{message, &settled})
}

func writeError(w http.ResponseWriter, code int, message string) {
	writeJSON(w, code, errorBody{Error: message})
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body) // an error means that the client is gone
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

// isOwn reports whether a path does not belong to the operator's page.
func isOwn(path string) bool {
	return slices.Contains([]string{pathHealth, pathReady, pathMetrics}, path) || strings.HasPrefix(path, "/v1/")
}

func refuseCrossSite(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusForbidden, "requests from other web sites are refused")
}
