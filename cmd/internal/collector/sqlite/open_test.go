package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
)

// refused checks that Open refuses a file and leaves it as it is.
func refused(t *testing.T, file string, opts sqlite.Options, want error) {
	t.Helper()
	before, _ := os.ReadFile(file)
	s, err := sqlite.Open(t.Context(), file, opts)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) || errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, want)
	}
	if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
}

func put(t testing.TB, s collector.Store, name string) {
	t.Helper()
	if _, err := s.Commit(t.Context(), note(name)); err != nil {
		t.Fatal(err)
	}
}

func note(name string) *collector.Batch {
	return &collector.Batch{Records: []collector.Record{{RecordKey: noteKey(name), Data: []byte("x")}}}
}

func noteKey(name string) collector.RecordKey { return collector.RecordKey{Kind: "note", Name: name} }

func has(t testing.TB, s collector.Store, name string) bool {
	t.Helper()
	_, ok, err := s.Record(t.Context(), noteKey(name))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestOpenAgain(t *testing.T) {
	for _, name := range []string{"rollcall.db", "a b", "100%25 ?mode=memory&x=1#y", "ä;'\""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, name)
			s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, "one")
			for _, suffix := range []string{"", sqlite.LogSuffix, sqlite.IndexSuffix, sqlite.LockSuffix} {
				if info, err := os.Stat(file + suffix); err != nil || info.Mode() != 0o600 {
					t.Errorf("file %q: got %v and %v, want mode 0600", suffix, info, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 {
				t.Errorf("after Close: got %v and %v, want the database and its lock", entries, err)
			}
			if !has(t, open(t, file), "one") {
				t.Error("a committed batch is missing")
			}
		})
	}
}

func TestInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s := open(t, file)
	put(t, s, "one")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link} {
		if _, err := sqlite.Open(t.Context(), name, sqlite.Options{}); !errors.Is(err, sqlite.ErrInUse) {
			t.Errorf("%s: got %v, want ErrInUse", name, err)
		}
	}
	put(t, s, "two") // the open store is not affected
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNotAStore(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"text":      "this is not a database, but a text that is longer than a page header of one hundred bytes is, as it should be",
		"short":     "SQLite",
		"truncated": "SQLite format 3\x00 and no more of it",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
			refused(t, file, sqlite.Options{}, sqlite.ErrNotStore)
		})
	}
	t.Run("directory", func(t *testing.T) { refused(t, dir, sqlite.Options{}, sqlite.ErrNotStore) })
	t.Run("other program", func(t *testing.T) {
		file := filepath.Join(dir, "other")
		execute(t, file, "CREATE TABLE theirs (x)")
		refused(t, file, sqlite.Options{}, sqlite.ErrNotStore)
	})
	t.Run("other program with an ID", func(t *testing.T) {
		file := filepath.Join(dir, "named")
		execute(t, file, "PRAGMA application_id = 42")
		refused(t, file, sqlite.Options{}, sqlite.ErrNotStore)
	})
	t.Run("no directory", func(t *testing.T) {
		refused(t, filepath.Join(dir, "missing", "rollcall.db"), sqlite.Options{}, fs.ErrNotExist)
	})
}

func TestDamaged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, 1, 0, 20_000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 20 * sqlite.PageSize; at < len(data); at += 10 * sqlite.PageSize {
		copy(data[at:], bytes.Repeat([]byte{0xa5}, 64))
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, file)
	if err := s.Check(t.Context()); err == nil || errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("Check: got %v, want a permanent error", err)
	}
	var failed error
	for _, err := range s.Installations(t.Context()) {
		failed = err
	}
	if failed == nil || errors.Is(failed, collector.ErrUnavailable) {
		t.Errorf("Installations: got %v, want a permanent error", failed)
	}
}

func TestNewer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	open(t, file).Close()
	execute(t, file, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	refused(t, file, sqlite.Options{}, sqlite.ErrNewer)
}

// execute executes statements as another program.
func execute(t *testing.T, file string, statements ...string) {
	t.Helper()
	db := outside(t, file)
	defer db.Close()
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}

func outside(t *testing.T, file string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestLocked lets another program, which ignores the lock file, lock the database.
func TestLocked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rollcall.db")
	s := open(t, file)
	put(t, s, "before")
	db := outside(t, file)
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = s.Commit(t.Context(), note("meanwhile"))
	if took := time.Since(start); !errors.Is(err, collector.ErrUnavailable) || took < sqlite.BusyTimeout/2 {
		t.Errorf("got %v after %v, want ErrUnavailable after %v", err, took, sqlite.BusyTimeout)
	}
	if has(t, s, "meanwhile") || !has(t, s, "before") {
		t.Error("while it is locked: reads do not see exactly what was committed")
	}
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "after")
	if has(t, s, "meanwhile") {
		t.Error("the failed batch was written")
	}
}
