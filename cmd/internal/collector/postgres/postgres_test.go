package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// lease is longer than any test.
const lease = time.Hour

// open opens a database until the end of the test.
func open(t testing.TB, url string) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// take leads until the end of the test.
func take(t testing.TB, db *postgres.DB) *postgres.Store {
	t.Helper()
	s, err := db.Take(t.Context(), "test", lease)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A slow machine may not release the lease in time.
		if err := s.Close(); err != nil && !errors.Is(err, collector.ErrLost) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// eachVersion runs a test with a new database of each version.
func eachVersion(t *testing.T, test func(t *testing.T, server *pgserver.Server, database string)) {
	for _, version := range pgserver.Versions {
		t.Run(version, func(t *testing.T) {
			server := pgserver.Shared(t, version)
			test(t, server, server.NewDatabase(t))
		})
	}
}

// patient makes a store wait for answers as long as a slow machine needs.
func patient(s *postgres.Store) *postgres.Store {
	s.SetLimits(2*time.Minute, 2*time.Minute)
	return s
}

func TestConformance(t *testing.T) {
	for _, version := range pgserver.Versions {
		t.Run(version, func(t *testing.T) {
			server := pgserver.Shared(t, version)
			storetest.Run(t, func(t *testing.T) collector.Store {
				return patient(take(t, open(t, server.URL(server.NewDatabase(t)))))
			})
		})
	}
}

// The store needs nothing of a session, so it works through a pooler that gives each
// transaction another one.
func TestConformanceThroughPooler(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	port := pgserver.StartPooler(t, server).Port
	storetest.Run(t, func(t *testing.T) collector.Store {
		return patient(take(t, open(t, server.URLAt(port, server.NewDatabase(t)))))
	})
}
