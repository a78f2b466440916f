package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
)

// untouched are all series but the histogram before anything happened.
const untouched = `
# HELP rollcall_fallbacks_total How often the start gave up and used an installation ID in memory.
# TYPE rollcall_fallbacks_total counter
rollcall_fallbacks_total 0
# HELP rollcall_installation_id_persisted Whether the installation ID in use is durable on disk (1) or not (0).
# TYPE rollcall_installation_id_persisted gauge
rollcall_installation_id_persisted 0
# HELP rollcall_save_attempts_total Attempts to find or save the installation ID, by how they ended.
# TYPE rollcall_save_attempts_total counter
rollcall_save_attempts_total{result="failed"} 0
rollcall_save_attempts_total{result="found"} 0
rollcall_save_attempts_total{result="saved"} 0
rollcall_save_attempts_total{result="timeout"} 0
`

var countNames = []string{
	"rollcall_fallbacks_total", "rollcall_installation_id_persisted", "rollcall_save_attempts_total",
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
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"service": "second"}, prometheus.NewPedanticRegistry())
	if _, err := metrics.New(labelled); err != nil {
		t.Errorf("got %v with labels of its own", err)
	}
}
