package postgres_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/syncbuffer"
)

func entry(text string) *collector.Batch { return &collector.Batch{Journal: []byte(text)} }

func TestFence(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *pgserver.Server, database string) {
		ctx := t.Context()
		a, b := open(t, server.URL(database)), open(t, server.URL(database))
		if l, err := a.Leader(ctx); err != nil || l != (postgres.Leader{}) {
			t.Errorf("nobody ever led: got %+v and %v", l, err)
		}
		first, err := a.Take(ctx, "one:1", lease)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		_, err = b.Take(ctx, "two:2", lease)
		if held, ok := errors.AsType[*postgres.HeldError](err); !ok || held.Address != "one:1" || held.Remaining <= 0 || held.Remaining > lease {
			t.Errorf("take from another: got %v, want that one:1 leads", err)
		}
		if _, err := first.Commit(ctx, entry("a")); err != nil {
			t.Fatal(err)
		}
		if err := first.Renew(ctx); err != nil {
			t.Errorf("renew: %v", err)
		}
		if err := first.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := first.Commit(ctx, entry("late")); !errors.Is(err, collector.ErrLost) {
			t.Errorf("commit after release: got %v, want ErrLost", err)
		}
		if l, err := a.Leader(ctx); err != nil || l.Address != "" || l.Remaining > 0 {
			t.Errorf("after release: got %+v and %v", l, err)
		}

		second, err := b.Take(ctx, "two:2", time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		// The lease ends by the database's clock, and another process takes over.
		var third *postgres.Store
		for third == nil {
			if third, err = a.Take(ctx, "one:1", lease); err != nil {
				if _, ok := errors.AsType[*postgres.HeldError](err); !ok {
					t.Fatal(err)
				}
			}
		}
		defer third.Close()
		if err := second.Renew(ctx); !errors.Is(err, collector.ErrLost) {
			t.Errorf("renew of the old leader: got %v, want ErrLost", err)
		}
		for range 2 {
			if _, err := second.Commit(ctx, entry("old")); !errors.Is(err, collector.ErrLost) {
				t.Errorf("commit of the old leader: got %v, want ErrLost", err)
			}
		}
		if _, err := third.Commit(ctx, entry("b")); err != nil {
			t.Fatal(err)
		}
		if err := second.Close(); err != nil {
			t.Errorf("close of the old leader: %v", err)
		}
		if l, err := b.Leader(ctx); err != nil || l.Address != "one:1" || l.Epoch < 3 || l.Remaining <= 0 {
			t.Errorf("got %+v and %v, want one:1", l, err)
		}
		var entries []string
		for e, err := range b.Journal(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, string(e.Data))
		}
		if len(entries) != 2 || entries[0] != "a" || entries[1] != "b" {
			t.Errorf("got %q, want a and b alone", entries)
		}
	})
}

// A leader that gives up no longer resolves a commit in doubt. Otherwise it
// would hold the lease when the database is back.
func TestReleaseEndsDoubt(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	proxy := pgserver.NewProxy(t, server.Port)
	var log syncbuffer.Buffer
	db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URLAt(proxy.Port, database),
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.Take(t.Context(), "test", lease)
	if err != nil {
		t.Fatal(err)
	}
	s.SetLimits(time.Hour, time.Hour)
	direct := open(t, server.URL(database))
	before, err := direct.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proxy.SetDown(true)
	result := make(chan error, 1)
	go func() {
		_, err := s.Commit(t.Context(), entry("in doubt"))
		result <- err
	}()
	for !strings.Contains(log.String(), "in doubt") {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err == nil {
		t.Error("close: got nil while the database is away, want an error")
	}
	select {
	case err := <-result:
		if !errors.Is(err, collector.ErrLost) {
			t.Errorf("commit: got %v, want ErrLost", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the commit does not end")
	}
	after, err := direct.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if after.Epoch != before.Epoch || after.Remaining >= before.Remaining {
		t.Errorf("got %+v, want the lease as before: %+v", after, before)
	}
}
