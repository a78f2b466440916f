package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// A store whose log has filled the disk is upgraded if the log fits into the
// file. Without the space for a backup it is left as it is.
func TestUpgradeOnSmallDisk(t *testing.T) {
	lab.Need(t, lab.Root)
	old := filepath.Join(t.TempDir(), "rollcall.db")
	db := storeOfVersion2(t, old)
	for _, text := range []string{"PRAGMA journal_mode = wal", "PRAGMA wal_autocheckpoint = 0"} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for range 60 {
		const text = "INSERT OR REPLACE INTO record VALUES ('kind', 1, 20002, '', randomblob(65536))"
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(lab.Tmpfs(t, "size=8m"), "rollcall.db")
	for _, suffix := range []string{"", "-wal"} { // as after a crash
		data, err := os.ReadFile(old + suffix)
		if err == nil {
			err = os.WriteFile(file+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ballast := file + ".ballast"
	leave := func(free int64) {
		t.Helper()
		os.Remove(ballast)
		var fs unix.Statfs_t
		err := unix.Statfs(filepath.Dir(file), &fs)
		if err == nil {
			err = os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*fs.Bsize-free), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	leave(0)
	if s, err := sqlite.Open(t.Context(), file, sqlite.Options{}); err == nil {
		s.Close()
		t.Fatal("opened without any space")
	}
	leave(700 << 10)
	s := open(t, file)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	s.Close()
	if _, err := os.Stat(file + ".v2.backup"); err != nil {
		t.Error(err)
	}
}

// What there is no space for is said, and nothing is changed.
func TestUpgradeWithoutSpace(t *testing.T) {
	lab.Need(t, lab.Root)
	file := filepath.Join(lab.Tmpfs(t, "size=1m"), "rollcall.db")
	storeOfVersion2(t, file).Close()
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), file, sqlite.Options{}); !errors.Is(err, sqlite.ErrNoSpace) {
		t.Fatalf("got %v, want ErrNoSpace", err)
	}
	if after, err := os.ReadFile(file); err != nil || len(after) != len(before) {
		t.Errorf("the file changed: %d bytes, %v", len(after), err)
	}
}
