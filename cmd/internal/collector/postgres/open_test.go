package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

func failToOpen(t *testing.T, url string) error {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err == nil {
		db.Close()
		t.Fatal("open: got nil, want an error")
	}
	return err
}

func TestOpenFails(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *pgserver.Server, database string) {
		role := strings.Replace(database, "test_", "role_", 1)
		server.Exec(t, "postgres", "CREATE ROLE "+role+" LOGIN PASSWORD 'right'")
		t.Cleanup(func() {
			server.Exec(t, database, "DROP OWNED BY "+role)
			server.Exec(t, "postgres", "DROP ROLE "+role)
		})
		as := func(password, database string) string { return server.URLFor(role, password, server.Port, database) }
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		for _, test := range []struct {
			what, url string
			want      error
		}{
			{"wrong password", as("wrong", database), postgres.ErrPassword},
			{"unknown user", server.URLFor("nobody_at_all", "x", server.Port, database), postgres.ErrPassword},
			{"no database", as("right", "nothing_here"), postgres.ErrNoDatabase},
			{"no privilege", as("right", database), postgres.ErrPrivilege},
			{"malformed", "postgres://127.0.0.1:port/x", postgres.ErrConfig},
			{"nobody listens", server.URLFor(role, "right", closed.Addr().(*net.TCPAddr).Port, database), collector.ErrUnavailable},
			{"no TLS", strings.Replace(as("right", database), "sslmode=disable", "sslmode=require", 1), postgres.ErrTLS},
		} {
			err := failToOpen(t, test.url)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want %v", test.what, err, test.want)
			}
			if strings.Contains(err.Error(), "right") || strings.Contains(err.Error(), "wrong") {
				t.Errorf("%s: the message contains the password: %v", test.what, err)
			}
		}

		// A role that may not create tables works once they are there.
		open(t, server.URL(database))
		server.Exec(t, database, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "+role)
		s := take(t, open(t, as("right", database)))
		if _, err := s.Commit(t.Context(), numbered(1, 10)); err != nil {
			t.Errorf("commit of a role without the right to create tables: %v", err)
		}

		server.Exec(t, database, "ALTER ROLE "+role+" IN DATABASE "+database+" SET default_transaction_read_only = on")
		if err := failToOpen(t, as("right", database)); !errors.Is(err, postgres.ErrReadOnly) {
			t.Errorf("read-only: got %v, want ErrReadOnly", err)
		}
		server.Exec(t, database, "INSERT INTO rollcall_schema (version) VALUES (99)")
		if err := failToOpen(t, server.URL(database)); !errors.Is(err, postgres.ErrNewer) {
			t.Errorf("newer tables: got %v, want ErrNewer", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := postgres.Open(ended, postgres.Config{URL: server.URL(database)}); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: got %v, want context.Canceled", err)
		}
	})
}

func TestTooOld(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	_, err := postgres.OpenFrom(t.Context(), postgres.Config{URL: server.URL(server.NewDatabase(t))}, 99_00_00)
	if !errors.Is(err, postgres.ErrTooOld) || !strings.Contains(err.Error(), "it is version 15.") {
		t.Errorf("got %v, want ErrTooOld and the version", err)
	}
}

// The variables and the password file of libpq fill in what the URL lacks.
func TestVariables(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	server.Exec(t, "postgres", "CREATE ROLE by_variable SUPERUSER LOGIN PASSWORD 'from file'")
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE by_variable") })
	database := server.NewDatabase(t)
	file := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(file, fmt.Appendf(nil, "127.0.0.1:%d:*:by_variable:from file\n", server.Port), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"PGHOST": "127.0.0.1", "PGPORT": fmt.Sprint(server.Port), "PGUSER": "by_variable",
		"PGDATABASE": database, "PGPASSFILE": file, "PGSSLMODE": "disable"} {
		t.Setenv(name, value)
	}
	for _, url := range []string{"", "postgres://", "postgresql:///" + database, "host=127.0.0.1"} {
		db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		if err != nil {
			t.Errorf("URL %q: %v", url, err)
			continue
		}
		db.Close()
	}
}

// Processes that start at the same moment create the tables together.
func TestOpenTogether(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *pgserver.Server, database string) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(database)})
				if err != nil {
					t.Error(err)
					return
				}
				db.Close()
			})
		}
		wg.Wait()
	})
}

// Of several hosts, the primary is used. A standby alone is refused, and the primary
// warns of it as long as commits do not wait for it.
func TestStandby(t *testing.T) {
	primary := pgserver.Start(t, pgserver.V15, pgserver.Options{})
	standby := pgserver.Start(t, pgserver.V15, pgserver.Options{From: primary})
	db := open(t, primary.URL("postgres"))
	warnings := func(want ...postgres.Warning) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			got, err := db.Warnings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got warnings %q, want %q", got, want)
			}
		}
	}
	warnings(postgres.Asynchronous)
	if err := failToOpen(t, standby.URL("postgres")); !errors.Is(err, postgres.ErrReadOnly) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("standby: got %v, want ErrReadOnly", err)
	}
	both := strings.Replace(primary.URL("postgres"), "@127.0.0.1:", fmt.Sprintf("@127.0.0.1:%d,127.0.0.1:", standby.Port), 1)
	s := take(t, open(t, both))
	if _, err := s.Commit(t.Context(), entry("a")); err != nil {
		t.Errorf("commit with both hosts: %v", err)
	}
	primary.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	warnings()
	if _, err := s.Commit(t.Context(), entry("b")); err != nil {
		t.Errorf("commit with a synchronous standby: %v", err)
	}
}

// A database whose default acknowledges commits before they are on disk makes no
// difference.
func TestCommitIsDurable(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"synchronous_commit = off", "wal_writer_delay = 10s"}})
	db := open(t, server.URL("postgres"))
	s := take(t, db)
	for n := range 20 {
		if _, err := s.Commit(t.Context(), numbered(n, 10)); err != nil {
			t.Fatal(err)
		}
	}
	server.Kill()
	s.SetLimits(time.Second, 100*time.Millisecond)
	if _, err := s.Commit(t.Context(), numbered(20, 10)); !errors.Is(err, collector.ErrLost) {
		t.Errorf("commit without a server: got %v, want ErrLost", err)
	}
	if err := server.Run(); err != nil {
		t.Fatal(err)
	}
	again := open(t, server.URL("postgres"))
	for n := range 20 {
		if parts := present(t, again, n); parts != [3]bool{true, true, true} {
			t.Errorf("commit %d was acknowledged, and after a crash the parts are there: %v", n, parts)
		}
	}
}
