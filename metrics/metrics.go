// Package metrics exports Prometheus metrics of a rollcall service: how its
// attempts to find or save the installation ID end, how long they take, whether
// the ID is on disk, and how its reports end.
//
// It is a package of its own so that hosts without Prometheus do not link it.
package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
)

// The names of the series.
const (
	nameAttempts  = "rollcall_save_attempts_total"
	nameDuration  = "rollcall_save_attempt_duration_seconds"
	nameFallbacks = "rollcall_fallbacks_total"
	namePersisted = "rollcall_installation_id_persisted"
	nameReports   = "rollcall_reports_total"
	nameWithheld  = "rollcall_reports_withheld"
	nameSuccess   = "rollcall_reports_last_success_timestamp_seconds"

	labelResult = "result"
	labelKind   = "kind"
)

// durationBuckets reach from a read of the page cache to twice the limit of an
// attempt.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// New registers the metrics of one service with reg, and returns the observer
// for its config, which feeds them. All series exist from then on, so that
// alerts never lack data. New fails if reg already has them: a process with
// several services uses a registerer with labels for each
// (prometheus.WrapRegistererWith), and one that replaces a service by another
// uses the same observer again.
func New(reg prometheus.Registerer) (installid.Observer, error) {
	o := newObserver()
	if err := reg.Register(o); err != nil {
		return nil, fmt.Errorf("register rollcall metrics: %w", err)
	}
	return o, nil
}

// An observer is registered as one collector: all metrics, or none.
type observer struct {
	attempts  *prometheus.CounterVec
	duration  prometheus.Histogram
	fallbacks prometheus.Counter
	persisted prometheus.Gauge
	reports   *prometheus.CounterVec
	withheld  prometheus.Gauge
	success   prometheus.Gauge
}

var (
	_ rollcall.ReportObserver = (*observer)(nil)
	_ prometheus.Collector    = (*observer)(nil)
)

func newObserver() *observer {
	o := &observer{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: nameAttempts,
			Help: "Attempts to find or save the installation ID, by how they ended.",
		}, []string{labelResult}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    nameDuration,
			Help:    "How long the service waited for an attempt to find or save the installation ID.",
			Buckets: durationBuckets,
		}),
		fallbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: nameFallbacks,
			Help: "How often the start gave up and used an installation ID in memory.",
		}),
		persisted: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: namePersisted,
			Help: "Whether the installation ID in use is durable on disk (1) or not (0).",
		}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: nameReports,
			Help: "Attempts to send a report, by its kind and by how they ended.",
		}, []string{labelKind, labelResult}),
		withheld: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: nameWithheld,
			Help: "Whether reports are withheld (1), such as without consent, or sent when due (0).",
		}),
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: nameSuccess,
			Help: "When the collector last accepted a heartbeat, as Unix time; 0 if it is not known to have.",
		}),
	}
	o.withheld.Set(1)
	for _, kind := range rollcall.ReportKinds() {
		for _, result := range rollcall.ReportResults() {
			o.reports.WithLabelValues(string(kind), string(result))
		}
	}
	for _, result := range installid.Results() {
		o.attempts.WithLabelValues(string(result))
	}
	return o
}

// SaveAttempted implements [installid.Observer].
func (o *observer) SaveAttempted(a installid.SaveAttempt) {
	o.attempts.WithLabelValues(string(a.Result)).Inc()
	o.duration.Observe(a.Duration.Seconds())
}

// FellBack implements [installid.Observer]. The reason is no label: it names
// paths, and its values have no bound.
func (o *observer) FellBack(string) { o.fallbacks.Inc() }

// PersistedChanged implements [installid.Observer].
func (o *observer) PersistedChanged(persisted bool) {
	if persisted {
		o.persisted.Set(1)
	} else {
		o.persisted.Set(0)
	}
}

// ReportEnded implements [rollcall.ReportObserver].
func (o *observer) ReportEnded(outcome rollcall.ReportOutcome) {
	o.reports.WithLabelValues(string(outcome.Kind), string(outcome.Result)).Inc()
}

// ReportingChanged implements [rollcall.ReportObserver].
func (o *observer) ReportingChanged(st rollcall.ReportingStatus) {
	o.withheld.Set(0)
	if st.Withheld != "" {
		o.withheld.Set(1)
	}
	if !st.LastSuccess.IsZero() {
		o.success.Set(float64(st.LastSuccess.Unix()))
	}
}

// Describe implements [prometheus.Collector].
func (o *observer) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range o.collectors() {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (o *observer) Collect(ch chan<- prometheus.Metric) {
	for _, c := range o.collectors() {
		c.Collect(ch)
	}
}

func (o *observer) collectors() []prometheus.Collector {
	return []prometheus.Collector{o.attempts, o.duration, o.fallbacks, o.persisted, o.reports, o.withheld, o.success}
}
