package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/report"
)

// What only a deleted installation reported is in no file of a real database any
// more when the deletion returns.
func TestForgetUniqueTextsInFiles(t *testing.T) {
	dir := t.TempDir()
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", n) }
	contains := func(text string) (found []string) {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte(text)) {
				found = append(found, filepath.Base(file))
			}
		}
		return found
	}
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		l, err := c.Load(t.Context(), app.Num)
		if err != nil {
			t.Fatal(err)
		}
		today := collector.DayOf(time.Now())
		for day := today - 40; day <= today; day++ {
			if err := l.Day(t.Context(), day); err != nil {
				t.Fatal(err)
			}
			for n := range 5 {
				version, reason := "1.0", "usual"
				if n == 0 {
					version, reason = "1.0-acme", "acme-reason"
				}
				h := report.Heartbeat{
					Schema: 1, App: app.Key, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: version,
				}
				if n == 0 {
					h.Facts = report.Facts{{Name: "acme.fact", Value: "true"}}
				}
				f := report.HealthReport{
					Schema: 1, App: app.Key, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: version,
					Faults: []report.Fault{{
						Source: "log", Component: "storage", Reason: reason, Severity: report.SeverityError, Count: int(day - today + 41),
						Since: (today - 41).Time(), First: (today - 41).Time(), Last: day.Time(),
					}},
				}
				if err := l.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
					t.Fatal(err)
				}
				if err := l.Health(t.Context(), collector.ReceivedHealth{App: app.Num, Report: f}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(contains("acme")) == 0 {
			t.Fatal("there is nothing to forget")
		}
		if d, err := c.Forget(t.Context(), id(0)); err != nil || d.Deleted != 1 {
			t.Fatal(d, err)
		}
		if found := contains("acme"); len(found) > 0 {
			t.Errorf("the files %v have texts of the deleted installation", found)
		}
		if len(contains("usual")) == 0 {
			t.Error("the files lack what others reported")
		}
	})
}
