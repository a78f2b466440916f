package sqlite_test

import (
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
