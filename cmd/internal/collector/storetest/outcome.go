package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Moment is when a commit is disturbed.
type Moment string

// The moments. A store knows its own steps; these are what a caller can tell
// apart.
const (
	Before Moment = "before" // nothing of the commit has reached the data
	During Moment = "during" // some of it has
	After  Moment = "after"  // all of it has, and the caller does not know
)

// A Breakable is some data whose store can be disturbed.
type Breakable interface {
	// Open opens the data. The caller closes the store.
	Open(t *testing.T) (collector.Store, error)
	// Break disturbs the next commits of a store at a moment, until heal is
	// called. It returns nil if that moment does not exist for this kind of store.
	Break(t *testing.T, s collector.Store, at Moment) (heal func())
}

// Outcomes holds a kind of store to what it says of commits that fail: an error
// means that nothing was written, unless it is [collector.ErrLost]. Then it may
// be written, the store commits nothing more, and the data can be opened again.
func Outcomes(t *testing.T, create func(t *testing.T) Breakable) {
	for _, at := range []Moment{Before, During, After} {
		t.Run(string(at), func(t *testing.T) { testOutcome(t, create(t), at) })
	}
	t.Run("Exclusion", func(t *testing.T) { Exclusion(t, create(t)) })
}

func mustOpen(t *testing.T, b Breakable) collector.Store {
	t.Helper()
	s, err := b.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// texts returns the entries of the journal.
func texts(t *testing.T, s collector.Store) (list []string) {
	t.Helper()
	for _, e := range gather(t, s.Journal(t.Context())) {
		list = append(list, string(e.Data))
	}
	return list
}

func testOutcome(t *testing.T, b Breakable, at Moment) {
	s := mustOpen(t, b)
	commit(t, s, &collector.Batch{Journal: []byte("first")})
	heal := b.Break(t, s, at)
	if heal == nil {
		s.Close()
		return
	}
	want := []string{"first"}
	_, err := s.Commit(t.Context(), &collector.Batch{Journal: []byte("doubtful"), Records: []collector.Record{record("k", 0, 0, "", "d")}})
	heal()
	lost := errors.Is(err, collector.ErrLost)
	if err == nil {
		t.Error("the commit was not disturbed")
	}
	_, next := s.Commit(t.Context(), &collector.Batch{Journal: []byte("next")})
	switch {
	case lost && !errors.Is(next, collector.ErrLost):
		t.Errorf("commit after ErrLost: got %v, want ErrLost", next)
	case !lost && next != nil:
		t.Errorf("commit after %v: got %v, want nil", err, next)
	case !lost:
		want = append(want, "next")
	}
	s.Close()
	again := mustOpen(t, b)
	defer again.Close()
	got := texts(t, again)
	_, written, readErr := again.Record(t.Context(), collector.RecordKey{Kind: "k"})
	if readErr != nil {
		t.Fatal(readErr)
	}
	if lost && written {
		want = append(want, "doubtful")
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || written != (len(want) > 1 && want[1] == "doubtful") {
		t.Errorf("commit said %v: the data has %q, and the record is there: %v; want %q", err, got, written, want)
	}
	commit(t, again, &collector.Batch{Journal: []byte("later")})
}

// Exclusion holds a kind of store to this: of two that have the same data open, at
// most one commits. Either the second one cannot open it, or the first one has
// lost it.
func Exclusion(t *testing.T, b Breakable) {
	first := mustOpen(t, b)
	commit(t, first, &collector.Batch{Journal: []byte("first")})
	second, err := b.Open(t)
	if err != nil {
		commit(t, first, &collector.Batch{Journal: []byte("second")})
		first.Close()
		second = mustOpen(t, b)
	} else {
		for range 2 {
			if _, err := first.Commit(t.Context(), &collector.Batch{Journal: []byte("fenced")}); !errors.Is(err, collector.ErrLost) {
				t.Errorf("commit while another has the data: got %v, want ErrLost", err)
			}
		}
		commit(t, second, &collector.Batch{Journal: []byte("second")})
		first.Close() // takes nothing from the other
	}
	commit(t, second, &collector.Batch{Journal: []byte("third")})
	second.Close()
	last := mustOpen(t, b)
	defer last.Close()
	if got := texts(t, last); fmt.Sprint(got) != "[first second third]" {
		t.Errorf("got %q, want first, second, third", got)
	}
}
