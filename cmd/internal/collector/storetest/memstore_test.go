package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) collector.Store { return storetest.NewMemory() })
}

func entry(text string) *collector.Batch { return &collector.Batch{Journal: []byte(text)} }

func entries(t *testing.T, m *storetest.Memory) (all []string) {
	for e, err := range m.Journal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(e.Data))
	}
	return all
}

func TestMemoryFails(t *testing.T) {
	m := storetest.NewMemory()
	broken := errors.New("broken")
	m.Fail(broken)
	if _, err := m.Commit(t.Context(), entry("a")); err != broken {
		t.Errorf("Commit: got %v, want %v", err, broken)
	}
	m.Fail(nil)
	m.FailReads(broken)
	if _, err := m.Commit(t.Context(), entry("b")); err != nil {
		t.Errorf("Commit: got %v, want nil", err)
	}
	if _, err := m.Lookup(t.Context(), nil); err != broken {
		t.Errorf("Lookup: got %v, want %v", err, broken)
	}
	m.FailReads(nil)
	if got := entries(t, m); len(got) != 1 || got[0] != "b" {
		t.Errorf("got %q, want b alone", got)
	}
	if got := m.Commits(); got != 1 {
		t.Errorf("got %d commits, want 1", got)
	}
}

func TestMemoryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := storetest.NewMemory()
		release := m.Hang()
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		go func() {
			_, err := m.Commit(ctx, entry("given up"))
			results <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		go func() {
			_, err := m.Commit(t.Context(), entry("late"))
			results <- err
		}()
		synctest.Wait()
		if got := entries(t, m); len(got) != 0 {
			t.Errorf("hanging: got %q, want nothing", got)
		}
		release()
		release()
		if err := <-results; err != nil {
			t.Errorf("got %v, want nil", err)
		}
		if got := entries(t, m); len(got) != 1 || got[0] != "late" {
			t.Errorf("got %q, want late alone", got)
		}
	})
}

func TestMemoryClone(t *testing.T) {
	m := storetest.NewMemory()
	if _, err := m.Commit(t.Context(), entry("both")); err != nil {
		t.Fatal(err)
	}
	m.Fail(errors.New("broken"))
	c := m.Clone()
	if _, err := c.Commit(t.Context(), entry("clone")); err != nil {
		t.Errorf("Commit of a clone: got %v, want nil", err)
	}
	m.Fail(nil)
	if _, err := m.Commit(t.Context(), entry("first")); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, c); len(got) != 2 || got[1] != "clone" {
		t.Errorf("clone: got %q", got)
	}
	if got := entries(t, m); len(got) != 2 || got[1] != "first" {
		t.Errorf("first: got %q", got)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Commit(t.Context(), entry("x")); err == nil {
		t.Error("Commit after Close: got nil, want an error")
	}
}

// A memory is data that the latest store has.
type memory struct{ latest *storetest.Memory }

func (d *memory) Open(*testing.T) (collector.Store, error) {
	if d.latest == nil {
		d.latest = storetest.NewMemory()
	} else {
		before := d.latest
		d.latest = before.Clone()
		before.Lose(false)
	}
	return d.latest, nil
}

func (d *memory) Break(_ *testing.T, s collector.Store, at storetest.Moment) func() {
	m := s.(*storetest.Memory)
	switch at {
	case storetest.Before:
		m.Fail(collector.ErrUnavailable)
	case storetest.During:
		m.Lose(false)
	case storetest.After:
		m.Lose(true)
	}
	return func() { m.Fail(nil) }
}

func TestMemoryOutcomes(t *testing.T) {
	storetest.Outcomes(t, func(*testing.T) storetest.Breakable { return &memory{} })
}
