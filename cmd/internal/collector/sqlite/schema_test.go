package sqlite_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// withSteps returns options with the program's migrations and further ones.
func withSteps(t testing.TB, steps ...string) sqlite.Options {
	t.Helper()
	all := fstest.MapFS{}
	err := fs.WalkDir(sqlite.Embedded(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(sqlite.Embedded(), name)
		all[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range steps {
		all["0900"+string(rune('1'+i))+"_step.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	return sqlite.WithMigrations(sqlite.Options{}, all)
}

const (
	addColumn = "ALTER TABLE installation ADD COLUMN extra INTEGER NOT NULL DEFAULT 7;"
	addTable  = "CREATE TABLE later (x); INSERT INTO later SELECT id FROM installation;"
)

func TestUpgrade(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "rollcall.db")
	s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 0, 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// The second step fails: the first one stays, and the next Open continues.
	_, err = sqlite.Open(t.Context(), file, withSteps(t, addColumn, addTable+"SELECT * FROM missing;"))
	if err == nil || !strings.Contains(err.Error(), "missing") || strings.Count(err.Error(), "\n") > 0 {
		t.Fatalf("got %v, want an error in one line that names what is missing", err)
	}
	if s, err = sqlite.Open(t.Context(), file, withSteps(t, addColumn, addTable)); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := outside(t, file)
	defer db.Close()
	var extra, later int
	if err := db.QueryRowContext(t.Context(), "SELECT sum(extra), (SELECT count(*) FROM later) FROM installation").
		Scan(&extra, &later); err != nil || extra != 7000 || later != 1000 {
		t.Errorf("got %d, %d and %v, want 7000 and 1000", extra, later, err)
	}

	// The backup is a complete database of the version before.
	if !exists(file+".v3.backup") || !exists(file+".v9001.backup") {
		entries, _ := os.ReadDir(dir)
		t.Fatalf("got %v, want a backup of each older version", entries)
	}
	old := filepath.Join(t.TempDir(), "old.db")
	if err := sqlite.Restore(t.Context(), file+".v3.backup", old, sqlite.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range open(t, old).Installations(t.Context()) {
		n++
	}
	if n != 1000 {
		t.Errorf("backup: got %d installations, want 1000", n)
	}

	// Now this program is too old.
	refused(t, file, sqlite.Options{}, sqlite.ErrNewer)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
