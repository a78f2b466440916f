package postgres_test

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// The disk of PostgreSQL's tables, or of its log, really is full under load, and has
// room again. A server without room for its log ends. What was acknowledged is
// there, and what was refused is not.
func TestDiskReallyIsFull(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a server of its own")
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, server *pgserver.Server, disk string) (full string)
	}{
		{"tables", func(t *testing.T, _ *pgserver.Server, disk string) string { return disk }},
		{"log", func(t *testing.T, server *pgserver.Server, _ string) string {
			disk := lab.Tmpfs(t, "size=64m")
			server.Stop()
			log := filepath.Join(server.Dir, "data", "pg_wal")
			if output, err := exec.Command("cp", "-a", log, disk).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			if err := errors.Join(os.Chmod(disk, 0o755), os.RemoveAll(log), os.Symlink(filepath.Join(disk, "pg_wal"), log), server.Run()); err != nil {
				t.Fatal(err)
			}
			return disk
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			disk := lab.Tmpfs(t, "size=256m")
			t.Setenv("TMPDIR", disk)
			if err := os.Chmod(disk, 0o755); err != nil {
				t.Fatal(err)
			}
			server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"checkpoint_timeout = '1d'", "max_wal_size = '1GB'"}})
			full := test.prepare(t, server, disk)
			db := open(t, server.URL("postgres"))
			s := lead(t, db)
			hog := fill(t, full)

			var written, refused []int
			lost := false // then nobody knows what became of the last one
			for n := 0; len(refused) < 3 && !lost; n++ {
				if n == 10_000 {
					t.Fatal("the disk is not full")
				}
				b := numbered(n, 10)
				b.Records[0].Data = make([]byte, 64<<10)
				rand.Read(b.Records[0].Data)
				_, err := s.Commit(t.Context(), b)
				switch {
				case err == nil:
					written = append(written, n)
				case errors.Is(err, collector.ErrUnavailable):
					refused = append(refused, n)
				case errors.Is(err, collector.ErrLost):
					lost = true
				default:
					t.Fatalf("commit %d: got %v, want ErrUnavailable or ErrLost", n, err)
				}
			}
			t.Logf("%d commits were written, %d refused; lost: %v; the server has ended: %v", len(written), len(refused), lost, server.Ended())

			if err := os.Remove(hog); err != nil {
				t.Fatal(err)
			}
			s = leadAgain(t, server, db, s)
			next := len(written) + len(refused) + 1
			if _, err := s.Commit(t.Context(), numbered(next, 10)); err != nil {
				t.Errorf("with room again: %v", err)
			}
			for _, n := range append(written, next) {
				if parts := present(t, db, n); parts != [3]bool{true, true, true} {
					t.Errorf("commit %d was acknowledged: the parts are there: %v", n, parts)
				}
			}
			for _, n := range refused {
				if parts := present(t, db, n); parts != [3]bool{} {
					t.Errorf("commit %d was refused: the parts are there: %v", n, parts)
				}
			}
			if err := db.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// lead takes a lease that ends soon.
func lead(t *testing.T, db *postgres.DB) *postgres.Store {
	t.Helper()
	s, err := db.Take(t.Context(), "test", 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill leaves a mebibyte of a disk, and returns the file that takes the rest.
func fill(t *testing.T, disk string) (file string) {
	t.Helper()
	file = filepath.Join(disk, "hog")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var size int64
	for block := make([]byte, 64<<10); ; {
		n, err := f.Write(block)
		size += int64(n)
		if err != nil {
			break
		}
	}
	if err := f.Truncate(max(0, size-1<<20)); err != nil {
		t.Fatal(err)
	}
	return file
}

// leadAgain waits until the store commits again: on a server that is started again
// if it has ended, and with another term if it has lost its own.
func leadAgain(t *testing.T, server *pgserver.Server, db *postgres.DB, s *postgres.Store) *postgres.Store {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if server.Ended() {
			if err := server.Run(); err != nil {
				t.Fatal(err)
			}
		}
		err := s.Renew(t.Context())
		if errors.Is(err, collector.ErrLost) {
			var again *postgres.Store
			if again, err = db.Take(t.Context(), "test", 3*time.Second); err == nil {
				t.Cleanup(func() { again.Close() })
				return again
			}
		}
		if err == nil {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
