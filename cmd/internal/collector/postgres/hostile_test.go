package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// refusesFor commits until the database refuses, and checks that the error says
// why and that nothing is written. It returns how many commits were written.
func refusesFor(t *testing.T, s *postgres.Store, db *postgres.DB, want error) (written int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; written++ {
		_, err := s.Commit(t.Context(), numbered(written, 10))
		if err == nil {
			if time.Now().After(deadline) {
				t.Fatal("nothing refuses the commits")
			}
			continue
		}
		if !errors.Is(err, collector.ErrUnavailable) || want != nil && !errors.Is(err, want) {
			t.Fatalf("commit %d: got %v, want ErrUnavailable and %v", written, err, want)
		}
		if parts := present(t, db, written); parts != [3]bool{} {
			t.Errorf("commit %d was refused: the parts are there: %v", written, parts)
		}
		return written
	}
}

// goesOn checks that a commit succeeds again, once the database allows it, and that
// everything acknowledged is there.
func goesOn(t *testing.T, s *postgres.Store, db *postgres.DB, next int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.Commit(t.Context(), numbered(next, 10))
		if err == nil {
			break
		}
		if !errors.Is(err, collector.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("commit afterwards: %v", err)
		}
	}
	for n := range next + 1 {
		if parts := present(t, db, n); parts != [3]bool{true, true, true} {
			t.Errorf("commit %d was acknowledged: the parts are there: %v", n, parts)
		}
	}
	err := db.Check(t.Context())
	for deadline := time.Now().Add(time.Minute); errors.Is(err, collector.ErrUnavailable) && time.Now().Before(deadline); {
		err = db.Check(t.Context()) // the server may have closed the connection while a slow machine paused
	}
	if err != nil {
		t.Error(err)
	}
}

// The database becomes read-only under load, and writable again.
func TestBecomesReadOnly(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off"}})
	db := open(t, server.URL("postgres"))
	s := take(t, db)
	server.Exec(t, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	n := refusesFor(t, s, db, postgres.ErrReadOnly)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // until the setting has reached that connection, too
		err := s.Renew(t.Context())
		if errors.Is(err, collector.ErrUnavailable) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("renew: got %v, want ErrUnavailable", err)
		}
	}
	server.Exec(t, "postgres", "SET default_transaction_read_only = off", "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
	goesOn(t, s, db, n)
}

// The server's disk is full: a trigger raises the error that it raises then.
func TestServerDiskIsFull(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	db := open(t, server.URL(database))
	s := take(t, db)
	server.Exec(t, database, `CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`,
		"CREATE TRIGGER fill BEFORE INSERT ON rollcall_record EXECUTE FUNCTION fill()") // after rows of other tables are written
	n := refusesFor(t, s, db, nil)
	server.Exec(t, database, "DROP TRIGGER fill ON rollcall_record")
	goesOn(t, s, db, n)
}

// All connections of the server are taken: the store goes on with its own, and waits
// for another one when it loses that.
func TestNoConnectionIsLeft(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off", "max_connections = 12"}})
	server.Exec(t, "postgres", "CREATE ROLE ordinary LOGIN PASSWORD 'x'", "GRANT ALL ON SCHEMA public TO ordinary")
	address := server.URLFor("ordinary", "x", server.Port, "postgres")
	admin, err := pgx.Connect(t.Context(), server.URL("postgres")+"&application_name=hog")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	db := open(t, address)
	s, err := db.Take(t.Context(), "test", lease)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetLimits(time.Minute, time.Minute)
	// takeAll takes every connection that programs of the given names do not hold.
	// The server reserves three for superusers.
	var taken []*pgx.Conn
	takeAll := func(names ...string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			conn, err := pgx.Connect(t.Context(), address+"&application_name=hog")
			if err == nil {
				taken = append(taken, conn)
				continue
			}
			// Others may be closing and still hold a slot.
			var n int
			if err := admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = ANY($1)",
				append(names, "hog")).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n == 12-3 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d connections, and no more: %v", n, err)
			}
		}
	}
	takeAll("rollcall")
	if err := failToOpen(t, address); !errors.Is(err, collector.ErrUnavailable) || !strings.Contains(err.Error(), "53300") {
		t.Errorf("open: got %v, want ErrUnavailable and the code", err)
	}
	if _, err := s.Commit(t.Context(), numbered(0, 10)); err != nil {
		t.Errorf("commit on its own connection: %v", err)
	}
	// All our connections are ended, and others take their slots. The commit
	// learns its outcome as soon as a slot is free.
	if _, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rollcall'"); err != nil {
		t.Fatal(err)
	}
	takeAll()
	result := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), numbered(1, 10))
		result <- err
	}()
	select {
	case err := <-result:
		t.Errorf("commit without a connection: got %v at once", err)
	case <-time.After(300 * time.Millisecond):
	}
	for _, conn := range taken {
		conn.Close(t.Context())
	}
	if err := <-result; err != nil {
		t.Errorf("commit once there is a connection: %v", err)
	}
	goesOn(t, s, db, 2)
}

