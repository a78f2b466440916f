// Package bench measures what a collector does on one machine, each
// figure beside its bar and its baseline in the same run. It also tests
// what a collector promises when it is killed, attacked, and when it
// counts a fleet of known truth. ROLLCALL_BENCH prints figures, which
// never fail a test. ROLLCALL_SOAK makes everything longer and larger.
//
// This process makes the load, and another process is the server. The
// load is raw HTTP/1.1 on persistent connections, one request at a time
// on each, with prepared bodies whose IDs are patched in place: see
// package rawhttp. It still takes its share of the processors.
package bench

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/rawhttp"
)

const (
	benchVariable = "ROLLCALL_BENCH"
	soakVariable  = "ROLLCALL_SOAK"
)

// connections is how many heartbeats wait for an answer at a time.
const connections = 64

// TestFigures prints the figures if ROLLCALL_BENCH is set. Otherwise it
// makes each measurement briefly, to see that it works.
func TestFigures(t *testing.T) {
	duration, rounds := 200*time.Millisecond, 1
	switch {
	case os.Getenv(soakVariable) != "":
		duration, rounds = time.Minute, 1
	case os.Getenv(benchVariable) != "":
		duration, rounds = 10*time.Second, 3
	}
	t.Run("heartbeats", func(t *testing.T) { rates(t, duration, rounds) })
	t.Run("connections", func(t *testing.T) { connectionCosts(t, max(40, int(200*duration.Seconds())), max(rounds, 3)) })
	t.Run("scale", scale)
	t.Run("postgres", func(t *testing.T) { besidePostgres(t, duration/2, rounds) })
}

// mostPerSecond bounds the installations that a measurement uses up.
const mostPerSecond = 25_000

// rates measures durable heartbeats per second, beside a server that
// drops them, and the latency at half of that rate. It uses up the known
// installations part by part, so that each heartbeat is the first of a
// day.
func rates(t *testing.T, duration time.Duration, rounds int) {
	part := int(duration.Seconds() * mostPerSecond)
	known := part * 2 * rounds
	dir := t.TempDir()
	loadKnown(t, dir, known)
	server, baseline := startChild(t, counting, dir), startChild(t, dropping, dir)
	from := 0
	send := func(endpoint string, rate float64) simulate.Result {
		s := simulate.Sending{Endpoint: endpoint, Connections: connections, Duration: duration, Rate: rate, Attempts: 1, Connect: rawhttp.Connect}
		begin, end := from, from+part
		result, err := s.Run(t.Context(), func(i int) simulate.Source { return mixed(begin+i, end, known) })
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Refused) > 0 || result.Failed > 0 {
			t.Errorf("%v refused, %d failed (%s), want none", result.Refused, result.Failed, result.Error)
		}
		if endpoint == server.endpoint {
			from = end
		}
		return result
	}
	var counted, dropped, p50, p99 []float64
	for range rounds {
		d, c := send(baseline.endpoint, 0), send(server.endpoint, 0)
		half := send(server.endpoint, c.PerSecond()/2)
		dropped, counted = append(dropped, d.PerSecond()), append(counted, c.PerSecond())
		p50 = append(p50, half.Latency.Quantile(0.5).Seconds()*1000)
		p99 = append(p99, half.Latency.Quantile(0.99).Seconds()*1000)
	}
	server.stop()
	baseline.stop()
	t.Logf("durable heartbeats: %.0f/s (bar: at least 15000); parsed and dropped: %.0f/s; ratio %.2f (bar: at least 0.4); medians of %d times %v, %d connections, %d processors",
		median(counted), median(dropped), median(counted)/median(dropped), rounds, duration, connections, runtime.NumCPU())
	t.Logf("at half of that rate: median %.1f ms, 99 %% within %.1f ms (bar: 50 ms)", median(p50), median(p99))
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
