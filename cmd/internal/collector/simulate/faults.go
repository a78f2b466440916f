package simulate

import (
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

type fault struct {
	key report.FaultKey
	// rate is the probability that it happens on a day.
	rate float64
	// large is the number of the launch that brings it, from 1; 0 is all
	// versions.
	large int
	// system, if not empty, is the only operating system that has it.
	system string
}

var faults = []fault{
	{key: report.FaultKey{Source: "log", Component: "storage", Reason: "disk-full", Stage: "save", Severity: report.SeverityError}, rate: 0.004},
	{key: report.FaultKey{Source: "log", Component: "network", Reason: "timeout", Severity: report.SeverityWarning}, rate: 0.02},
	{key: report.FaultKey{Source: "log", Component: "update", Reason: "bad-signature", Stage: "verify", Severity: report.SeverityCritical}, rate: 0.0005},
	{key: report.FaultKey{Source: "panic", Component: "index", Reason: "out-of-range", Stage: "merge", Severity: report.SeverityCritical}, rate: 0.03, large: 2},
	{key: report.FaultKey{Source: "log", Component: "service", Reason: "not-started", Severity: report.SeverityError}, rate: 0.05, large: 3, system: "windows"},
}

// counted is how often an installation had a fault since it began to
// count.
type counted struct {
	fault       int
	count       int
	first, last time.Time
	since       time.Time
}

// has reports whether a release has the faults of the given launch.
func (f *Fleet) has(release int, large int) bool {
	for _, r := range f.releases[:release+1] {
		if r.launch {
			large--
		}
	}
	return large <= 0
}

// health returns the cumulative health report of an installation on a
// day, or nil. The count starts again with the program, about once in
// three weeks. A report without anything new is possible, as in reality.
func (f *Fleet) health(in *installation, at collector.Day) *report.HealthReport {
	r := in.random
	if r.Float64() < 0.05 {
		in.faults = nil
	}
	happened := false
	for i, fl := range faults {
		if fl.system != "" && fl.system != in.system || !f.has(in.running, fl.large) || r.Float64() >= fl.rate {
			continue
		}
		happened = true
		in.happens(i, 1+int(r.ExpFloat64()*3), at)
	}
	if len(in.faults) == 0 || !happened && r.Float64() < 0.5 {
		return nil
	}
	h := &report.HealthReport{
		Schema: report.SchemaVersion, App: f.config.App, InstallationID: in.id, IDPersistence: report.Persisted,
		SentAt: noon(at), Version: f.releases[in.running].version,
	}
	for _, c := range in.faults {
		key := faults[c.fault].key
		h.Faults = append(h.Faults, report.Fault{
			Source: key.Source, Component: key.Component, Reason: key.Reason, Stage: key.Stage, Severity: key.Severity,
			Count: c.count, Since: c.since, First: c.first, Last: c.last,
		})
	}
	return h
}

func (in *installation) happens(fault, times int, at collector.Day) {
	now := at.Time().Add(time.Hour)
	for i := range in.faults {
		if c := &in.faults[i]; c.fault == fault {
			c.count, c.last = c.count+times, now
			return
		}
	}
	in.faults = append(in.faults, counted{fault: fault, count: times, first: now, last: now, since: at.Time()})
}
