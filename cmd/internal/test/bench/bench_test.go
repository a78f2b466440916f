// Package bench measures what the service costs, each figure beside its
// baseline in the same run. It prints figures and never fails because of
// them: people read the output of `make bench`, on a machine that is
// otherwise idle.
package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/fsys"
)

const (
	benchVariable = "ROLLCALL_BENCH"
	raceVariable  = "ROLLCALL_BENCH_START"
	storedID      = "8f14e45f-ceea-467f-9575-5a2b5d1f3c11"
)

func TestMain(m *testing.M) {
	rollcall.RunChild()
	if path := os.Getenv(raceVariable); path != "" {
		service := start(path)
		fmt.Println(service.ID())
		stop(service)
		os.Exit(0)
	}
	if os.Getenv(benchVariable) == "" {
		flag.Set("test.benchtime", "10ms")
	}
	os.Exit(m.Run())
}

// TestFigures prints the figures if ROLLCALL_BENCH is set. Otherwise it
// makes each measurement once, to see that it works.
func TestFigures(t *testing.T) {
	rounds := func(n int) int {
		if os.Getenv(benchVariable) == "" {
			return 1
		}
		return n
	}
	t.Run("Start with a stored ID", func(t *testing.T) {
		path := writeConfig(t, config(24<<10, storedID))
		read := func() time.Duration { return timed(func() { must(os.ReadFile(path)) }) }
		unmarshal := func() time.Duration {
			return timed(func() {
				var v map[string]any
				if err := json.Unmarshal(must(os.ReadFile(path)), &v); err != nil {
					panic(err)
				}
			})
		}
		begin := func() time.Duration { return startTime(rollcall.Config{ConfigPath: path}) }
		compare(t, rounds(2001), "os.ReadFile", read, "Start", begin, "bar: at most 4")
		compare(t, rounds(501), "Start", begin, "read and unmarshal into a map", unmarshal, "bar: at least 4")
	})
	t.Run("first Start", func(t *testing.T) {
		data := config(24<<10, "")
		bare := func() time.Duration { return bareSave(t, data) }
		first := func() time.Duration {
			path := writeConfig(t, data)
			return startTime(rollcall.Config{ConfigPath: path})
		}
		compare(t, rounds(301), "the same bare system calls", bare, "first Start", first, "bar: at most 1.25")
	})
	t.Run("ID", func(t *testing.T) {
		path := writeConfig(t, config(1<<10, storedID))
		service := start(path)
		defer stop(service)
		var id installid.ID
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				id = service.ID()
			}
		})
		if id.String() != storedID || r.AllocsPerOp() != 0 {
			t.Errorf("got %v with %d allocations, want the stored ID and none", id, r.AllocsPerOp())
		}
		// What ID does and nothing else: the least that it can take on
		// this machine, which may be busy.
		var pointer atomic.Pointer[installid.ID]
		pointer.Store(&id)
		bare := testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				id = *pointer.Load()
			}
		})
		each := func(r testing.BenchmarkResult) float64 { return float64(r.T.Nanoseconds()) / float64(r.N) }
		t.Logf("ID(): %.2f ns, %d allocations (bar: at most 2 ns, none); an atomic load of a pointer: %.2f ns; ratio %.2f",
			each(r), r.AllocsPerOp(), each(bare), each(r)/each(bare))
	})
	t.Run("lazy Start", func(t *testing.T) {
		path := writeConfig(t, config(24<<10, ""))
		single(t, rounds(501), "Start with Lazy, first start", "bar: at most 50 µs", func() time.Duration {
			return startTime(rollcall.Config{ConfigPath: path, Lazy: true})
		})
		hang := make(chan struct{})
		defer close(hang)
		single(t, rounds(501), "Start with Lazy, storage hangs", "bar: at most 50 µs", func() time.Duration {
			return startTime(rollcall.Config{Lazy: true,
				ID: rollcall.IDConfig{
					Load: func(context.Context) (string, error) { <-hang; return "", nil },
					Save: func(context.Context, string) error { return nil },
				},
			})
		})
	})
	t.Run("isolated", func(t *testing.T) {
		path := writeConfig(t, config(24<<10, storedID))
		inProcess := func() time.Duration { return startTime(rollcall.Config{ConfigPath: path}) }
		isolated := func() time.Duration { return startTime(rollcall.Config{ConfigPath: path, Isolate: true}) }
		compare(t, rounds(101), "Start", inProcess, "Start with Isolate", isolated, "no bar")
	})
	t.Run("64 racing processes", func(t *testing.T) {
		const processes = 64
		one := func() time.Duration {
			path := writeConfig(t, config(24<<10, ""))
			alone := timed(func() { raceProcesses(t, path, 1) })
			return alone * processes / time.Duration(runtime.NumCPU())
		}
		all := func() time.Duration {
			path := writeConfig(t, config(24<<10, ""))
			return timed(func() { raceProcesses(t, path, processes) })
		}
		compare(t, rounds(15), "64 processes one after the other on each core", one, "64 at once", all, "bar: at most 3")
	})
	t.Run("idle", idle)
}

