package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

func rounds(few, many int) int {
	if os.Getenv("ROLLCALL_SOAK") != "" {
		return many
	}
	return few
}

// commitAndKill runs a process that commits from a number on, kills it, and
// returns the last number that it acknowledged.
func commitAndKill(t *testing.T, file string, from int, whenToKill func(kill func())) (last int) {
	t.Helper()
	cmd := lab.Command(t, committerChild, file, strconv.Itoa(from))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last = from - 1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		if last = n; n == from+5 {
			go whenToKill(func() { cmd.Process.Kill() })
		}
	}
	cmd.Wait()
	return last
}

// holds checks that the store has all batches up to the acknowledged one, perhaps
// the next one too, and no part of another. It returns the number of the last.
func holds(t *testing.T, s *sqlite.Store, acknowledged int) (last int) {
	t.Helper()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, _, err := s.Record(t.Context(), noteKey("last"))
	if err != nil {
		t.Fatal(err)
	}
	last, _ = strconv.Atoi(string(data))
	if last != acknowledged && last != acknowledged+1 {
		t.Fatalf("got %d batches, want %d or one more", last, acknowledged)
	}
	n := 0
	for row, err := range s.Installations(t.Context()) {
		if n++; err != nil || int(row.Num) != n || string(row.State) != fmt.Sprintf("state %d", n) {
			t.Fatalf("installation %d: got %v and %v", n, row, err)
		}
	}
	if n != last {
		t.Fatalf("got %d installations, want %d", n, last)
	}
	first := last/50*50/2 + 1 // the first after the trimmed ones
	for e, err := range s.Journal(t.Context()) {
		if err != nil || string(e.Data) != strconv.Itoa(first) || e.Number != int64(first) {
			t.Fatalf("journal: got %d %q and %v, want %d", e.Number, e.Data, err, first)
		}
		first++
	}
	if first != last+1 {
		t.Fatalf("journal: ends before %d, want %d", first, last)
	}
	return last
}

// TestKill kills a process while it commits, again and again. Every acknowledged
// batch must be in the store.
func TestKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	last := 0
	for range rounds(6, 100) {
		acknowledged := commitAndKill(t, file, last+1, func(kill func()) {
			time.Sleep(rand.N(150 * time.Millisecond))
			kill()
		})
		s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		last = holds(t, s, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commits", last)
}

// TestPowerCut cuts the power of the disk while a process commits.
func TestPowerCut(t *testing.T) {
	lab.Need(t, lab.Root, lab.LoopDevices, lab.Tool("mkfs.ext4"))
	last := 0
	disk := lab.LoopImage(t, "ext4")
	file := filepath.Join(disk.Dir, "rollcall.db")
	for range rounds(2, 20) {
		acknowledged := commitAndKill(t, file, last+1, func(kill func()) {
			time.Sleep(rand.N(150 * time.Millisecond))
			kill()
		})
		disk.Cut()
		s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		last = holds(t, s, acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d commits", last)
}

// slowSteps are the program's migrations, and two that take long enough to be
// interrupted.
func slowSteps() fstest.MapFS {
	rows := fmt.Sprintf("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < %d) ", slowRows())
	all := firstSteps()
	all["09001_slow.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE two (x);\nINSERT INTO two " + rows + "SELECT x FROM n;\n")}
	all["09002_slow.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE three (x);\nINSERT INTO three " + rows + "SELECT x FROM n;\n")}
	return all
}

func slowRows() int { return unlessRace(200_000, 20_000) }

// firstSteps are the program's migrations.
func firstSteps() fstest.MapFS {
	all := fstest.MapFS{}
	names, err := fs.Glob(sqlite.Embedded(), "*.sql")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(sqlite.Embedded(), name)
		if err != nil {
			panic(err)
		}
		all[name] = &fstest.MapFile{Data: data}
	}
	return all
}

func runUpgrader() {
	s, err := sqlite.Open(context.Background(), os.Args[1], sqlite.WithMigrations(sqlite.Options{}, slowSteps()))
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	s.Close()
	fmt.Println("done")
}

