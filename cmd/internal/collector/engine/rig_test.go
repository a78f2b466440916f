package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

var testSecret = bytes.Repeat([]byte("s"), 32)

// A rig is an engine on a store in memory, in a bubble whose clock starts at
// noon.
type rig struct {
	t     *testing.T
	store *storetest.Memory
	e     *engine.Engine
	app   collector.App
	// offset is how far the collector's clock is ahead.
	offset atomic.Int64
	log    slog.Handler
}

// jump moves the collector's clock.
func (r *rig) jump(by time.Duration) { r.offset.Add(int64(by)) }

// clock returns what the collector's clock reads.
func (r *rig) clock() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) }

// inBubble runs a test on a rig with one app.
func inBubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r := &rig{t: t, store: storetest.NewMemory()}
		r.open()
		r.app = r.addApp(collector.App{Key: "app"})
		defer r.close()
		test(t, r)
	})
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryOpen() error {
	opts := engine.Options{Secret: testSecret, Clock: r.clock}
	if r.log != nil {
		opts.Logger = slog.New(r.log)
	}
	e, err := engine.Open(r.t.Context(), r.store, opts)
	if err != nil {
		return err
	}
	<-e.Warm()
	r.e = e
	return nil
}

// restart stops the engine, and starts it after a while.
func (r *rig) restart(after time.Duration, meanwhile ...func()) {
	r.t.Helper()
	r.close()
	time.Sleep(after)
	for _, do := range meanwhile {
		do()
	}
	r.store = r.store.Clone()
	r.open()
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.e.Close(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

// crash restarts the engine with what is durable.
func (r *rig) crash() {
	r.t.Helper()
	store := r.store.Clone()
	r.close()
	r.store = store
	r.open()
}

func (r *rig) addApp(app collector.App) collector.App {
	r.t.Helper()
	added, err := r.e.AddApp(r.t.Context(), app)
	if err != nil {
		r.t.Fatal(err)
	}
	return added
}

// id returns the n-th installation ID.
func id(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", n, n) }

// heartbeat returns a heartbeat of installation n.
func (r *rig) heartbeat(n int, version string) collector.Received {
	return collector.Received{App: r.app.Num, Heartbeat: report.Heartbeat{
		Schema: 1, App: r.app.Key, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: version,
		Platform: report.Platform{System: "linux", Machine: "amd64"}, Deployment: report.DeploymentContainer,
	}}
}

func (r *rig) send(received collector.Received) collector.Receipt {
	r.t.Helper()
	receipt, err := r.e.Heartbeat(r.t.Context(), received)
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt
}

// sends sends heartbeats of the installations n with lo <= n < hi.
func (r *rig) sends(lo, hi int, version string) {
	r.t.Helper()
	for n := lo; n < hi; n++ {
		r.send(r.heartbeat(n, version))
	}
}

// nextDay waits until noon of the next day.
func (r *rig) nextDay() { time.Sleep(24 * time.Hour) }

func today() collector.Day { return collector.DayOf(time.Now()) }

// point returns the figures of a day.
func (r *rig) point(day collector.Day) figures.SeriesPoint { return r.pointOf(day, figures.View{}) }

// pointOf returns the figures of a day for a view.
func (r *rig) pointOf(day collector.Day, v figures.View) figures.SeriesPoint {
	r.t.Helper()
	s, err := r.e.Series(r.t.Context(), r.app.Num, collector.Range{From: day, To: day}, v)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(s.Points) != 1 {
		r.t.Fatalf("got %d points for one day", len(s.Points))
	}
	return s.Points[0]
}

// wants compares a figure with its expected value.
func (r *rig) wants(what string, got figures.Count, want uint64) {
	r.t.Helper()
	if got == nil {
		r.t.Errorf("%s: hidden, want %d", what, want)
	} else if *got != want {
		r.t.Errorf("%s: got %d, want %d", what, *got, want)
	}
}

// newRandom returns a generator whose numbers depend on the seed alone.
func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
