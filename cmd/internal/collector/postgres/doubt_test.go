package postgres_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// numbered is a batch with the number n in a journal entry, a record, an identity,
// and an installation, of some size.
func numbered(n, size int) *collector.Batch {
	text := fmt.Appendf(nil, "%d ", n)
	id := collector.Identity{App: 1, Num: collector.Num(n)}
	copy(id.Key[:], text)
	return &collector.Batch{
		Journal:          append(text, bytes.Repeat([]byte("x"), size)...),
		PutIdentities:    []collector.Identity{id},
		PutInstallations: []collector.Installation{{App: 1, Num: id.Num, State: text}},
		Records:          []collector.Record{{RecordKey: collector.RecordKey{Kind: "n", Name: fmt.Sprint(n)}, Data: text}},
	}
}

// present reports which parts of a batch are in the database.
func present(t *testing.T, db *postgres.DB, n int) [3]bool {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		parts, err := lookFor(t.Context(), db, n)
		switch {
		case err == nil:
			return parts
		case !errors.Is(err, collector.ErrUnavailable), time.Now().After(deadline):
			t.Fatal(err)
		}
		// Kept connections may be broken.
	}
}

func lookFor(ctx context.Context, db *postgres.DB, n int) (parts [3]bool, err error) {
	b := numbered(n, 0)
	ids, err := db.Lookup(ctx, []collector.Key{b.PutIdentities[0].Key})
	if err != nil {
		return parts, err
	}
	_, row, err := db.Installation(ctx, 1, collector.Num(n))
	if err != nil {
		return parts, err
	}
	_, record, err := db.Record(ctx, b.Records[0].RecordKey)
	return [3]bool{len(ids) == 1, row, record}, err
}

// Connections are cut at random bytes of a commit or of its answer, also while the
// store finds out what became of it. What Commit says is what the database holds:
// 60 times, or 1,000 with ROLLCALL_SOAK.
func TestCutConnections(t *testing.T) {
	rounds := 60
	if os.Getenv("ROLLCALL_SOAK") != "" {
		rounds = 1000
	}
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	direct := open(t, server.URL(database))
	proxy := pgserver.NewProxy(t, server.Port)
	db := open(t, server.URLAt(proxy.Port, database))
	var s *postgres.Store
	lead := func() {
		for s == nil {
			found, err := db.Take(t.Context(), "test", time.Millisecond)
			if _, held := errors.AsType[*postgres.HeldError](err); held || errors.Is(err, collector.ErrUnavailable) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			found.SetLimits(20*time.Second, 3*time.Second)
			s = found
		}
	}
	lead()
	want := map[string]bool{} // entries of the journal, by number
	var happened, inDoubt, lost, failed int
	for n := range rounds {
		batch := numbered(n, rand.IntN(20_000))
		// The message has two digits for each byte of the journal, and the answer
		// some hundred bytes. A larger number cuts what follows.
		dir, after := pgserver.ToServer, rand.IntN(2*len(batch.Journal)+1500)
		if rand.IntN(2) == 0 {
			dir, after = pgserver.ToClient, rand.IntN(250)
		}
		proxy.Cut(dir, after)
		again := rand.IntN(4) == 0 // cut also what finds out
		stop := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for again {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					if proxy.Cutting() {
						proxy.Cut(pgserver.ToClient, rand.IntN(700))
						again = false
						happened++
					}
				}
			}
		}()
		_, err := s.Commit(t.Context(), batch)
		close(stop)
		<-ended
		if proxy.Disarm() {
			happened++
		}
		parts := present(t, direct, n)
		all, none := parts == [3]bool{true, true, true}, parts == [3]bool{}
		switch {
		case err == nil && !all:
			t.Fatalf("commit %d said that it was written: the parts are there: %v", n, parts)
		case err == nil:
			inDoubt++
		case errors.Is(err, collector.ErrLost):
			if lost++; !all && !none {
				t.Fatalf("commit %d was lost: the parts are there: %v", n, parts)
			}
			s.Close()
			s = nil
			lead()
		case !none:
			t.Fatalf("commit %d said %v: the parts are there: %v", n, err, parts)
		default:
			failed++
		}
		if all {
			want[fmt.Sprint(n)] = true
		}
	}
	got := 0
	for e, err := range direct.Journal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := bytes.Cut(e.Data, []byte(" "))
		if got++; !want[string(number)] {
			t.Errorf("the journal has entry %s, of a commit that was not written, or has it twice", number)
		}
		delete(want, string(number))
	}
	if len(want) > 0 {
		t.Errorf("the journal lacks %d entries", len(want))
	}
	if err := direct.Check(t.Context()); err != nil {
		t.Error(err)
	}
	t.Logf("%d commits, %d connections cut: %d written, %d not written, %d lost; %d entries", rounds, happened, inDoubt, failed, lost, got)
	if happened < rounds/3 {
		t.Errorf("only %d of %d connections were cut", happened, rounds)
	}
	s.Close()
}

