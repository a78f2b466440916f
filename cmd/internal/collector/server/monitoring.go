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

func newMetrics(registry *prometheus.Registry) (metrics, error) {
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
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.accepted, m.refused} {
		if err := registry.Register(c); err != nil {
			return m, err
		}
	}
	return m, nil
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

// serveMetrics serves the metrics to those who may read all apps.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.opts.Metrics == nil:
		refuse(w, http.StatusNotFound, reasonNotFound, "metrics are disabled")
	case !s.opts.OpenMetrics && !s.mayRead(r, ""):
		refuseUnauthorized(w)
	default:
		promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	}
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
	at  time.Time
	err error
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.ready.Lock()
	defer s.ready.Unlock()
	if time.Since(s.ready.at) > readyFor {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		s.ready.err = s.engine.Ready(ctx)
		cancel()
		s.ready.at = time.Now()
	}
	if s.ready.err != nil {
		http.Error(w, "the store does not commit", http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}