// idle measures what an idle service costs.
func idle(t *testing.T) {
	const services = 100
	var kept [services]*rollcall.Service
	path := writeConfig(t, config(24<<10, storedID))
	before, goroutines := heap(), runtime.NumGoroutine()
	for i := range kept {
		kept[i] = start(path)
	}
	time.Sleep(100 * time.Millisecond) // what the starts began is over by then, or is counted
	t.Logf("idle service: %.2f goroutines, %.1f KiB of heap (bar: at most 1 and 64 KiB)",
		float64(runtime.NumGoroutine()-goroutines)/services, float64(heap()-before)/services/1024)
	for _, service := range kept {
		stop(service)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// raceProcesses starts n processes on one config and checks that they
// agree.
func raceProcesses(t *testing.T, path string, n int) {
	outputs := make([]bytes.Buffer, n)
	var wg sync.WaitGroup
	for i := range n {
		child := exec.Command(must(os.Executable()))
		child.Env = append(os.Environ(), raceVariable+"="+path)
		child.Stdout = &outputs[i]
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := child.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range outputs {
		if !bytes.Equal(outputs[i].Bytes(), outputs[0].Bytes()) {
			t.Errorf("two IDs: %s and %s", outputs[0].Bytes(), outputs[i].Bytes())
		}
	}
}

// bareSave makes the system calls that it takes to save an ID durably in
// an anchor and in a config, and nothing else.
func bareSave(t *testing.T, data []byte) time.Duration {
	path := writeConfig(t, data)
	dir := filepath.Dir(path)
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, data []byte) {
		f := must(os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644))
		must(f.Write(data))
		check(f.Sync())
		check(f.Close())
	}
	anchor, temp := filepath.Join(dir, ".anchor"), filepath.Join(dir, ".temp")
	return timed(func() {
		must(os.ReadFile(path))
		write(temp, []byte(storedID+"\n"))
		check(os.Link(temp, anchor))
		check(fsys.OS{}.SyncDir(dir))
		check(os.Remove(temp))
		write(temp, data)
		check(fsys.OS{}.Exchange(temp, path))
		check(fsys.OS{}.SyncDir(dir))
		check(os.Remove(temp))
	})
}

// compare measures two things alternately and prints the medians and
// their ratio.
func compare(t *testing.T, rounds int, baseName string, base func() time.Duration, name string, subject func() time.Duration, bar string) {
	t.Helper()
	var bases, subjects []time.Duration
	for range rounds {
		bases, subjects = append(bases, base()), append(subjects, subject())
	}
	b, s := median(bases), median(subjects)
	t.Logf("%s: %v; %s: %v; ratio %.2f (%s; medians of %d)", name, s, baseName, b, float64(s)/float64(b), bar, rounds)
}

func single(t *testing.T, rounds int, name, bar string, subject func() time.Duration) {
	t.Helper()
	var all []time.Duration
	for range rounds {
		all = append(all, subject())
	}
	t.Logf("%s: %v (%s; median of %d)", name, median(all), bar, rounds)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// startTime returns how long Start takes, without creating and stopping
// the service.
func startTime(c rollcall.Config) time.Duration {
	service := must(rollcall.New(c))
	d := timed(func() {
		if err := service.Start(context.Background()); err != nil {
			panic(err)
		}
	})
	stop(service)
	return d
}

func start(path string) *rollcall.Service {
	// The racing processes must agree, so a busy machine must not make one of them
	// fall back to an ID in memory.
	limits := rollcall.Limits{AttemptTimeout: 5 * time.Minute, StartTimeout: 5 * time.Minute}
	service := must(rollcall.New(rollcall.Config{ConfigPath: path, Limits: limits}))
	if err := service.Start(context.Background()); err != nil {
		panic(err)
	}
	return service
}

func stop(service *rollcall.Service) {
	if err := service.Stop(context.Background()); err != nil {
		panic(err)
	}
}

func timed(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func writeConfig(t *testing.T, data []byte) string {
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// config returns a settings file of about size bytes, as programs have
// them, with the ID in its middle unless it is empty.
func config(size int, id string) []byte {
	var b bytes.Buffer
	b.WriteString("{\n")
	section := func(n int) {
		fmt.Fprintf(&b, "  \"section_%d\": {\n    \"enabled\": true,\n    \"name\": \"a value of some length %d\",\n    \"limits\": [1, 20, 300.5],\n    \"url\": \"https://example.org/path/%d\"\n  },\n", n, n, n)
	}
	n := 0
	for ; b.Len() < size/2; n++ {
		section(n)
	}
	if id != "" {
		fmt.Fprintf(&b, "  \"telemetry\": {\n    \"enabled\": false,\n    \"installation_id\": %q\n  },\n", id)
	}
	for ; b.Len() < size; n++ {
		section(n)
	}
	b.WriteString("  \"last\": null\n}\n")
	return b.Bytes()
}