// TestUpgradeKilled kills a process at different moments of an upgrade.
func TestUpgradeKilled(t *testing.T) {
	took := time.Duration(0)
	n := rounds(6, 40)
	for i := range n + 1 {
		file := filepath.Join(t.TempDir(), "rollcall.db")
		s, err := sqlite.Open(t.Context(), file, sqlite.WithMigrations(sqlite.Options{}, firstSteps()))
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s, 1, 0, 1000)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := lab.Command(t, upgraderChild, file)
		if i == 0 { // not killed, to measure the duration
			start := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "done\n" {
				t.Fatalf("got %s and %v", out, err)
			}
			took = time.Since(start)
		} else {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(took * time.Duration(i) / time.Duration(n))
			cmd.Process.Kill()
			cmd.Wait()
		}
		s, err = sqlite.Open(t.Context(), file, sqlite.WithMigrations(sqlite.Options{}, slowSteps()))
		if err != nil {
			t.Fatalf("after %v of %v: %v", took*time.Duration(i)/time.Duration(n), took, err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		s.Close()
		db := outside(t, file)
		var two, three int
		err = db.QueryRowContext(t.Context(), "SELECT (SELECT count(*) FROM two), (SELECT count(*) FROM three)").Scan(&two, &three)
		if err != nil || two != slowRows() || three != slowRows() {
			t.Errorf("got %d, %d and %v, want %d rows in both", two, three, err, slowRows())
		}
		db.Close()
		if !exists(file+".v3.backup") && !exists(file+".v9001.backup") {
			t.Error("there is no backup")
		}
	}
}

// TestDiskFull fills a disk: commits return ErrUnavailable, and succeed as soon as
// there is space again.
func TestDiskFull(t *testing.T) {
	lab.Need(t, lab.Root)
	dir := lab.Tmpfs(t, "size=12m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rollcall.db")
	s := open(t, file)
	last := 0
	for {
		if _, err := s.Commit(t.Context(), growing(last+1)); errors.Is(err, collector.ErrUnavailable) {
			t.Logf("full after %d commits: %v", last, err)
			break
		} else if err != nil {
			t.Fatalf("got %v, want ErrUnavailable", err)
		}
		last++
	}
	// The disk stays full, and reads succeed.
	for range 20 {
		if _, err := s.Commit(t.Context(), growing(last+1)); err != nil && !errors.Is(err, collector.ErrUnavailable) {
			t.Fatalf("got %v, want ErrUnavailable", err)
		} else if err == nil { // a checkpoint has made a little space
			last++
		}
	}
	wantGrown(t, s, last)
	if err := s.Backup(t.Context(), filepath.Join(dir, "backup")); !errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("Backup: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil && !errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("Scrub: got %v, want ErrUnavailable or nil", err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		last++
		if _, err := s.Commit(t.Context(), growing(last)); err != nil {
			t.Fatalf("with space again: %v", err)
		}
	}
	if _, err := s.Commit(t.Context(), &collector.Batch{Scrub: true}); err != nil {
		t.Errorf("Scrub with space again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, file)
	wantGrown(t, s, last)
	only(t, dir, "rollcall.db", "rollcall.db.lock", "rollcall.db-wal", "rollcall.db-shm")
}

// growing returns a batch that makes the database grow.
func growing(n int) *collector.Batch {
	return &collector.Batch{Records: []collector.Record{
		{RecordKey: collector.RecordKey{Kind: "growing", Day: collector.Day(n)}, Data: make([]byte, 30_000)}}}
}

func wantGrown(t *testing.T, s *sqlite.Store, want int) {
	t.Helper()
	n := 0
	for _, err := range s.Records(t.Context(), "growing", 0, 0, 1<<30) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != want {
		t.Errorf("got %d records, want %d", n, want)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDiskFreezes lets all writes to the disk hang. Reads continue, and the commit
// returns when the disk does, because only then its result is known.
func TestDiskFreezes(t *testing.T) {
	lab.Need(t, lab.Root, lab.LoopDevices, lab.Tool("mkfs.ext4"))
	disk := lab.LoopImage(t, "ext4")
	s := open(t, filepath.Join(disk.Dir, "rollcall.db"))
	put(t, s, "before")
	has(t, s, "before") // the first reader of a state notes it in a file
	disk.Freeze()
	committed := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), note("meanwhile"))
		committed <- err
	}()
	for range 20 {
		if !has(t, s, "before") {
			t.Error("a committed batch is missing")
		}
	}
	select {
	case err := <-committed:
		t.Errorf("got %v while the disk is frozen, want no answer", err)
	case <-time.After(100 * time.Millisecond):
	}
	disk.Thaw()
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	if !has(t, s, "meanwhile") {
		t.Error("a committed batch is missing")
	}
}
