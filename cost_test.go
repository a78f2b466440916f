package rollcall_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
)

// diskService starts a service with its own config on the real disk.
func diskService(tb testing.TB, change ...func(*rollcall.Config)) *rollcall.Service {
	tb.Helper()
	config := rollcall.Config{ConfigPath: filepath.Join(tb.TempDir(), "config.json")}
	for _, c := range change {
		c(&config)
	}
	service, err := rollcall.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	if err := service.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := service.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return service
}

func TestIDAllocatesNothing(t *testing.T) {
	service := diskService(t)
	var sink installid.ID
	if n := testing.AllocsPerRun(1000, func() { sink = service.ID() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if sink.IsZero() {
		t.Error("no ID")
	}
}

func BenchmarkID(b *testing.B) {
	service := diskService(b)
	b.ReportAllocs()
	var sink installid.ID
	for b.Loop() {
		sink = service.ID()
	}
	runtime.KeepAlive(sink)
}

// idleHeap measures the heap that an idle service with a config of 24 kB uses.
func idleHeap(tb testing.TB, services int) (bytes float64) {
	dir := tb.TempDir()
	config := `{"telemetry": {"installation_id": "` + knownID + `"}, "text": "` + strings.Repeat("x", 24_000) + "\"}\n"
	running := make([]*rollcall.Service, services)
	before := heapInUse()
	for i := range running {
		path := filepath.Join(dir, fmt.Sprint(i), "config.json")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if i%2 == 0 { // half of them create an ID
			if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
				tb.Fatal(err)
			}
		}
		service, err := rollcall.New(rollcall.Config{ConfigPath: path})
		if err != nil {
			tb.Fatal(err)
		}
		service.Start(tb.Context())
		running[i] = service
	}
	time.Sleep(100 * time.Millisecond) // until the last ones have swept
	bytes = float64(heapInUse()-before) / float64(services)
	for _, service := range running {
		service.Stop(context.Background())
	}
	return bytes
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestIdleHeap: an idle service uses at most 64 KiB of heap.
func TestIdleHeap(t *testing.T) {
	if bytes := idleHeap(t, 100); bytes > 64<<10 {
		t.Errorf("%.0f bytes", bytes)
	}
}

func BenchmarkIdleHeap(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(idleHeap(b, 200), "B/service")
	}
}

// TestNoGoroutineLeft checks on the real disk what testing/synctest checks in
// the other tests.
func TestNoGoroutineLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		config := rollcall.Config{ConfigPath: filepath.Join(t.TempDir(), "config.json")}
		service, err := rollcall.New(config)
		if err != nil {
			t.Fatal(err)
		}
		service.Start(t.Context())
		service.Stop(t.Context())
	}
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
