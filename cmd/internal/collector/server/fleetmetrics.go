package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// fleetTimeout bounds the time to read the figures of all apps for one scrape.
const fleetTimeout = 5 * time.Second

// A fleetMetrics shows the latest closed day of each app as gauges. They are the
// maintainer's figures, so only those with a token see them.
type fleetMetrics struct {
	engine *engine.Engine

	day, active, established, fresh, returning, lost, inMemory, version *prometheus.Desc
}

func newFleetMetrics(e *engine.Engine) *fleetMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("rollcall_app_"+name, help, append([]string{"app"}, labels...), nil)
	}
	return &fleetMetrics{
		engine:      e,
		day:         desc("day_timestamp_seconds", "The latest closed day, which the other figures are of: when it began."),
		active:      desc("active_installations", "Installations active in the window of days that ends with the day.", "days"),
		established: desc("established_installations", "Active installations that were seen on at least two days.", "days"),
		fresh:       desc("new_installations", "Installations that were first seen on the day."),
		returning:   desc("returning_installations", "Installations that came back on the day, after 28 days."),
		lost:        desc("lost_installations", "Installations that were last seen 28 days before the day."),
		inMemory:    desc("in_memory_ids", "IDs on the day that are not persisted; not counted elsewhere."),
		version:     desc("version_installations", "Installations active in 28 days by version: the 20 most frequent, and the rest as other.", "version"),
	}
}

// Describe implements [prometheus.Collector].
func (m *fleetMetrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.day, m.active, m.established, m.fresh, m.returning, m.lost, m.inMemory, m.version} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector]. An app without a closed day, or
// whose latest has no figures because the collector did not run, has none.
func (m *fleetMetrics) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), fleetTimeout)
	defer cancel()
	for _, app := range m.engine.Apps() {
		m.collect(ctx, app, metrics)
	}
}

func (m *fleetMetrics) collect(ctx context.Context, app collector.App, metrics chan<- prometheus.Metric) {
	today, since, err := m.engine.Today(app.Num)
	if err != nil || today-1 < since {
		return
	}
	yesterday := collector.Range{From: today - 1, To: today - 1}
	series, err := m.engine.Series(ctx, app.Num, yesterday, figures.View{})
	if err != nil || len(series.Points) != 1 || series.Points[0].Gap {
		return
	}
	gauge := func(desc *prometheus.Desc, n figures.Count, labels ...string) {
		if n != nil {
			metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(*n), append([]string{app.Key}, labels...)...)
		}
	}
	p := series.Points[0]
	metrics <- prometheus.MustNewConstMetric(m.day, prometheus.GaugeValue, float64(p.Day.Time().Unix()), app.Key)
	for _, windows := range []struct {
		desc *prometheus.Desc
		of   figures.Active
	}{{m.active, p.Active}, {m.established, p.Established}} {
		gauge(windows.desc, windows.of.Day, "1")
		gauge(windows.desc, windows.of.Week, "7")
		gauge(windows.desc, windows.of.Days28, "28")
		gauge(windows.desc, windows.of.Days30, "30")
	}
	gauge(m.fresh, p.New)
	gauge(m.returning, p.Returning)
	gauge(m.lost, p.Lost)
	gauge(m.inMemory, p.InMemory)
	versions, err := m.engine.Breakdown(ctx, app.Num, collector.DimVersion, 28, p.Day, figures.View{})
	if err != nil {
		return
	}
	for version, n := range topVersions(versions.Values) {
		gauge(m.version, &n, version)
	}
}

// topVersions returns the counts of the most frequent versions. The rest is other.
func topVersions(values []figures.Value) map[string]uint64 {
	counts := make(map[string]uint64, len(values))
	for _, v := range values {
		counts[v.Value] = *v.Count
	}
	top := make(map[string]uint64)
	for _, version := range figures.Top(counts, figures.MaxTop) {
		top[version] = counts[version]
		delete(counts, version)
	}
	for _, n := range counts {
		top[collector.Other] += n
	}
	return top
}
