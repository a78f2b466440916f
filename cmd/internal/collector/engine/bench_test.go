package engine_test

import (
	"context"
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

// BenchmarkNew counts new installations: peaceful ones, and forged ones that
// invent a version, a system and the names of facts, in tables that are full.
// Of the forged ones, some are established.
func BenchmarkNew(b *testing.B) {
	for _, forged := range []bool{false, true} {
		name := "Peaceful"
		if forged {
			name = "Forged"
		}
		b.Run(name, func(b *testing.B) {
			e, err := engine.Open(b.Context(), storetest.NewMemory(), engine.Options{Secret: testSecret, Queue: 1 << 16})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close(context.Background())
			app, err := e.AddApp(b.Context(), collector.App{Key: "app", MaxNewPerDay: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			f := &flood{rig: &rig{app: app}}
			heartbeat := func(n int) collector.Received {
				if forged {
					return f.forge(n)
				}
				return f.heartbeat(n, "1.0")
			}
			const fleet = 20_000
			l, err := e.Load(b.Context(), app.Num)
			if err != nil {
				b.Fatal(err)
			}
			for day := collector.DayOf(time.Now()) - 2; day < collector.DayOf(time.Now()); day++ {
				if err := l.Day(b.Context(), day); err != nil {
					b.Fatal(err)
				}
				for n := range fleet {
					if err := l.Heartbeat(b.Context(), heartbeat(n)); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := l.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
			var next atomic.Int64
			next.Store(fleet)
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := int(next.Add(1))
					h := heartbeat(n)
					if n%2 == 0 { // an established one invents more
						id := n % fleet
						h.Heartbeat.InstallationID = f.heartbeat(id, "").Heartbeat.InstallationID
					}
					if _, err := e.Heartbeat(b.Context(), h); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