// A network is a database behind a proxy.
type network struct {
	server   *pgserver.Server
	proxy    *pgserver.Proxy
	database string
	lease    time.Duration
}

func (n *network) Open(t *testing.T) (collector.Store, error) {
	db := open(t, n.server.URLAt(n.proxy.Port, n.database))
	for {
		s, err := db.Take(t.Context(), "test", n.lease)
		if err != nil {
			if _, held := errors.AsType[*postgres.HeldError](err); held && n.lease < time.Second {
				continue
			}
			return nil, err
		}
		s.SetLimits(20*time.Second, 100*time.Millisecond)
		return s, nil
	}
}

func (n *network) Break(_ *testing.T, _ collector.Store, at storetest.Moment) func() {
	switch at {
	case storetest.Before:
		n.proxy.CutForGood(pgserver.ToServer, 0)
	case storetest.During:
		n.proxy.CutForGood(pgserver.ToServer, 200)
	case storetest.After:
		n.proxy.CutForGood(pgserver.ToClient, 0)
	}
	return func() { n.proxy.SetDown(false) }
}

func TestOutcomes(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *pgserver.Server, _ string) {
		// Another process takes over at once.
		storetest.Outcomes(t, func(t *testing.T) storetest.Breakable {
			return &network{server, pgserver.NewProxy(t, server.Port), server.NewDatabase(t), time.Millisecond}
		})
		t.Run("Held", func(t *testing.T) {
			storetest.Exclusion(t, &network{server, pgserver.NewProxy(t, server.Port), server.NewDatabase(t), lease})
		})
	})
}

// A message that a paused leader sent arrives when another process leads, and
// changes nothing. What was held up on the way holds up nobody.
func TestPausedLeader(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *pgserver.Server, database string) {
		proxy := pgserver.NewProxy(t, server.Port)
		old, err := open(t, server.URLAt(proxy.Port, database)).Take(t.Context(), "old", time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if _, err := old.Commit(t.Context(), entry("first")); err != nil {
			t.Fatal(err)
		}
		proxy.Pause(pgserver.ToServer, true)
		result := make(chan error, 1)
		go func() {
			_, err := old.Commit(t.Context(), numbered(7, 100_000))
			result <- err
		}()
		db := open(t, server.URL(database))
		var s *postgres.Store
		for s == nil {
			if s, err = db.Take(t.Context(), "new", lease); err != nil {
				if _, held := errors.AsType[*postgres.HeldError](err); !held {
					t.Fatal(err)
				}
			}
		}
		defer s.Close()
		if _, err := s.Commit(t.Context(), entry("second")); err != nil {
			t.Fatal(err)
		}
		proxy.Pause(pgserver.ToServer, false)
		if err := <-result; !errors.Is(err, collector.ErrLost) {
			t.Errorf("late commit: got %v, want ErrLost", err)
		}
		if parts := present(t, db, 7); parts != [3]bool{} {
			t.Errorf("late commit: the parts are there: %v", parts)
		}
		if _, err := s.Commit(t.Context(), entry("third")); err != nil {
			t.Errorf("commit of the new leader: %v", err)
		}
	})
}

// A commit that no longer waits for a standby because somebody cancelled it is not
// acknowledged before it is known to be safe.
func TestCancelledWaitForStandby(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{})
	s := take(t, open(t, server.URL("postgres")))
	server.Exec(t, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	s.SetLimits(2*time.Minute, 2*time.Minute)
	result := make(chan error, 1)
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		for n := 0; ; n++ { // until the setting has arrived and a commit waits
			if _, err := s.Commit(ctx, entry(fmt.Sprint(n))); err != nil || ctx.Err() != nil {
				result <- err
				return
			}
			select {
			case result <- nil:
			default:
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	waiting := func() (pids []int) {
		for len(pids) == 0 && ctx.Err() == nil {
			rows, _ := conn.Query(ctx, "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			pids, err = pgx.CollectRows(rows, pgx.RowTo[int])
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		return pids
	}
	first := waiting()
	select {
	case <-result: // of the commits before
	default:
	}
	for _, pid := range first {
		if _, err := conn.Exec(ctx, "SELECT pg_cancel_backend($1)", pid); err != nil {
			t.Fatal(err)
		}
	}
	// What finds out waits in its place, on another connection.
	for {
		if next := waiting(); cmp.Or(next...) != cmp.Or(first...) {
			break
		}
	}
	select {
	case err := <-result:
		t.Errorf("got %v while no standby has the commit, want no answer", err)
	default:
	}
	server.Exec(t, "postgres", "SET synchronous_commit = local", "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	if err := <-result; err != nil {
		t.Errorf("commit: got %v, want nil", err)
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-result: // of later commits
		case <-committed:
			ended = true
		}
	}
}
