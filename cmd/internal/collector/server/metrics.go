package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
)

// metrics are the server's. A nil one counts nothing.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	taken    *prometheus.CounterVec
	refusals *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	if registry == nil {
		return nil, nil
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_collector_requests_total", Help: "Requests by path and status.",
		}, []string{"path", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "rollcall_collector_request_seconds", Help: "How long requests took, by path.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"path"}),
		taken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_collector_reports_total", Help: "Accepted reports by kind and by what they changed.",
		}, []string{"kind", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_collector_refused_total", Help: "Refused reports by reason.",
		}, []string{"reason"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.taken, m.refusals} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) accepted(kind string, receipt collector.Receipt) {
	if m == nil {
		return
	}
	outcome := "changed"
	switch {
	case receipt.New:
		outcome = "new"
	case receipt.Repeated:
		outcome = "repeated"
	}
	m.taken.WithLabelValues(kind, outcome).Inc()
}

func (m *metrics) refuse(reason string) {
	if m != nil {
		m.refusals.WithLabelValues(reason).Inc()
	}
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// counted counts the requests to a path.
func (s *Server) counted(path string, next http.HandlerFunc) http.Handler {
	if s.metrics == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer s.survive(w, path)
			next(w, r)
		})
	}
	duration := s.metrics.duration.WithLabelValues(path)
	ok := s.metrics.requests.WithLabelValues(path, "200")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		recorded := statusWriter{ResponseWriter: w}
		func() {
			defer s.survive(&recorded, path)
			next(&recorded, r)
		}()
		duration.Observe(time.Since(began).Seconds())
		if recorded.status == http.StatusOK {
			ok.Inc()
			return
		}
		s.metrics.requests.WithLabelValues(path, strconv.Itoa(recorded.status)).Inc()
	})
}

// serveMetrics gives the metrics to whom may read all apps.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if s.opts.Metrics == nil {
		refuse(w, http.StatusNotFound, "not_found", "there are no metrics")
		return
	}
	if !s.opts.OpenMetrics && !s.may(r, "", access.Read) {
		unauthorized(w)
		return
	}
	promhttp.HandlerFor(s.opts.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
