package engine_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// BenchmarkHeartbeat counts heartbeats on a store that costs nothing: those of
// known installations that report nothing new.
func BenchmarkHeartbeat(b *testing.B) {
	e, err := engine.Open(b.Context(), storetest.NewMemory(), engine.Options{Secret: testSecret, Queue: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	app, err := e.AddApp(b.Context(), collector.App{Key: "app", MaxNewPerDay: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	const fleet = 200_000
	l, err := e.Load(b.Context(), app.Num)
	if err != nil {
		b.Fatal(err)
	}
	r := &rig{app: app}
	if err := l.Day(b.Context(), collector.DayOf(time.Now())-1); err != nil {
		b.Fatal(err)
	}
	for n := range fleet {
		if err := l.Heartbeat(b.Context(), r.heartbeat(n, "1.0")); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := e.Heartbeat(b.Context(), r.heartbeat(int(next.Add(1))%fleet, "1.0")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
