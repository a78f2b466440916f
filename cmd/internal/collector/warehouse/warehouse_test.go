package warehouse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/warehouse"
	"github.com/rollcall-dev/rollcall/report"
)

// A fleet reports on the three days before today and one day long ago. An
// installation n has its version and system by versionOf and systemOf, and reports
// on each day that it divides, counted from 1.
const installations = 120

func versionOf(n int) string {
	switch {
	case n%40 == 0:
		return "0.9.0" // three installations: a small group
	case n%3 == 0:
		return "1.0.0"
	}
	return "1.1.0"
}

func systemOf(n int) string {
	if n%20 == 0 {
		return "windows"
	}
	return "linux"
}

func reportsOn(n, ago int) bool { return n%ago == 0 }

// newEngine returns an engine with the fleet and its app, today.
func newEngine(t *testing.T) (*engine.Engine, collector.App, collector.Day) {
	t.Helper()
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	app, err := e.AddApp(t.Context(), collector.App{Key: "app"})
	if err != nil {
		t.Fatal(err)
	}
	today := collector.DayOf(time.Now())
	l, err := e.Load(t.Context(), app.Num)
	if err != nil {
		t.Fatal(err)
	}
	for _, ago := range []int{3, 2, 1} {
		if err := l.Day(t.Context(), today-collector.Day(ago)); err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= installations; n++ {
			if !reportsOn(n, ago) {
				continue
			}
			h := report.Heartbeat{
				Schema: report.SchemaVersion, App: app.Key, InstallationID: fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n),
				IDPersistence: report.Persisted, SentAt: time.Now(), Version: versionOf(n), Platform: report.Platform{System: systemOf(n)},
			}
			if err := l.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: h}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e, app, today
}

// until runs a writer until a condition holds.
func until(t *testing.T, w *warehouse.Writer, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for deadline := time.Now().Add(2 * time.Hour); !ok(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// The files have the figures that the rows of the fleet have.
func TestFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, app, today := newEngine(t)
		defer e.Close(context.Background())
		dir := t.TempDir()
		target, err := warehouse.OpenTarget(dir, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		file := func(ago int) string {
			return filepath.Join(dir, "app=app", "day="+(today-collector.Day(ago)).String(), "figures.parquet")
		}
		w := warehouse.New(e, target, slog.New(slog.DiscardHandler))
		until(t, w, "the file of yesterday", func() bool {
			_, err := os.Stat(file(1))
			return err == nil
		})
		for _, ago := range []int{3, 2, 1} {
			got := make(map[string]int64)
			rows, err := parquet.ReadFile[warehouse.Row](file(ago))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				key := fmt.Sprintf("%s %d", r.Figure, r.WindowDays)
				if r.Dimension != nil {
					key += " " + *r.Dimension + "=" + *r.Value
				}
				if _, twice := got[key]; twice {
					t.Errorf("%d days ago: two rows for %s", ago, key)
				}
				got[key] = r.Count
			}
			want := wanted(ago)
			for _, key := range slices.Sorted(maps.Keys(want)) {
				if got[key] != want[key] {
					t.Errorf("%d days ago: %s: got %d, want %d", ago, key, got[key], want[key])
				}
			}
			for key, n := range got {
				if strings.Contains(key, "0.9.0") || n > 0 && n < collector.DefaultK && strings.Contains(key, "=") {
					t.Errorf("%d days ago: a small group is shown: %s is %d", ago, key, n)
				}
			}
		}
		if _, err := os.Stat(file(0)); err == nil {
			t.Error("today has a file")
		}

		// When the day ends, it has one, and older files are as they were.
		if err := os.WriteFile(file(3), []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
		again := warehouse.New(e, target, slog.New(slog.DiscardHandler))
		time.Sleep(24 * time.Hour)
		if _, err := e.Heartbeat(t.Context(), collector.Received{App: app.Num, Heartbeat: report.Heartbeat{
			Schema: report.SchemaVersion, App: app.Key, InstallationID: "8f14e45f-ceea-467f-9575-5a2b5d1f3c11",
			IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.1.0",
		}}); err != nil {
			t.Fatal(err)
		}
		until(t, again, "the file of the day that ended", func() bool {
			_, err := os.Stat(file(0))
			return err == nil
		})
		if data, err := os.ReadFile(file(3)); string(data) != "kept" {
			t.Errorf("a file that existed was written again: %q, %v", data, err)
		}
	})
}

// wanted counts a closed day by going through the fleet.
func wanted(ago int) map[string]int64 {
	want := make(map[string]int64)
	small := make(map[string]int64)
	for n := 1; n <= installations; n++ {
		before := 0 // visits up to that day
		for _, other := range []int{3, 2, 1} {
			if other >= ago && reportsOn(n, other) {
				before++
			}
		}
		for window, days := range map[int]int{1: 1, 7: 7, 28: 28, 30: 30} {
			active := false
			for _, other := range []int{3, 2, 1} {
				active = active || other >= ago && other < ago+days && reportsOn(n, other)
			}
			if !active {
				continue
			}
			want[fmt.Sprintf("active %d", window)]++
			if before >= 2 {
				want[fmt.Sprintf("established %d", window)]++
			}
			want[fmt.Sprintf("active %d system=%s", window, systemOf(n))]++
			if version := versionOf(n); version == "0.9.0" {
				small[fmt.Sprintf("active %d version=other", window)]++
			} else {
				want[fmt.Sprintf("active %d version=%s", window, version)]++
			}
		}
		if before == 1 && reportsOn(n, ago) {
			want["new 1"]++
		}
	}
	for key, n := range want {
		if strings.Contains(key, "=") && n < collector.DefaultK {
			delete(want, key)
		}
	}
	for key, n := range small {
		if n >= collector.DefaultK {
			want[key] = n
		}
	}
	return want
}

// failing is a target that cannot be reached at first.
type failing struct {
	mu    sync.Mutex
	fails int
	puts  []string
}

func (f *failing) String() string { return "s3://bucket" }

func (f *failing) Exists(context.Context, string) (bool, error) { return false, nil }

func (f *failing) Put(_ context.Context, name string, _ []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return errors.New("no answer")
	}
	f.puts = append(f.puts, name)
	return nil
}

func (f *failing) written() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.puts)
}

// A target that does not answer is tried again, with one warning.
func TestTargetFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _ := newEngine(t)
		defer e.Close(context.Background())
		var log bytes.Buffer
		target := &failing{fails: 3}
		until(t, warehouse.New(e, target, slog.New(slog.NewTextHandler(&log, nil))), "three files", func() bool { return target.written() == 3 })
		if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), "no answer") {
			t.Errorf("got %d warnings, want 1:\n%s", got, log.String())
		}
		if !slices.IsSorted(target.puts) || len(slices.Compact(target.puts)) != 3 {
			t.Errorf("got files %q", target.puts)
		}
	})
}