// The role has timeouts that suit other programs.
func TestTimeoutsOfTheRole(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	const role = "impatient"
	server.Exec(t, "postgres", "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD 'x'", "ALTER ROLE "+role+" SET idle_session_timeout = '2s'",
		"ALTER ROLE "+role+" SET idle_in_transaction_session_timeout = '1s'", "ALTER ROLE "+role+" SET lock_timeout = '50ms'")
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE "+role) })
	database := server.NewDatabase(t)
	db := open(t, server.URLFor(role, "x", server.Port, database))
	s := take(t, db)
	for n := range 2 {
		if _, err := s.Commit(t.Context(), numbered(n, 10)); err != nil {
			t.Fatalf("commit %d: %v", n, err)
		}
		if err := s.Renew(t.Context()); err != nil {
			t.Errorf("renew %d: %v", n, err)
		}
		time.Sleep(2500 * time.Millisecond) // the server ends all sessions
	}
	if warnings, err := db.Warnings(t.Context()); err != nil || slices.Contains(warnings, postgres.Timeouts) {
		t.Errorf("got %q and %v, want no warning of timeouts that do no harm", warnings, err)
	}

	// Somebody locks a table for longer than the role waits.
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, server.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, "BEGIN; LOCK TABLE rollcall_record IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(ctx, numbered(2, 10)); !errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("commit while a table is locked: got %v, want ErrUnavailable", err)
	}
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	goesOn(t, s, db, 2)

	// A statement may take no longer than a millisecond.
	server.Exec(t, "postgres", "ALTER ROLE "+role+" SET statement_timeout = '1ms'")
	slow, err := postgres.Open(ctx, postgres.Config{URL: server.URLFor(role, "x", server.Port, database)})
	if err != nil {
		if !errors.Is(err, collector.ErrUnavailable) || !strings.Contains(err.Error(), "statement timeout") {
			t.Errorf("open: got %v, want ErrUnavailable that says why", err)
		}
	} else {
		slow.Close()
	}
	server.Exec(t, "postgres", "ALTER ROLE "+role+" SET statement_timeout = '10min'")
	if warnings, err := open(t, server.URLFor(role, "x", server.Port, database)).Warnings(ctx); err != nil || !slices.Contains(warnings, postgres.Timeouts) {
		t.Errorf("got %q and %v, want Timeouts", warnings, err)
	}
}

// A stranger's tables with our names are refused, and stay as they are.
func TestTablesOfAStranger(t *testing.T) {
	for what, sql := range map[string]string{
		"a schema table":      "CREATE TABLE rollcall_schema (id text)",
		"a view":              "CREATE VIEW rollcall_schema AS SELECT 'x' AS name",
		"another fence":       "CREATE TABLE rollcall_fence (id integer PRIMARY KEY, owner text)",
		"another record":      "CREATE TABLE rollcall_record (id integer PRIMARY KEY, data text)",
		"identities of words": "CREATE TABLE rollcall_identity (name text)",
	} {
		t.Run(what, func(t *testing.T) {
			server := pgserver.Shared(t, pgserver.V15)
			database := server.NewDatabase(t)
			server.Exec(t, database, sql)
			for range 2 {
				if err := failToOpen(t, server.URL(database)); !errors.Is(err, postgres.ErrForeign) {
					t.Errorf("got %v, want ErrForeign", err)
				}
			}
		})
	}
}

