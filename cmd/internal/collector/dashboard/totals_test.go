package dashboard_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// Every page answers for a segment of an app whose past has totals but no
// installations, whatever the weekday and while its first period runs.
func TestSegmentPagesAfterTotals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMemory()
		open := func() *engine.Engine {
			c, err := engine.Open(t.Context(), store, engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c := open()
		report := func(app collector.App, installations int) {
			t.Helper()
			for n := range installations {
				id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n)
				_, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
					Schema: 1, App: app.Key, InstallationID: id, IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.0",
					Platform: report.Platform{System: "linux", Machine: "amd64"},
				}})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Health(t.Context(), collector.ReceivedHealth{App: app.Num, Report: report.HealthReport{
					Schema: 1, App: app.Key, InstallationID: id, IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.0",
					Faults: []report.Fault{{Source: "server", Component: "storage", Reason: "disk-full", Stage: "write", Severity: report.SeverityError, Count: 1, Since: time.Now()}},
				}})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		old, err := c.AddApp(t.Context(), collector.App{Key: "old"})
		if err != nil {
			t.Fatal(err)
		}
		for range 40 {
			report(old, 3)
			time.Sleep(24 * time.Hour)
		}
		app, err := c.AddApp(t.Context(), collector.App{Key: "app"})
		if err == nil {
			_, _, err = c.ImportTotals(t.Context(), app.Num, c.ExportTotals(t.Context(), old.Num))
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close(context.Background())
		c = open() // the totals show
		defer c.Close(context.Background())
		pages, token := pagesOf(t, c)
		paths := []string{"overview", "overview?compare=previous", "versions", "retention", "features", "health", "quality", "version?version=1.0"}
		for day := range 9 {
			today, _, err := c.Today(app.Num)
			if err != nil {
				t.Fatal(err)
			}
			if faults, err := c.Faults(t.Context(), app.Num, collector.Range{From: today, To: today}, figures.View{}); err == nil && len(faults.Faults) > 0 && day == 1 {
				paths = append(paths, "fault?fault="+faults.Faults[0].ID)
			}
			for _, path := range paths {
				for _, segment := range []string{"system=linux", "version<2", "first_seen=2000-01"} {
					at, err := url.Parse("/a/app/" + path)
					if err != nil {
						t.Fatal(err)
					}
					query := at.Query()
					query.Set("segment", segment)
					at.RawQuery = query.Encode()
					r := httptest.NewRequest("GET", at.String(), nil)
					r.Header.Set("Authorization", "Bearer "+token)
					w := httptest.NewRecorder()
					pages.ServeHTTP(w, r)
					if w.Code != http.StatusOK {
						t.Errorf("day %d, %s: got %d, want 200: %.200s", day, at, w.Code, w.Body)
					}
				}
			}
			report(app, 2)
			time.Sleep(24 * time.Hour)
		}
	})
}
