package rollcall_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// hangFolder is where a child looks whether it is to hang, as in a wait of the kernel: a folder named after its parent.
// It has no environment that could tell it.
func hangFolder(parent int) string { return fmt.Sprintf("/tmp/rollcall-test-hang-%d", parent) }

// hangIfAsked is what a child begins with.
func hangIfAsked() {
	dir := hangFolder(os.Getppid())
	if _, err := os.Stat(dir); err != nil {
		return
	}
	os.WriteFile(filepath.Join(dir, fmt.Sprint(os.Getpid())), nil, 0o600)
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(dir); err != nil {
			return
		}
	}
}

func isolated(path string, log *logbook) rollcall.Config {
	return rollcall.Config{ConfigPath: path, Isolate: true, Logger: slog.New(log)}
}

func mustStart(tb testing.TB, config rollcall.Config) *rollcall.Service {
	tb.Helper()
	service, err := rollcall.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	if err := service.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return service
}

// TestIsolate does the file work in children, with the same results.
func TestIsolate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "config.json")
	log := &logbook{t: t, begin: time.Now()}
	service := mustStart(t, isolated(path, log))
	id := service.ID()
	if err := service.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	log.want(generated(id), persisted(1), started(true))
	data, err := os.ReadFile(path)
	if want := "{\n  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": \"" + id.String() + "\"\n  }\n}\n"; err != nil || string(data) != want {
		t.Errorf("got %s, %v", data, err)
	}

	log.reset()
	service = mustStart(t, isolated(path, log))
	defer service.Stop(context.Background())
	log.want(started(true))
	if service.ID() != id {
		t.Errorf("got ID %q after a restart, want %q", service.ID(), id)
	}

	fixed := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(fixed, []byte("{}"), 0o444); err != nil {
		t.Fatal(err)
	}
	log.reset()
	service = mustStart(t, isolated(fixed, log))
	defer service.Stop(context.Background())
	why := "save installation ID: *file is read-only: mode 0444"
	log.want(generated(service.ID()), failed(why, 1), inMemory(service.ID(), why), started(false))
}

// TestIsolateHangs is D17: children that hang cost one process, and the host starts and stops when it wants to.
func TestIsolateHangs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the folder that children look for is a path of Unix")
	}
	dir := hangFolder(os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	log := &logbook{t: t, begin: time.Now()}
	config := isolated(filepath.Join(t.TempDir(), "config.json"), log)
	config.Limits.Attempts, config.Limits.AttemptTimeout, config.Limits.Backoff = 2, 300*time.Millisecond, 100*time.Millisecond
	service := mustStart(t, config)
	defer service.Stop(context.Background())
	if d := time.Since(log.begin); d < 700*time.Millisecond || d > 5*time.Second {
		t.Errorf("Start took %v", d)
	}
	two := func(line string) string { return strings.ReplaceAll(line, "max_retries=3", "max_retries=2") }
	log.want(two(timedOut(1)), two(timedOut(2)), generated(service.ID()), inMemory(service.ID(), "*timed out*"), started(false))

	lazy := config
	lazy.Lazy = true
	begin := time.Now()
	mustStart(t, lazy).Stop(t.Context())
	if d := time.Since(begin); d > 3*time.Second { // on a machine that does much else
		t.Errorf("a lazy start and a stop took %v", d)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 { // one of each service
		t.Errorf("%d children hang, %v", len(entries), err)
	}

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !service.Status().Persisted; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("got %+v once nothing hangs", service.Status())
		}
	}
	begin = time.Now()
	if err := service.Stop(t.Context()); err != nil || time.Since(begin) > 3*time.Second {
		t.Errorf("Stop: %v after %v", err, time.Since(begin))
	}
}

// BenchmarkIsolate is what a restart costs with the ID stored, without and with a child for each operation.
func BenchmarkIsolate(b *testing.B) {
	for _, isolate := range []bool{false, true} {
		b.Run(fmt.Sprint(isolate), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "config.json")
			if err := os.WriteFile(path, []byte(withID(knownID)), 0o644); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				service := mustStart(b, rollcall.Config{ConfigPath: path, Isolate: isolate})
				b.StopTimer()
				service.Stop(b.Context())
				b.StartTimer()
			}
		})
	}
}
