package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/race"
)

// unlessRace returns the size of a test, or a smaller one with the race detector.
func unlessRace(size, small int) int {
	if race.Enabled {
		return small
	}
	return size
}

// TestLogIsBounded commits without a pause while others read. The log must start
// over again and again.
func TestLogIsBounded(t *testing.T) {
	const rows = 20_000
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s := open(t, file)
	fill(t, s, 1, 0, rows)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for range s.Identities(ctx) {
			}
		}
	})
	// A check that never ends must be interrupted.
	interrupted, end := s.CheckSlowly(t.Context())
	defer end()
	var most int64
	written := 0 // bytes of pages
	enough := unlessRace(4*sqlite.MaxLog, 3*sqlite.MaxLog/2)
	for written < enough {
		b := &collector.Batch{Journal: []byte("entry")}
		for range 200 {
			b.PutInstallations = append(b.PutInstallations, collector.Installation{App: 1,
				Num: collector.Num(mathrand.IntN(rows)), State: randomBytes(stateSize)})
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file + sqlite.LogSuffix)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Size())
		written += 150 * sqlite.PageSize // some of the 200 rows share a page
	}
	cancel()
	wg.Wait()
	t.Logf("at most %.1f MiB in the log", float64(most)/(1<<20))
	if most > sqlite.MaxLog*3/2 {
		t.Errorf("got a log of %d bytes, want at most %d plus what is committed during a copy", most, sqlite.MaxLog)
	}
	if !interrupted() {
		t.Error("the check was not interrupted")
	}
	end()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestScrubInterruptsCheck: a check would keep the log from starting over.
func TestScrubInterruptsCheck(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "rollcall.db"))
	put(t, s, "one")
	interrupted, end := s.CheckSlowly(t.Context())
	defer end()
	put(t, s, "two")
	if interrupted() {
		t.Error("an ordinary commit interrupts a check")
	}
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if !interrupted() {
		t.Error("the check was not interrupted")
	}
}

// TestScrubBlocked lets another process read from the log: a batch that cannot be
// scrubbed is not written, and succeeds when the other process is done.
func TestScrubBlocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s := open(t, file)
	put(t, s, "one")
	db := outside(t, file)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM record").Scan(&n); err != nil {
		t.Fatal(err)
	}
	put(t, s, "two")
	b := note("three")
	b.Scrub = true
	if _, err := s.Commit(t.Context(), b); !errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if has(t, s, "three") {
		t.Error("the batch was written")
	}
	tx.Rollback()
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// TestScrub looks for deleted keys, states, and records in every file of the store.
func TestScrub(t *testing.T) {
	rows := unlessRace(20_000, 4000)
	if os.Getenv("ROLLCALL_SOAK") != "" {
		rows = 1_000_000
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "rollcall.db")
	s := open(t, file)
	// Small batches of random keys split pages in all ways, and rows change size.
	for i := 0; i < rows; i += 500 {
		fill(t, s, 1, i, i+500)
		b := &collector.Batch{Journal: randomBytes(100)}
		for range 50 {
			num := collector.Num(mathrand.IntN(i + 500))
			b.PutInstallations = append(b.PutInstallations, collector.Installation{App: 1, Num: num,
				State: randomBytes(20 + mathrand.IntN(60))})
		}
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	var all []collector.Identity
	for id, err := range s.Identities(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}

	traces := make(map[string][]byte)
	b := &collector.Batch{Scrub: true}
	for n := range 200 {
		id := all[mathrand.IntN(len(all))]
		row, ok, err := s.Installation(t.Context(), id.App, id.Num)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		key := collector.RecordKey{Kind: "faults", App: 1, Name: fmt.Sprint(n)}
		data := randomBytes(16 + n*n) // up to 40 kB
		number, err := s.Commit(t.Context(), &collector.Batch{
			Journal: append(id.Key[:], data[:16]...),
			Records: []collector.Record{{RecordKey: key, Data: data}},
		})
		if err != nil {
			t.Fatal(err)
		}
		traces[fmt.Sprintf("key of %d", id.Num)] = id.Key[:]
		traces[fmt.Sprintf("state of %d", id.Num)] = row.State[:16]
		traces[fmt.Sprintf("begin of record %d", n)] = data[:16]
		traces[fmt.Sprintf("end of record %d", n)] = data[len(data)-16:]
		b.TrimJournal = number
		b.DropIdentities = append(b.DropIdentities, id.Key)
		b.DropInstallations = append(b.DropInstallations, collector.Installation{App: id.App, Num: id.Num})
		b.Records = append(b.Records, collector.Record{RecordKey: key})
	}
	mathrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, id := range all[:rows/10] {
		row, ok, err := s.Installation(t.Context(), id.App, id.Num)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		traces[fmt.Sprintf("key of %d", id.Num)] = id.Key[:]
		traces[fmt.Sprintf("state of %d", id.Num)] = row.State[:16]
		b.DropIdentities = append(b.DropIdentities, id.Key)
		b.DropInstallations = append(b.DropInstallations, collector.Installation{App: id.App, Num: id.Num})
	}
	// Some cross the end of a page.
	if found := find(t, dir, traces); len(found) < len(traces)*9/10 {
		t.Fatalf("before: got %d of %d traces; the search does not work", len(found), len(traces))
	}
	start := time.Now()
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Logf("scrubbed in %v", time.Since(start))
	for _, name := range find(t, dir, traces) {
		t.Errorf("found the %s", name)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	start = time.Now()
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil {
		t.Fatal(err)
	}
	t.Logf("and again in %v", time.Since(start))
}

// find returns the names of the traces that occur in a file of the directory.
func find(t *testing.T, dir string, traces map[string][]byte) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[[16]byte]string)
	for name, trace := range traces {
		names[[16]byte(trace)] = name
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+16 <= len(data); i++ {
			if name, ok := names[[16]byte(data[i:i+16])]; ok && !seen[name] {
				seen[name] = true
				found = append(found, name)
			}
		}
	}
	return found
}
