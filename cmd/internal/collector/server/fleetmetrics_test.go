package server_test

import (
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/report"
)

// The figures of the last closed day are metrics, for those with a token only.
func TestFleetMetrics(t *testing.T) {
	r := newRig(t, func(o *server.Options) { o.OpenMetrics = true })
	today, _, err := r.c.Today(r.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.metrics(); strings.Contains(got, "rollcall_app_active") {
		t.Errorf("an app without a closed day has figures:\n%s", got)
	}
	l, err := r.c.Load(t.Context(), r.app.Num)
	if err != nil {
		t.Fatal(err)
	}
	for i, versions := range [][]string{{"1.0.0", "1.1.0", "1.1.0"}, {"1.0.0", "1.0.0"}} {
		if err := l.Day(t.Context(), today-2+collector.Day(i)); err != nil {
			t.Fatal(err)
		}
		for n, version := range versions {
			h := report.Heartbeat{
				Schema: report.SchemaVersion, App: "app", InstallationID: id(n), IDPersistence: report.Persisted,
				SentAt: today.Time(), Version: version,
			}
			if err := l.Heartbeat(t.Context(), collector.Received{App: r.app.Num, Heartbeat: h}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := r.metrics()
	for _, want := range []string{
		`rollcall_app_active_installations{app="app",days="1"} 2`,
		`rollcall_app_active_installations{app="app",days="28"} 3`,
		`rollcall_app_established_installations{app="app",days="28"} 2`,
		`rollcall_app_new_installations{app="app"} 0`,
		`rollcall_app_version_installations{app="app",version="1.0.0"} 2`,
		`rollcall_app_version_installations{app="app",version="1.1.0"} 1`,
		`rollcall_app_day_timestamp_seconds{app="app"} `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %s in\n%s", want, got)
		}
	}
	if got := r.do("GET", "/metrics", here, "").Body.String(); !strings.Contains(got, "rollcall_collector_requests_total") || strings.Contains(got, "rollcall_app_") {
		t.Errorf("open metrics have the figures of apps, or nothing:\n%s", got)
	}
}
