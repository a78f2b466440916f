package rollcall_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
)

// BenchmarkReportFault: at most 200 ns and no allocation.
func BenchmarkReportFault(b *testing.B) {
	service, err := rollcall.New(rollcall.Config{App: "my-app", StateDir: faultfs.Abs("/state"), Reporting: rollcall.ReportingConfig{FaultContext: []string{"op"}}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range report.MaxFaults - 2 {
		service.ReportFault(rollcall.Fault{Source: "test", Component: fmt.Sprintf("part%d", i), Reason: "full"})
	}
	with := diskFull
	with.Context = map[string]string{"op": "write"}
	log := slog.New(rollcall.FaultHandler(service, nil, rollcall.FaultHandlerOptions{Source: "log", Component: "main"}))
	for name, do := range map[string]func(){
		"":            func() { service.ReportFault(diskFull) },
		"WithContext": func() { service.ReportFault(with) },
		"NotValid":    func() { service.ReportFault(rollcall.Fault{}) },
		"Handler":     func() { log.LogAttrs(context.Background(), slog.LevelWarn, "text") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
	b.Run("Parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				service.ReportFault(diskFull)
			}
		})
	})
}

// BenchmarkHeartbeat encodes a heartbeat: at most 50 µs and 8 KiB with 8 facts.
func BenchmarkHeartbeat(b *testing.B) {
	for _, n := range []int{0, 8, report.MaxFacts} {
		b.Run(fmt.Sprintf("%dFacts", n), func(b *testing.B) {
			service, decisions := heartbeatService(b, n)
			b.ReportAllocs()
			for b.Loop() {
				buildHeartbeat(b, service, decisions)
			}
		})
	}
}

// BenchmarkDecisions reads the decisions from a small config.
func BenchmarkDecisions(b *testing.B) {
	service, _ := heartbeatService(b, 0)
	b.ReportAllocs()
	for b.Loop() {
		service.Decisions(b.Context())
	}
}

// TestHeartbeatAllocates: a heartbeat allocates at most 8 KiB.
func TestHeartbeatAllocates(t *testing.T) {
	service, decisions := heartbeatService(t, 8)
	buildHeartbeat(t, service, decisions) // detects the platform
	const rounds, limit = 200, 8 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		buildHeartbeat(t, service, decisions)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / rounds; n > limit {
		t.Errorf("a heartbeat allocates %d bytes, want at most %d", n, limit)
	}
}

func heartbeatService(t testing.TB, facts int) (*rollcall.Service, rollcall.Decisions) {
	t.Helper()
	service, err := rollcall.New(rollcall.Config{
		App: "my-app", ID: rollcall.IDConfig{Load: new(hostSettings).load, Save: new(hostSettings).save}, Version: "1.2.3",
		Facts: manyFacts(facts),
		Consent: rollcall.ConsentConfig{
			PolicyPath: t.TempDir() + "/policy.json",
			Load: func(context.Context) (rollcall.Consents, error) {
				return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}, nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Stop(context.Background()) })
	d := service.Decisions(t.Context())
	if d.Telemetry.State != rollcall.Granted {
		t.Fatalf("got %+v", d)
	}
	return service, d
}

func manyFacts(n int) []rollcall.Fact {
	facts := make([]rollcall.Fact, 0, n)
	for i := range n {
		declaration := report.BucketFact(fmt.Sprintf("fact%d", i), "Is one of many.", 1, 10, 100)
		facts = append(facts, rollcall.Fact{Declaration: declaration, Value: func(context.Context) (any, error) { return i, nil }})
	}
	return facts
}

func buildHeartbeat(t testing.TB, service *rollcall.Service, d rollcall.Decisions) {
	t.Helper()
	h := rollcall.BuildHeartbeat(t.Context(), service, d)
	if body, err := h.Marshal(); err != nil || len(body) == 0 {
		t.Fatal(err)
	}
}
