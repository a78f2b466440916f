package metrics_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/rollcalltest"
)

// untouched are all series but the histogram before anything happened.
const untouched = `
# HELP rollcall_fallbacks_total How often the start gave up and used an installation ID in memory.
# TYPE rollcall_fallbacks_total counter
rollcall_fallbacks_total 0
# HELP rollcall_installation_id_persisted Whether the installation ID in use is durable on disk (1) or not (0).
# TYPE rollcall_installation_id_persisted gauge
rollcall_installation_id_persisted 0
# HELP rollcall_reports_last_success_timestamp_seconds When the collector last accepted a heartbeat, as Unix time; 0 if it is not known to have.
# TYPE rollcall_reports_last_success_timestamp_seconds gauge
rollcall_reports_last_success_timestamp_seconds 0
# HELP rollcall_reports_total Attempts to send a report, by its kind and by how they ended.
# TYPE rollcall_reports_total counter
rollcall_reports_total{kind="health",result="failed"} 0
rollcall_reports_total{kind="health",result="refused"} 0
rollcall_reports_total{kind="health",result="sent"} 0
rollcall_reports_total{kind="health",result="withheld"} 0
rollcall_reports_total{kind="heartbeat",result="failed"} 0
rollcall_reports_total{kind="heartbeat",result="refused"} 0
rollcall_reports_total{kind="heartbeat",result="sent"} 0
rollcall_reports_total{kind="heartbeat",result="withheld"} 0
# HELP rollcall_reports_withheld Whether reports are withheld (1), such as without consent, or sent when due (0).
# TYPE rollcall_reports_withheld gauge
rollcall_reports_withheld 1
# HELP rollcall_save_attempts_total Attempts to find or save the installation ID, by how they ended.
# TYPE rollcall_save_attempts_total counter
rollcall_save_attempts_total{result="failed"} 0
rollcall_save_attempts_total{result="found"} 0
rollcall_save_attempts_total{result="saved"} 0
rollcall_save_attempts_total{result="timeout"} 0
`

var countNames = []string{
	"rollcall_fallbacks_total", "rollcall_installation_id_persisted", "rollcall_save_attempts_total",
	"rollcall_reports_last_success_timestamp_seconds", "rollcall_reports_total", "rollcall_reports_withheld",
}

func TestAllSeriesFromTheStart(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	if _, err := metrics.New(reg); err != nil {
		t.Fatal(err)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(untouched), countNames...); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg, "rollcall_save_attempt_duration_seconds"); err != nil || n != 1 {
		t.Errorf("got %d histograms, %v, want 1", n, err)
	}
}

func TestCounts(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	o, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	o.SaveAttempted(installid.SaveAttempt{Attempt: 1, Result: installid.ResultTimeout, Duration: 5 * time.Second})
	o.SaveAttempted(installid.SaveAttempt{Attempt: 2, Result: installid.ResultTimeout, Duration: 5 * time.Second})
	o.FellBack("the disk hangs")
	o.PersistedChanged(false)
	o.SaveAttempted(installid.SaveAttempt{Attempt: 3, Result: installid.ResultSaved, Duration: time.Millisecond})
	o.PersistedChanged(true)

	want := strings.NewReplacer(
		"fallbacks_total 0", "fallbacks_total 1",
		"id_persisted 0", "id_persisted 1",
		`{result="timeout"} 0`, `{result="timeout"} 2`,
		`{result="saved"} 0`, `{result="saved"} 1`,
	).Replace(untouched)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), countNames...); err != nil {
		t.Error(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "rollcall_save_attempt_duration_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if got := h.GetSampleCount(); got != 3 {
			t.Errorf("got %d durations, want 3", got)
		}
		if got, want := h.GetSampleSum(), 10.001; got < want-1e-9 || got > want+1e-9 {
			t.Errorf("got %v seconds in all, want %v", got, want)
		}
	}
}

func TestPersistedCanBeLost(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	o, err := metrics.New(reg)
	if err != nil {
		t.Fatal(err)
	}
	o.PersistedChanged(true)
	o.PersistedChanged(false)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(untouched), countNames...); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	if _, err := metrics.New(reg); err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestRegisterTwice(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	if _, err := metrics.New(reg); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.New(reg); err == nil {
		t.Error("got no error from the second New on one registry")
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(untouched), countNames...); err != nil {
		t.Error(err)
	}
}

// TestReports: several services in one process have series of their own in one
// registry, told apart by a label.
func TestReports(t *testing.T) {
	for _, name := range []string{"CI", "DO_NOT_TRACK", "ROLLCALL_TELEMETRY", rollcall.DefaultIDVariable} {
		t.Setenv(name, "")
	}
	reg := prometheus.NewPedanticRegistry()
	collector := rollcalltest.NewCollector(t)
	start := func(app, config string) *rollcall.Service {
		observer, err := metrics.New(prometheus.WrapRegistererWith(prometheus.Labels{"app": app}, reg))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		service, err := rollcall.New(rollcall.Config{
			App: app, Version: "v1.0.0", ConfigPath: path, Endpoint: collector.URL, Observer: observer,
			Consent:   rollcall.ConsentConfig{PolicyPath: filepath.Join(t.TempDir(), "policy.json")},
			Reporting: rollcall.ReportingConfig{Development: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := service.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { service.Stop(context.Background()) })
		return service
	}
	first, second := start("first", `{"telemetry": {"enabled": true}}`), start("second", "{}")
	if err := first.SendNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.SendNow(t.Context()); err == nil {
		t.Fatal("sent without consent")
	}
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			key := []string{strings.TrimPrefix(family.GetName(), "rollcall_reports_")}
			for _, l := range m.GetLabel() {
				key = append(key, l.GetValue())
			}
			got[strings.Join(key, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"total first heartbeat sent": 1, "total first heartbeat withheld": 0, "withheld first": 0,
		"total second heartbeat sent": 0, "total second heartbeat withheld": 1, "withheld second": 1,
		"last_success_timestamp_seconds first":  float64(first.Status().Reporting.LastSuccess.Unix()),
		"last_success_timestamp_seconds second": 0,
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s: got %v (%v), want %v", key, value, ok, want)
		}
	}
}
