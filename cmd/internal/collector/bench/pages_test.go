package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
	"github.com/rollcall-dev/rollcall/report"
)

// One in faultyOf installations reports faults, of faultKinds different
// kinds.
const (
	faultyOf   = 100
	faultKinds = 20
)

// A faulty loader makes some installations of a crowd report faults, each
// on one in ten of its active days. Their keys are those of installation
// IDs, so that they can be found again.
type faulty struct {
	*engine.Loader
	ctx    context.Context
	next   int
	day    collector.Day
	random *rand.Rand
	err    error
}

var _ groundtruth.CrowdLoader = (*faulty)(nil)

func (l *faulty) Day(ctx context.Context, day collector.Day) error {
	l.day = day
	return l.Loader.Day(ctx, day)
}

func (l *faulty) New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error) {
	num := l.next
	l.next++
	if num%faultyOf != 0 {
		return l.Loader.New(ctx, key, values)
	}
	facts := report.Facts{}
	for _, name := range []string{"store.kind", "tls", "users"} {
		facts = append(facts, report.FactValue{Name: name, Value: values[collector.FactDimension+name]})
	}
	return collector.Num(num), l.Heartbeat(ctx, collector.Received{Heartbeat: report.Heartbeat{
		InstallationID: faultyID(num), IDPersistence: report.Persisted, Version: values[collector.DimVersion], SentAt: l.day.Time(),
		Platform: report.Platform{
			System: values[collector.DimSystem], Release: values[collector.DimRelease], Machine: values[collector.DimMachine],
		},
		Deployment: report.Deployment(values[collector.DimDeployment]), Facts: facts,
		Client: report.Client{Name: "rollcall-go", Version: "0.1.0"},
	}})
}

func (l *faulty) Active(num collector.Num) {
	l.Loader.Active(num)
	if num%faultyOf != 0 || l.random.IntN(10) > 0 || l.err != nil {
		return
	}
	at := l.day.Time()
	l.err = l.Health(l.ctx, collector.ReceivedHealth{Report: report.HealthReport{
		InstallationID: faultyID(int(num)), IDPersistence: report.Persisted, SentAt: at, Version: "1.0.0",
		Faults: []report.Fault{{
			Source: "log", Component: "storage", Reason: fmt.Sprintf("reason-%d", l.random.IntN(faultKinds)),
			Severity: report.SeverityError, Count: 1, Since: at, First: at, Last: at,
		}},
	}})
}

func faultyID(num int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", num+1) }

// pages measures how long the server takes for each page of the
// dashboard, the first time and later, for the default range and the
// longest one.
func pages(t *testing.T, c *engine.Engine) {
	keeper := access.New(c)
	token, err := keeper.Add(t.Context(), "pages", access.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	handler, err := dashboard.New(dashboard.Options{Collector: c, Access: keeper, Alerts: alert.New(c, nil), Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"overview", "versions", "retention", "features", "health", "quality", "settings"} {
		for _, days := range []int{28, 90, 400} {
			var took []float64
			var size int
			for range 5 {
				r := httptest.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("/a/%s/%s?days=%d", appKey, page, days), nil)
				r.Header.Set("Authorization", "Bearer "+token)
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				begin := time.Now()
				handler.ServeHTTP(w, r)
				took = append(took, time.Since(begin).Seconds()*1000)
				if size = w.Body.Len(); w.Code != http.StatusOK {
					t.Fatalf("%s: %d %s", page, w.Code, w.Body)
				}
			}
			t.Logf("page %s, %d days: %.1f ms the first time, then %.1f ms (bar: 100 ms; median of 5), %d kB compressed", page, days, took[0], median(took), size/1000)
		}
	}
}
