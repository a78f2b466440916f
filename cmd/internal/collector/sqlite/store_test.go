package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) collector.Store { return open(t, filepath.Join(t.TempDir(), "rollcall.db")) })
}

// open opens a store until the end of the test.
func open(t testing.TB, file string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), file, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// A file is the data of a store.
type file string

func (f file) Open(t *testing.T) (collector.Store, error) {
	return sqlite.Open(t.Context(), string(f), sqlite.Options{})
}

// Break takes the lock of the database before a commit. The other moments are
// those of TestKill and TestPowerCut: within a process, SQLite always knows.
func (f file) Break(t *testing.T, _ collector.Store, at storetest.Moment) func() {
	if at != storetest.Before {
		return nil
	}
	db, err := sql.Open("sqlite", "file:"+string(f)+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		tx.Rollback()
		db.Close()
	}
}

func TestOutcomes(t *testing.T) {
	storetest.Outcomes(t, func(t *testing.T) storetest.Breakable { return file(filepath.Join(t.TempDir(), "rollcall.db")) })
}
