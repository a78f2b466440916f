package agent

import (
	"context"
	_ "embed"
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
	"github.com/rollcall-dev/rollcall/page"
)

// The paths of the local server.
const (
	PathInstallation = "/v1/installation"
	PathStatus       = "/v1/status"
	pathOpenAPI      = "/v1/openapi.json"
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

// An errorBody is the answer to a request that failed.
type errorBody struct {
	Error   string `json:"error"`
	Settled *bool  `json:"settled,omitempty"` // present if the ID is missing
	Field   string `json:"field,omitempty"`   // of the request, that has a mistake
	Status  int    `json:"status,omitempty"`  // of the collector's answer
}

// Handler serves the agent's endpoints:
//
//	GET /v1/installation  the ID once it is settled, 503 before; ?wait=5s waits for it, at most 30 s
//	GET /v1/status        all that the service knows about itself
//	GET /v1/update        the newest release, if it is newer than the host's version; POST asks the collector, if that is due
//	GET /healthz          200 while the process is alive
//	GET /readyz           200 once the ID is settled, 503 before
//	GET /metrics          for Prometheus
//	GET /v1/consent       the operator's decisions; POST changes them, as {"telemetry": false}
//	PUT /v1/facts         the values of all facts, as {"users": 42}
//	PUT /v1/host          the host's version, as {"version": "1.2.3"}
//	POST /v1/faults       counts a fault, as {"source": "log", "component": "storage", "reason": "disk-full"}
//	GET /v1/preview       what would be sent now, and why
//	POST /v1/send         sends it
//	GET /v1/openapi.json  a description of all of these
//	/                     the operator's page
//
// Everyone on this machine may deny. Granting, and what is for the host, from
// /v1/facts to /v1/send, and POST /v1/update need proof that the client acts for
// the operator, and without it get 401. What the page allows is up to the page.
//
// The Host header of a request has to be a loopback address, localhost,
// the host that the agent listens on, or one of Options.AllowHosts. Other
// requests get 421. Requests that a browser makes for pages of other
// origins get 403.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	allowed := make(map[string][]string)
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+r.path, r.handler)
		allowed[r.path] = append(allowed[r.path], r.method)
		if r.method == http.MethodGet {
			allowed[r.path] = append(allowed[r.path], http.MethodHead)
		}
	}
	for path, methods := range allowed {
		mux.Handle(path, allowOnly(strings.Join(methods, ", ")))
	}
	mux.HandleFunc("/v1", unknownPath) // instead of a redirect to /v1/
	mux.HandleFunc("/v1/", unknownPath)
	if a.opts.Page != nil {
		mux.Handle("/", a.opts.Gate.Pages(a.opts.Page))
	} else {
		mux.HandleFunc("/", unknownPath)
	}
	return a.guard(mux)
}

type route struct {
	method, path string
	handler      http.HandlerFunc
}

// description is held to the routes by TestOpenAPI.
//
//go:embed openapi.json
var description []byte

// routes returns all endpoints but the page.
func (a *Agent) routes() []route {
	routes := []route{
		{http.MethodGet, PathInstallation, a.serveInstallation},
		{http.MethodGet, PathStatus, a.serveStatus},
		{http.MethodGet, PathUpdate, a.serveUpdate},
		{http.MethodPost, PathUpdate, a.checkUpdate},
		{http.MethodGet, pathHealth, func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
		}},
		{http.MethodGet, pathReady, a.serveReady},
		{http.MethodGet, PathConsent, a.serveConsent},
		{http.MethodPost, PathConsent, a.changeConsent},
		{http.MethodPut, PathFacts, a.putFacts},
		{http.MethodPut, PathHost, a.putHost},
		{http.MethodPost, PathFaults, a.postFault},
		{http.MethodGet, PathPreview, a.servePreview},
		{http.MethodPost, PathSend, a.postSend},
		{http.MethodGet, pathOpenAPI, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = w.Write(description)
		}},
	}
	if a.opts.Metrics != nil {
		served := promhttp.HandlerFor(a.opts.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
		routes = append(routes, route{http.MethodGet, pathMetrics, served.ServeHTTP})
	}
	return routes
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

func (a *Agent) serveStatus(w http.ResponseWriter, r *http.Request) {
	a.freshen(r.Context())
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

// permit reports whether a request has the rights that it needs. If not, it
// answers the request.
func (a *Agent) permit(w http.ResponseWriter, r *http.Request, needs page.Rights) bool {
	if a.opts.Gate.Rights(r) >= needs {
		return true
	}
	token := "the operator's token"
	if path := a.opts.Gate.TokenPath(); path != "" {
		token = "the token in " + path
	}
	what := "only the operator may do this"
	if needs <= page.MayDeny {
		what = "only the operator, and programs on this machine, may do this"
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	writeError(w, http.StatusUnauthorized, what+": send the header \"Authorization: Bearer TOKEN\" with "+token+
		", or connect to a Unix socket of the agent (--listen unix:PATH) as root, as the agent's user, or as the owner of the config")
	return false
}

func writeUnavailable(w http.ResponseWriter, retryAfter int, message string, settled bool) {
	w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	writeJSON(w, http.StatusServiceUnavailable, errorBody{Error: message, Settled: &settled})
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
