package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Whoever runs an import may leave at any commit, also the one that switches. The
// import has happened or it has not, reports are counted, and another one can
// begin.
func TestImportIsInterrupted(t *testing.T) {
	t.Parallel()
	whole := false
	for at := 1; !whole; at++ {
		inBubble(t, func(t *testing.T, r *rig) {
			for range 3 {
				r.sends(0, 3, "1.0")
				r.nextDay()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			commits := 0
			r.store.OnCommit(func(*collector.Batch) {
				if commits++; commits == at {
					cancel()
					time.Sleep(time.Second)
				}
			})
			err := r.importDay(ctx, "x")
			r.store.OnCommit(nil)
			whole = commits < at
			if whole && err != nil {
				t.Fatal(err)
			}
			again := r.importDay(t.Context(), "x")
			if imported := errors.Is(again, collector.ErrImported); err == nil && !imported || again != nil && !imported {
				t.Errorf("left at commit %d with %v: the next import says %v", at, err, again)
			}
			r.sends(0, 4, "1.0")
			if p := r.point(today()); *p.Active.Day != 4 || *p.Active.Days28 != 5 {
				t.Errorf("left at commit %d: got %d and %d active, want 4 and 5", at, *p.Active.Day, *p.Active.Days28)
			}
		})
	}
}

// importDay imports a past of one report.
func (r *rig) importDay(ctx context.Context, name string) (err error) {
	l, err := r.e.Import(ctx, r.app.Num, name)
	if err != nil {
		return err
	}
	if err = l.Day(ctx, today()-8); err == nil {
		err = l.Heartbeat(ctx, r.heartbeat(9, "1.0"))
	}
	if err != nil {
		l.Abort(ctx)
		return err
	}
	return l.Close(ctx)
}

// A store that cannot be read while an import begins ends it, and the next one
// works.
func TestImportCannotRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for range 3 {
			r.sends(0, 3, "1.0")
			r.nextDay()
		}
		broken := errors.New("disk on fire")
		r.store.OnCommit(func(b *collector.Batch) {
			for _, record := range b.Records {
				if record.Kind == "generation" {
					r.store.FailReads(broken)
				}
			}
		})
		done := make(chan error, 1)
		go func() { done <- r.importDay(t.Context(), "x") }()
		select {
		case err := <-done:
			if !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		case <-time.After(time.Hour):
			t.Fatal("the import hangs")
		}
		r.store.OnCommit(nil)
		r.store.FailReads(nil)
		must(t, r.importDay(t.Context(), "x"))
		r.sends(0, 3, "1.0")
	})
}
