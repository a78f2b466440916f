package alert_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// A fleet reports to a collector for two weeks and meets all conditions. Each
// causes one message, with the figures of the fleet.
func TestFleet(t *testing.T) {
	t.Parallel() // evaluates the rules some thousand times
	synctest.Test(t, func(t *testing.T) {
		c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(context.Background())
		app, err := c.AddApp(t.Context(), collector.App{Key: "app"})
		if err != nil {
			t.Fatal(err)
		}
		b := &inbox{}
		w := alert.New(c, local)
		w.SetTransport(http.RoundTripper(b))
		if err := w.SetJSON(t.Context(), app.Num, `{"webhooks":[{"url":"https://hook.example/in"}],"rules":[
			{"kind":"active_drop","percent":30},
			{"kind":"fault_rate","percent":50},
			{"kind":"adoption","percent":50,"version":"2.0"},
			{"kind":"silence","hours":30},
			{"kind":"new_burst","percent":200}]}`); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go w.Run(ctx)

		id := func(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1) }
		// day lets the installations from first up to last report, and then a
		// day pass until noon. Those below upgraded run 2.0, and of these, those
		// below faulty have a fault.
		day := func(first, last, upgraded, faulty int) {
			t.Helper()
			for i := first; i < last; i++ {
				version := "1.0"
				if i < upgraded {
					version = "2.0"
				}
				_, err := c.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
					Schema: 1, App: "app", InstallationID: id(i), IDPersistence: report.Persisted, SentAt: time.Now(), Version: version,
				}})
				if err != nil {
					t.Fatal(err)
				}
				if i < faulty {
					_, err := c.Health(t.Context(), collector.ReceivedHealth{App: app.Num, Report: report.HealthReport{
						Schema: 1, App: "app", InstallationID: id(i), IDPersistence: report.Persisted, SentAt: time.Now(), Version: version,
						Faults: []report.Fault{{Source: "log", Component: "camera", Reason: "decode", Severity: report.SeverityError, Count: 1, Since: time.Now(), First: time.Now(), Last: time.Now()}},
					}})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			time.Sleep(24 * time.Hour)
		}
		wants := func(what string, want ...string) {
			t.Helper()
			got := b.take()
			rest := lines(got)
			if got == "" {
				rest = nil
			}
			ok := len(rest) == len(want)
			for i := 0; ok && i < len(want); i++ {
				ok = strings.HasPrefix(rest[i], want[i])
			}
			if !ok {
				t.Errorf("%s: got\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
			}
		}
		time.Sleep(12*time.Hour + 30*time.Second) // all report after noon, between two evaluations
		for range 7 {
			day(0, 200, 0, 0)
		}
		wants("a quiet week")
		day(0, 200, 50, 0)
		wants("a release")
		day(0, 200, 50, 10)
		wants("a fault of the release", "firing camera: decode affects 200 per 1,000 installations of 2.0, compared with 0 of 1.0")
		day(0, 200, 100, 10)
		wants("half of them run the release", "firing 50% of the active installations run 2.0 or newer")
		day(0, 290, 100, 0)
		wants("new installations of the older release",
			"resolved Resolved: 50% of the active installations run 2.0",
			"firing 90 new installations today, ",
			"resolved Resolved: 90 new installations today, ") // after midnight
		day(0, 200, 100, 0)
		wants("an ordinary day")
		day(0, 100, 100, 0)
		day(0, 100, 100, 0)
		wants("half of them are gone", "firing active installations dropped by 50%: 100 on ")
		time.Sleep(30 * time.Hour)
		got := b.take()
		if !strings.Contains(got, "firing no report was counted for 30 h") {
			t.Errorf("silence: got %s", got)
		}
		time.Sleep(48 * time.Hour)
		if got := b.take(); strings.Contains(got, "no report") {
			t.Errorf("a long silence: got %s", got)
		}
		day(0, 200, 100, 0)
		if got := b.take(); !strings.Contains(got, "resolved Resolved: no report was counted for 30 h") {
			t.Errorf("the silence is over: got %s", got)
		}
	})
}
