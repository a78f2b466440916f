package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

type metrics struct {
	requests, accepted, refused *prometheus.CounterVec
	duration                    *prometheus.HistogramVec
}

func newMetrics(registry *prometheus.Registry, behind bool, clock func() collector.Clock) (metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rollcall_collector_" + name, Help: help}, labels)
	}
	m := metrics{
		requests: counter("requests_total", "Requests by path and status.", "path", "status"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_collector_request_seconds", Help: "Duration of requests by path.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"path"}),
		accepted: counter("reports_total", "Accepted reports by kind and outcome.", "kind", "outcome"),
		refused:  counter("refused_total", "Refused reports by reason.", "reason"),
	}
	var all []prometheus.Collector
	if !behind {
		all = append(all, m.requests, m.duration, m.accepted, m.refused)
	}
	if clock != nil {
		all = append(all, clockGauge(clock))
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
}

// clockGauge shows whether the collector trusts its clock.
func clockGauge(clock func() collector.Clock) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rollcall_collector_clock_trusted", Help: "1 while the collector trusts its clock, 0 while it counts provisionally.",
	}, func() float64 {
		if clock().Trusted {
			return 1
		}
		return 0
	})
}

func (m metrics) countAccepted(kind string, receipt collector.Receipt) {
	outcome := "changed"
	switch {
	case receipt.New:
		outcome = "new"
	case receipt.Repeated:
		outcome = "repeated"
	}
	m.accepted.WithLabelValues(kind, outcome).Inc()
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = cmp.Or(w.status, status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// instrument counts the requests to a path, and handles panics.
func (s *Server) instrument(path string, next http.HandlerFunc) http.Handler {
	duration := s.metrics.duration.WithLabelValues(path)
	ok := s.metrics.requests.WithLabelValues(path, "200")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorded := statusWriter{ResponseWriter: w}
		func() {
			defer s.recoverPanic(&recorded, path)
			next(&recorded, r)
		}()
		duration.Observe(time.Since(start).Seconds())
		if recorded.status == http.StatusOK {
			ok.Inc()
			return
		}
		s.metrics.requests.WithLabelValues(path, strconv.Itoa(recorded.status)).Inc()
	})
}

// recoverPanic answers 500 after a panic. It does not log the text of the panic,
// which may contain data of the client.
func (s *Server) recoverPanic(w http.ResponseWriter, path string) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler:
		panic(p)
	default:
		s.log.Error("Request failed", "path", path, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		refuse(w, http.StatusInternalServerError, reasonInternal, "internal error")
	}
}

// serveMetrics serves the metrics to those who may read all apps. If they are
// open to all, the figures of apps are not among them.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if s.opts.Metrics == nil {
		refuse(w, http.StatusNotFound, reasonNotFound, "metrics are disabled")
		return
	}
	// A receiver asks the counter, which may be away, so ask only about credentials.
	mayRead := (r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "") && s.opts.MayReadAll(r)
	if !mayRead && !s.opts.OpenMetrics {
		refuseUnauthorized(w, "a token that may read the app")
		return
	}
	gatherers := prometheus.Gatherers{s.opts.Metrics}
	if mayRead && s.engine != nil {
		gatherers = append(gatherers, s.Fleet())
	}
	if s.opts.MoreMetrics != nil {
		gatherers = append(gatherers, s.opts.MoreMetrics(mayRead)...)
	}
	promhttp.HandlerFor(gatherers, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// Fleet returns the metrics of closed days, for those who may read all apps.
func (s *Server) Fleet() prometheus.Gatherer {
	fleet := prometheus.NewRegistry()
	fleet.MustRegister(newFleetMetrics(s.engine))
	return fleet
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") }

// Whether the store commits is cached for readyFor, so that frequent probes do
// not cause frequent commits.
const (
	readyFor     = 2 * time.Second
	readyTimeout = 5 * time.Second
)

type readiness struct {
	sync.Mutex
	at          time.Time
	provisional bool
	err         error
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.ready.Lock()
	defer s.ready.Unlock()
	if time.Since(s.ready.at) > readyFor {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		s.ready.provisional, s.ready.err = s.counter.Ready(ctx)
		cancel()
		s.ready.at = time.Now()
	}
	if s.ready.err != nil {
		http.Error(w, "the store does not commit", http.StatusServiceUnavailable)
		return
	}
	provisional := s.ready.provisional
	if s.engine != nil { // costs nothing here
		provisional = !s.engine.Clock().Trusted
	}
	if provisional { // reports are acknowledged as ever
		io.WriteString(w, "ready, but the clock is not plausible: reports count provisionally\n")
		return
	}
	io.WriteString(w, "ready\n")
}
