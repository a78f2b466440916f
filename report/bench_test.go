package report_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/report"
)

// BenchmarkHeartbeat makes and encodes heartbeats, with the facts of a
// declaration, into a buffer that is used again. The limits are 10 µs and 2 KiB
// for up to 40 facts.
func BenchmarkHeartbeat(b *testing.B) {
	for _, n := range []int{0, 12, report.MaxFacts} {
		b.Run(fmt.Sprintf("facts=%d", n), func(b *testing.B) {
			decl, values := declare(b, manyFacts(n)...), manyValues(n)
			buffer := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				h := smallestHeartbeat()
				h.Version, h.Deployment = report.NormalizeVersion("v1.4.0-rc.1"), report.DeploymentContainer
				h.Platform = report.Platform{System: "linux", Release: "6.12.0", Machine: "amd64"}
				h.Client = report.Client{Name: "rollcall-go", Version: "0.3.0"}
				h.Facts = decl.Encode(values)
				buffer = h.AppendJSON(buffer[:0])
			}
			b.ReportMetric(float64(len(buffer)), "bytes")
		})
	}
}

func BenchmarkParseHeartbeat(b *testing.B) {
	for _, n := range []int{0, 12, report.MaxFacts} {
		b.Run(fmt.Sprintf("facts=%d", n), func(b *testing.B) {
			h := testHeartbeat()
			h.Facts = declare(b, manyFacts(n)...).Encode(manyValues(n))
			data := h.AppendJSON(nil)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := report.ParseHeartbeat(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUnmarshalHeartbeat reads the same heartbeats with encoding/json,
// for comparison. It neither validates nor counts anything.
func BenchmarkUnmarshalHeartbeat(b *testing.B) {
	type plain report.Heartbeat // without its methods
	for _, n := range []int{0, 12, report.MaxFacts} {
		b.Run(fmt.Sprintf("facts=%d", n), func(b *testing.B) {
			h := testHeartbeat()
			h.Facts = declare(b, manyFacts(n)...).Encode(manyValues(n))
			data := h.AppendJSON(nil)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				var h struct {
					plain
					Facts map[string]any `json:"facts"`
				}
				if err := json.Unmarshal(data, &h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseHealth(b *testing.B) {
	full := fullHealth()
	for name, h := range map[string]report.HealthReport{"typical": testHealth(), "largest": full} {
		b.Run(name, func(b *testing.B) {
			data := h.AppendJSON(nil)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := report.ParseHealth(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRefuse measures what a forged body of the full size costs.
func BenchmarkRefuse(b *testing.B) {
	data := []byte(`{"app":"`)
	for len(data) < report.MaxHeartbeatBytes-2 {
		data = append(data, 'a')
	}
	data = append(data, `"}`...)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := report.ParseHeartbeat(data); err == nil {
			b.Fatal("accepted")
		}
	}
}

// A heartbeat allocates its facts and itself; see BenchmarkHeartbeat.
func TestHeartbeatIsCheap(t *testing.T) {
	for n, most := range map[int]uint64{12: 1 << 10, 40: 2 << 10, report.MaxFacts: 3 << 10} {
		decl, values := declare(t, manyFacts(n)...), manyValues(n)
		buffer := make([]byte, 0, 4096)
		const runs = 100
		got := allocated(func() {
			for range runs {
				h := smallestHeartbeat()
				h.Facts = decl.Encode(values)
				buffer = h.AppendJSON(buffer[:0])
			}
		}) / runs
		if got > most {
			t.Errorf("%d facts: got %d bytes, want at most %d", n, got, most)
		}
	}
}
