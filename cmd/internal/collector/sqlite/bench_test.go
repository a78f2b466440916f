package sqlite_test

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// stateSize is the usual size of an installation's state.
const stateSize = 40

// fill adds installations of an app, in large batches.
func fill(t testing.TB, s collector.Store, app collector.AppNum, from, to int) {
	t.Helper()
	const batch = 5000
	for first := from; first < to; first += batch {
		b := &collector.Batch{}
		for i := first; i < min(first+batch, to); i++ {
			id := collector.Identity{App: app, Num: collector.Num(i)}
			rand.Read(id.Key[:])
			b.PutIdentities = append(b.PutIdentities, id)
			b.PutInstallations = append(b.PutInstallations,
				collector.Installation{App: app, Num: collector.Num(i), State: randomBytes(stateSize)})
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func randomBytes(n int) []byte {
	data := make([]byte, n)
	rand.Read(data)
	return data
}

// BenchmarkCommit commits the batch of a busy collector, with rows all over a
// table of 300,000: a journal entry and some changed installations.
func BenchmarkCommit(b *testing.B) {
	const rows = 300_000
	s := open(b, filepath.Join(b.TempDir(), "rollcall.db"))
	fill(b, s, 1, 0, rows)
	entry := randomBytes(1000)
	var took []time.Duration
	for b.Loop() {
		batch := &collector.Batch{Journal: entry}
		for range 5 {
			batch.PutInstallations = append(batch.PutInstallations, collector.Installation{App: 1,
				Num: collector.Num(mathrand.IntN(rows)), State: randomBytes(stateSize)})
		}
		start := time.Now()
		number, err := s.Commit(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		if number%2000 == 0 { // as the engine does
			if _, err := s.Commit(b.Context(), &collector.Batch{TrimJournal: number}); err != nil {
				b.Fatal(err)
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "max-ms")
}

// BenchmarkNew adds installations, 100 per batch.
func BenchmarkNew(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "rollcall.db"))
	fill(b, s, 1, 0, 300_000)
	n := 300_000
	for b.Loop() {
		fill(b, s, 1, n, n+100)
		n += 100
	}
	b.ReportMetric(float64(n-300_000)/b.Elapsed().Seconds(), "installations/s")
}

// BenchmarkScan reads all identities and installations, as the engine does at startup.
func BenchmarkScan(b *testing.B) {
	const rows = 300_000
	s := open(b, filepath.Join(b.TempDir(), "rollcall.db"))
	fill(b, s, 1, 0, rows)
	for b.Loop() {
		for _, err := range s.Identities(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
		}
		for _, err := range s.Installations(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/rows*1e6, "us/installation")
}

// BenchmarkLookup looks up 64 keys.
func BenchmarkLookup(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "rollcall.db"))
	fill(b, s, 1, 0, 300_000)
	var keys []collector.Key
	for id, err := range s.Identities(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, id.Key)
	}
	some := make([]collector.Key, 64)
	for b.Loop() {
		for i := range some {
			some[i] = keys[mathrand.IntN(len(keys))]
		}
		if _, err := s.Lookup(b.Context(), some); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBytesPerInstallation holds the store to the size that its schema and the
// documents state.
func TestBytesPerInstallation(t *testing.T) {
	rows := unlessRace(50_000, 10_000)
	if os.Getenv("ROLLCALL_BENCH") != "" || os.Getenv("ROLLCALL_SOAK") != "" {
		rows = 1_000_000
	}
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s := open(t, file)
	start := time.Now()
	fill(t, s, 1, 0, rows)
	took := time.Since(start)
	start = time.Now()
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil { // which copies the log to the file
		t.Fatal(err)
	}
	t.Logf("first scrub in %v", time.Since(start))
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	each := float64(info.Size()) / float64(rows)
	t.Logf("%d installations with %d bytes of state: %.1f bytes each, %.0f/s", rows, stateSize, each,
		float64(rows)/took.Seconds())
	if each > 100 {
		t.Errorf("got %.1f bytes per installation, want at most 100", each)
	}
}
