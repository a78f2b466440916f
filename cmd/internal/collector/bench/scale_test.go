package bench

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
)

// scaleVariable selects one size instead of the default ones:
// installations, or installations and days with an x in between, as in
// 10000000x400.
const scaleVariable = "ROLLCALL_BENCH_SCALE"

// size is the size of a store.
type size struct{ installations, days int }

// scale measures stores: a million installations over 400 days, in a soak
// also a hundred million over four weeks, or the size that scaleVariable
// selects. They are loaded as an import is, and their figures are
// compared with the truth.
func scale(t *testing.T) {
	million, hundred := size{1_000_000, 400}, size{100_000_000, 28}
	sizes := []size{{20_000, 40}} // closing a day waits for the disk
	switch {
	case os.Getenv(scaleVariable) != "":
		var asked size
		n, err := fmt.Sscanf(os.Getenv(scaleVariable), "%dx%d", &asked.installations, &asked.days)
		if n < 1 || n < 2 && strings.Contains(os.Getenv(scaleVariable), "x") {
			t.Fatalf("%s: %v", scaleVariable, err)
		}
		asked.days = cmp.Or(asked.days, million.days)
		sizes = []size{asked}
	case os.Getenv(soakVariable) != "":
		sizes = []size{million, hundred}
	case os.Getenv(benchVariable) != "":
		sizes = []size{million}
	}
	for _, s := range sizes {
		t.Run(fmt.Sprint(s.installations), func(t *testing.T) { scaleOf(t, s.installations, s.days) })
	}
}

// loadBytes is the memory that loading takes per installation, measured
// with a hundred million of them.
const loadBytes = 160

func scaleOf(t *testing.T, installations, days int) {
	if need, has := uint64(installations)*loadBytes, memory(); has > 0 && has < need {
		t.Fatalf("loading %d installations takes %d GB of memory, and there are %d", installations, need>>30, has>>30)
	}
	dir := t.TempDir()
	var truth groundtruth.CrowdTruth
	begin := time.Now()
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		app.Retention = collector.MaxRetention // so that all days stay
		if err := c.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		today, _, err := c.Today(app.Num)
		if err != nil {
			t.Fatal(err)
		}
		groundtruth.Load(t, c, app.Num, func(l *engine.Loader) (err error) {
			crowd := &groundtruth.Crowd{Seed: 1, Installations: installations, Days: days, Last: today}
			some := &faulty{Loader: l, ctx: t.Context(), random: rand.New(rand.NewPCG(1, 1))}
			truth, err = crowd.Load(t.Context(), some)
			return errors.Join(err, some.err)
		})
	})
	loaded := time.Since(begin)
	debug.FreeOSMemory()
	size := sizeOf(t, dir)
	t.Logf("%d installations over %d days, %d visits: loaded in %v", installations, days, truth.Visits, loaded.Round(time.Millisecond))

	begin = time.Now()
	c, closeAll, err := openStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	opened := time.Since(begin)
	<-c.Warm()
	warm := time.Since(begin)
	app, _ := c.App(appKey)
	active := activeBytes(t, c, app.Num)
	possible := float64(installations) * float64(days) / 2 // installations so far, times days
	t.Logf("disk: activity %.4f bytes for each installation and day since its first, %.4f for each visit (bar: 1); all else %.0f bytes for each installation (bar: 100); file %d MB",
		float64(active)/possible, float64(active)/float64(truth.Visits), float64(size-active)/float64(installations), size>>20)
	debug.FreeOSMemory()
	t.Logf("start: %v until it serves (bar: 2 s), %v until all rows are read; memory %d MB of heap, %d MB resident (bar: 2048 MB)",
		opened.Round(time.Millisecond), warm.Round(time.Millisecond), heap()>>20, resident()>>20)
	answers(t, c, app.Num, days, truth)
	pages(t, c)
	if err := closeAll(); err != nil {
		t.Fatal(err)
	}
}

// answers measures the overview and the retention triangles, and compares
// them with the truth.
func answers(t *testing.T, c *engine.Engine, app collector.AppNum, days int, truth groundtruth.CrowdTruth) {
	to := truth.Day.Day
	year := collector.Range{From: to - collector.Day(days) + 1, To: to}
	overview := func() error {
		if _, err := c.Series(t.Context(), app, year, figures.View{}); err != nil {
			return err
		}
		_, err := c.Breakdown(t.Context(), app, collector.DimVersion, 28, to, figures.View{})
		return err
	}
	retention := func(g collector.Grain) func() error {
		return func() error {
			_, err := c.Retention(t.Context(), app, g, year, figures.View{})
			return err
		}
	}
	for _, ask := range []struct {
		name, bar string
		do        func() error
	}{
		{"overview: all days, all windows, and versions", "100 ms", overview},
		{"retention by week", "300 ms", retention(collector.GrainWeek)},
		{"retention by month", "300 ms", retention(collector.GrainMonth)},
		{"retention by day", "none", retention(collector.GrainDay)},
	} {
		var took []float64
		for range 5 {
			begin := time.Now()
			if err := ask.do(); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begin).Seconds()*1000)
		}
		first := took[0]
		t.Logf("%s: %.1f ms, the first time %.1f ms (bar: %s; median of 5)", ask.name, median(took), first, ask.bar)
	}
	truth.Compare(t, c, app)
}

// activeBytes returns how much of the store holds the bits of activity.
func activeBytes(t *testing.T, c *engine.Engine, app collector.AppNum) (n int64) {
	for r, err := range c.Store().Records(t.Context(), "active", app, -1<<30, 1<<30) {
		if err != nil {
			t.Fatal(err)
		}
		n += int64(len(r.Data))
	}
	if n == 0 {
		t.Error("no bits of activity are found")
	}
	return n
}

func sizeOf(t *testing.T, dir string) (n int64) {
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// memory returns the memory of this machine, or 0 if that is unknown.
func memory() uint64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kilobytes uint64
	if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes); err != nil {
		return 0
	}
	return kilobytes << 10
}

// resident returns how much memory this process uses, as the kernel sees
// it, or 0 if that is unknown.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
