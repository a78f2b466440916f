package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// shared returns how many IDs are probably shared, and how many are refused.
func (r *rig) shared() (shared uint64, refused int) {
	r.t.Helper()
	q, err := r.e.Quality(r.t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
	if err != nil {
		r.t.Fatal(err)
	}
	return *q.Shared, q.RefusedIDs
}

// S16 in docs/failures.md: an ID that reports from many addresses in a day is
// shown as shared, and one that moves is not, however many others repeat.
func TestSharedID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		from := func(n, prefix int) {
			t.Helper()
			h := r.heartbeat(n, "1.0")
			h.Prefix = uint64(prefix)
			r.send(h)
		}
		for n := range 5000 { // each from two addresses, more than are watched
			from(n, 1+n)
			from(n, 100_000+n)
		}
		for i := range 40 { // an installation that moves each day
			from(7000, 1+i)
			r.nextDay()
		}
		for range 50 { // a host that restarts, at two addresses
			from(7001, 1)
			from(7001, 2)
		}
		for n := range 120 {
			from(7002, n%100+1)
			from(7003+n, n+1) // among others
			from(7003+n, n+200)
		}
		if shared, _ := r.shared(); shared != 1 {
			t.Errorf("got %d shared IDs, want 1", shared)
		}
		r.crash()
		if shared, _ := r.shared(); shared != 1 {
			t.Errorf("after a crash: got %d shared IDs, want 1", shared)
		}
		if _, err := r.e.Forget(t.Context(), id(7002)); err != nil {
			t.Fatal(err)
		}
		r.crash()
		if shared, _ := r.shared(); shared != 0 {
			t.Errorf("after it was deleted: got %d shared IDs, want none", shared)
		}
	})
}

// If what is held about a refused ID cannot be deleted at first, it can be later.
func TestRefuseAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 3, "1.0")
		r.store.FailAfter(1, collector.ErrUnavailable) // the ID is refused by then
		if err := r.e.RefuseID(t.Context(), r.app.Num, id(1)); err == nil {
			t.Fatal("got no error")
		}
		r.store.Fail(nil)
		if err := r.e.RefuseID(t.Context(), r.app.Num, id(1)); err != nil {
			t.Fatal(err)
		}
		if held, err := r.e.Describe(t.Context(), id(1)); err != nil || len(held) != 0 {
			t.Errorf("got %+v, %v, want nothing", held, err)
		}
	})
}

// A refused ID is no installation any more, until it is allowed again.
func TestRefusedID(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.sends(0, 3, "1.0")
		r.nextDay()
		r.sends(0, 3, "1.0")
		for range 2 {
			if err := r.e.RefuseID(t.Context(), r.app.Num, id(1)); err != nil {
				t.Fatal(err)
			}
		}
		check := func() {
			t.Helper()
			if _, err := r.e.Heartbeat(t.Context(), r.heartbeat(1, "1.0")); !errors.Is(err, collector.ErrRefusedID) {
				t.Errorf("got %v, want ErrRefusedID", err)
			}
			if _, err := r.e.Health(t.Context(), r.fault(1)); !errors.Is(err, collector.ErrRefusedID) {
				t.Errorf("got %v, want ErrRefusedID", err)
			}
			r.wants("active", r.point(today()).Active.Day, 2)
			if held, err := r.e.Describe(t.Context(), id(1)); err != nil || len(held) != 0 {
				t.Errorf("got %+v, %v, want nothing", held, err)
			}
			refused, err := r.e.RefusedIDs(r.app.Num)
			if err != nil || len(refused) != 1 || refused[0].ID != id(1)[:8] || refused[0].Since != today() {
				t.Errorf("got %+v, %v", refused, err)
			}
			if _, n := r.shared(); n != 1 {
				t.Errorf("got %d refused IDs, want 1", n)
			}
		}
		check()
		r.crash()
		check()
		other := r.addApp(collector.App{Key: "other"})
		h := r.heartbeat(1, "1.0")
		h.App, h.Heartbeat.App = other.Num, other.Key
		r.send(h) // another app counts it
		if err := r.e.AllowID(t.Context(), r.app.Num, id(1)); err != nil {
			t.Fatal(err)
		}
		if err := r.e.AllowID(t.Context(), r.app.Num, id(1)); !errors.Is(err, collector.ErrNotRefused) {
			t.Errorf("got %v, want ErrNotRefused", err)
		}
		r.crash()
		if got := r.send(r.heartbeat(1, "1.0")); !got.New {
			t.Errorf("got %+v, want a new one", got)
		}
		for n := range collector.MaxRefusedIDs {
			if err := r.e.RefuseID(t.Context(), r.app.Num, id(100+n)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.e.RefuseID(t.Context(), r.app.Num, id(1)); !errors.Is(err, collector.ErrTooManyRefusedIDs) {
			t.Errorf("got %v, want ErrTooManyRefusedIDs", err)
		}
		if strings.Contains(r.figures(3), id(1)) {
			t.Error("the ID is shown")
		}
	})
}