// The search path decides where the tables are. Without a schema in it nothing
// is created, and a stranger's tables and functions never replace the server's.
func TestSearchPath(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	const role = "elsewhere"
	server.Exec(t, "postgres", "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE "+role) })
	database := server.NewDatabase(t)
	address := server.URLFor(role, "x", server.Port, database)
	for _, path := range []string{"''", "nowhere", "pg_catalog", "public"} { // a plain role may create in none of them
		server.Exec(t, database, "ALTER ROLE "+role+" SET search_path = "+path)
		if err := failToOpen(t, address); !errors.Is(err, postgres.ErrPrivilege) {
			t.Errorf("search path %s: got %v, want ErrPrivilege", path, err)
		}
	}
	server.Exec(t, database, "CREATE SCHEMA AUTHORIZATION "+role, "ALTER ROLE "+role+` SET search_path = "$user", public`,
		"CREATE TABLE public.rollcall_schema (version integer PRIMARY KEY)", "INSERT INTO public.rollcall_schema VALUES (99)",
		"CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT 'infinity'::timestamptz $$")
	// The tables in public come later in the path, but the name is found there.
	if err := failToOpen(t, address); !errors.Is(err, postgres.ErrNewer) && !errors.Is(err, postgres.ErrPrivilege) {
		t.Errorf("tables of a newer version further down the path: got %v, want ErrNewer or ErrPrivilege", err)
	}
	server.Exec(t, database, "DROP TABLE public.rollcall_schema")
	s := take(t, open(t, address))
	if _, err := s.Commit(t.Context(), numbered(1, 10)); err != nil {
		t.Error(err)
	}
	server.Exec(t, database, "SELECT 1 FROM "+role+".rollcall_fence")
}

// The encoding of the database makes no difference: names are bytes.
func TestEncodings(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	for _, encoding := range []string{"SQL_ASCII", "LATIN1", "EUC_JP"} {
		t.Run(encoding, func(t *testing.T) {
			database := "test_" + strings.ToLower(encoding)
			server.Exec(t, "postgres", "CREATE DATABASE "+database+" ENCODING '"+encoding+"' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
			t.Cleanup(func() { server.Exec(t, "postgres", "DROP DATABASE "+database+" WITH (FORCE)") })
			db := open(t, server.URL(database))
			s, err := db.Take(t.Context(), "höst:1", lease)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			key := collector.RecordKey{Kind: "n", Name: "naïve 日本語 \xff\x00"}
			data := []byte("döner 日本語 \xff\x00")
			if _, err := s.Commit(t.Context(), &collector.Batch{Journal: data, Records: []collector.Record{{RecordKey: key, Data: data}}}); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := db.Record(t.Context(), key); err != nil || !ok || string(got) != string(data) {
				t.Errorf("got %q, %v and %v, want %q", got, ok, err, data)
			}
			if leader, err := db.Leader(t.Context()); err != nil || leader.Address != "höst:1" {
				t.Errorf("got %+v and %v", leader, err)
			}
			if err := db.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// During an update, a newer version changes the tables while an older one runs.
// The older one no longer takes the lead.
func TestNewerTables(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	db := open(t, server.URL(database))
	server.Exec(t, database, "INSERT INTO rollcall_schema (version) VALUES (2)")
	if s, err := db.Take(t.Context(), "old", lease); !errors.Is(err, postgres.ErrNewer) {
		if err == nil {
			s.Close()
		}
		t.Errorf("take: got %v, want ErrNewer", err)
	}
	if leader, err := db.Leader(t.Context()); err != nil || leader.Remaining > 0 {
		t.Errorf("got %+v and %v, want no leader", leader, err)
	}
}

// A pooler ends under load and starts again: what a commit says is what the database
// holds.
func TestPoolerRestarts(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	pooler := pgserver.StartPooler(t, server)
	direct := open(t, server.URL(database))
	s := take(t, open(t, server.URLAt(pooler.Port, database)))
	s.SetLimits(time.Minute, time.Minute)
	stop := make(chan struct{})
	written := make(chan int, 1)
	progress := make(chan struct{}, 1000)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Commit(context.Background(), numbered(n, 1000)); errors.Is(err, collector.ErrUnavailable) {
				continue // the next attempt has the same number
			} else if err != nil {
				t.Errorf("commit %d: %v", n, err)
				return
			}
			n++
			select {
			case progress <- struct{}{}:
			default:
			}
		}
	}()
	for range 3 {
		for range 10 {
			<-progress
		}
		pooler.Restart(t)
	}
	for len(progress) > 0 {
		<-progress
	}
	<-progress
	close(stop)
	n := <-written
	entries := map[string]bool{}
	for e, err := range direct.Journal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(string(e.Data), " ")
		if entries[number] {
			t.Errorf("entry %s is there twice", number)
		}
		entries[number] = true
	}
	for i := range n {
		if !entries[fmt.Sprint(i)] {
			t.Errorf("commit %d was acknowledged and is not there", i)
		}
	}
}
