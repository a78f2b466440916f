// Package bench measures what a collector does on one machine, each figure beside its bar and its baseline in the same run,
// and holds it to what it promises when it is killed, attacked, and counts a fleet of known truth. Figures are printed with
// ROLLCALL_BENCH and never fail for what they are; ROLLCALL_SOAK makes all of it longer and larger.
//
// The load is from this process, and the server is another one. The load is raw HTTP/1.1 on kept connections, one request at
// a time on each, with bodies that are made beforehand and whose IDs are patched in place: see package rawhttp. It takes its
// part of the processors nevertheless.
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

// TestFigures prints the figures when ROLLCALL_BENCH is set; otherwise it takes each measurement briefly, to see that it
// works.
func TestFigures(t *testing.T) {
	duration, rounds := 200*time.Millisecond, 1
	switch {
	case os.Getenv(soakVariable) != "":
		duration, rounds = time.Minute, 1
	case os.Getenv(benchVariable) != "":
		duration, rounds = 10*time.Second, 3
	}
	t.Run("heartbeats", func(t *testing.T) { rates(t, duration, rounds) })
	t.Run("scale", scale)
}

// mostPerSecond bounds the installations that a measurement may use up.
const mostPerSecond = 25_000

// rates measures how many durable heartbeats a second there are, beside the server that drops them, and the latency at half
// of that rate. The known installations are used up part by part, so that each heartbeat is the first one of a day.
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
