package bench

import (
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/rawhttp"
)

// TestKilled is S1: the server is killed under full load, 5 times, or 100
// with ROLLCALL_SOAK. Everything that it acknowledged is there
// afterwards, and when everything is sent again, each installation counts
// once.
func TestKilled(t *testing.T) {
	rounds := 5
	switch {
	case os.Getenv(soakVariable) != "":
		rounds = 100
	case testing.Short():
		rounds = 2
	}
	dir := t.TempDir()
	today := collector.DayOf(time.Now())
	inStore(t, dir, func(*engine.Engine, collector.App) {})
	next := 0 // the installation after the last one that was sent
	var lost, acknowledged int
	for range rounds {
		server := startChild(t, counting, dir)
		acks := make([][]int, connections)
		sent := make([]int, connections)
		stop, begun := make(chan struct{}), make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		var wg sync.WaitGroup
		for i := range connections {
			conn, err := rawhttp.Connect(t.Context(), server.endpoint)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				defer conn.Close()
				body := newTemplate("1.0.0")
				for n := next + i; ; n += connections {
					select {
					case <-stop:
						return
					default:
					}
					sent[i] = n
					answer, err := conn.Send(simulate.HeartbeatPath, body.with(n))
					if err != nil {
						return // it was killed
					}
					if answer.Status/100 == 2 {
						acks[i] = append(acks[i], n)
						begin()
					}
				}
			})
		}
		// By then some commits are done, and one is under way.
		select {
		case <-begun:
		case <-time.After(2 * time.Minute):
			t.Fatal("nothing is acknowledged")
		}
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond)
		server.kill()
		close(stop)
		wg.Wait()
		for _, n := range sent {
			next = max(next, n+1)
		}
		inStore(t, dir, func(c *engine.Engine, app collector.App) {
			for _, some := range acks {
				for _, n := range some {
					acknowledged++
					if known, err := c.Known(t.Context(), app.Num, numberedID(n)); err != nil {
						t.Fatal(err)
					} else if !known {
						lost++
					}
				}
			}
		})
	}
	t.Logf("killed %d times under load: %d acknowledged, %d of them lost", rounds, acknowledged, lost)
	if lost > 0 || acknowledged == 0 {
		t.Errorf("%d of %d acknowledged heartbeats are lost, want none", lost, acknowledged)
	}
	// Send everything again, as clients do that got no answer.
	server := startChild(t, counting, dir)
	result, err := simulate.Sending{Endpoint: server.endpoint, Connections: connections, Connect: rawhttp.Connect}.Run(t.Context(), func(i int) simulate.Source {
		body, n := newTemplate("1.0.0"), i-connections
		return func([]byte) (string, []byte, bool) {
			n += connections
			return simulate.HeartbeatPath, body.with(n), n < next
		}
	})
	if err != nil || int(result.Accepted) != next {
		t.Fatalf("got %d accepted, %v refused, %v, want all %d", result.Accepted, result.Refused, err, next)
	}
	server.stop()
	sameDay(t, today)
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		p := figuresOf(t, c, app.Num, today)
		if *p.Active.Day != uint64(next) || *p.New != uint64(next) {
			t.Errorf("got %d active and %d new, want %d: some are counted twice, or not at all", *p.Active.Day, *p.New, next)
		}
	})
}
