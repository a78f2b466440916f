package rollcall_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
)

// A child has no environment that could tell it what a test wants. So it looks
// for a directory that is named after its parent: if it exists, the child
// leaves a file named after its own process number there. If there is a file
// called hang as well, the child waits until that is gone, as in a wait of the
// kernel.

func childrenDir(parent int) string { return fmt.Sprintf("/tmp/rollcall-test-children-%d", parent) }

const hangFile = "hang"

// obeyTest is called when a child begins.
func obeyTest() {
	dir := childrenDir(os.Getppid())
	if _, err := os.Stat(dir); err != nil {
		return
	}
	os.WriteFile(filepath.Join(dir, fmt.Sprint(os.Getpid())), nil, 0o600)
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, hangFile)); err != nil {
			return
		}
	}
}

// watchChildren creates the directory for the children of this process.
func watchChildren(t *testing.T) (dir string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the directory that children look for is a path of Unix")
	}
	dir = childrenDir(os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// childrenIn returns the process numbers of the children that have begun.
func childrenIn(t *testing.T, dir string) (numbers []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != hangFile {
			numbers = append(numbers, entry.Name())
		}
	}
	return numbers
}

// isolated returns a config whose first attempt succeeds on a slow machine, too.
func isolated(path string, log *logbook) rollcall.Config {
	return rollcall.Config{ConfigPath: path, Isolate: true, Logger: slog.New(log), Limits: rollcall.Limits{AttemptTimeout: someTime}}
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

// TestIsolate: child processes do the file work, with the same results.
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

// TestIsolateHangs is D17: a child that hangs costs one process, and the host
// starts and stops when it wants to.
func TestIsolateHangs(t *testing.T) {
	dir := watchChildren(t)
	hang := filepath.Join(dir, hangFile)
	if err := os.WriteFile(hang, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logbook{t: t, begin: time.Now()}
	config := isolated(filepath.Join(t.TempDir(), "config.json"), log)
	config.Limits = rollcall.Limits{Attempts: 2, AttemptTimeout: 300 * time.Millisecond, Backoff: 100 * time.Millisecond}
	service := mustStart(t, config)
	defer service.Stop(context.Background())
	if d := time.Since(log.begin); d < 700*time.Millisecond || d > atOnce {
		t.Errorf("Start took %v", d)
	}
	two := func(line string) string { return strings.ReplaceAll(line, "max_retries=3", "max_retries=2") }
	log.want(two(timedOut(1)), two(timedOut(2)), generated(service.ID()), inMemory(service.ID(), "*timed out*"), started(false))

	lazy := config
	lazy.Lazy = true
	begin := time.Now()
	mustStart(t, lazy).Stop(t.Context())
	if d := time.Since(begin); d > atOnce { // children hang for a minute
		t.Errorf("a lazy start and a stop took %v", d)
	}
	if hanging := childrenIn(t, dir); len(hanging) > 2 { // one for each service
		t.Errorf("%d children hang", len(hanging))
	}

	if err := os.Remove(hang); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); !service.Status().Persisted; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > someTime {
			t.Fatalf("got %+v once nothing hangs", service.Status())
		}
	}
	begin = time.Now()
	if err := service.Stop(t.Context()); err != nil || time.Since(begin) > atOnce {
		t.Errorf("Stop: %v after %v", err, time.Since(begin))
	}
}

// TestIsolatedSend: a handful of children serves a service from its start to
// the end of a report that takes long, although it reads the consent four
// times a second meanwhile. None is left after Stop.
func TestIsolatedSend(t *testing.T) {
	dir := watchChildren(t)
	s := newSite(t, granted)
	service := s.start(func(c *rollcall.Config) { c.Isolate = true })
	begun, gone := s.hang("/v1/heartbeat")
	wait := 25 * time.Second
	if testing.Short() {
		wait = 3 * time.Second
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	go service.SendNow(ctx)
	within(t, someTime, "the request", begun)
	within(t, wait+someTime, "the end of the request", gone)
	n := len(childrenIn(t, dir))
	t.Logf("%d children", n)
	if n < 1 || n > 10 { // one for each look would be more
		t.Errorf("%d children for a send of %v, want 1 to 10", n, wait)
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	// An idle child would end by itself after two seconds. A busy machine can delay
	// an end that Stop causes, so only one of several has to come in time.
	for tries := 1; !noneRuns(t, dir, time.Second); tries++ {
		if tries == 5 {
			t.Fatalf("of the children %v one still runs", childrenIn(t, dir))
		}
		service = s.start(func(c *rollcall.Config) { c.Isolate = true })
		if err := service.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// noneRuns reports whether all children end within the limit.
func noneRuns(t *testing.T, dir string, limit time.Duration) bool {
	t.Helper()
	runs := func(number string) bool {
		_, err := os.Stat("/proc/" + number)
		return err == nil
	}
	for begin := time.Now(); slices.ContainsFunc(childrenIn(t, dir), runs); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > limit {
			return false
		}
	}
	return true
}

// BenchmarkIsolate measures a restart with a stored ID, in the process and in
// a child.
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
