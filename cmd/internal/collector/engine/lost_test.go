package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A commit whose outcome is unknown acknowledges nothing and ends the engine. The
// next one counts what the store has, and the report once when it is sent again.
func TestStoreIsLost(t *testing.T) {
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written=%v", written), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				if err := r.try(1, "1.0"); err != nil {
					t.Fatal(err)
				}
				r.store.Lose(written)
				if err := r.try(2, "1.0"); !errors.Is(err, collector.ErrUnavailable) {
					t.Errorf("heartbeat while the store is lost: got %v, want ErrUnavailable", err)
				}
				<-r.e.Lost()
				for range 3 {
					if err := r.try(3, "1.0"); err == nil {
						t.Error("heartbeat after the store was lost: got nil")
					}
				}
				if err := r.e.Ready(t.Context()); err == nil {
					t.Error("ready after the store was lost: got nil")
				}
				began := time.Now()
				store := r.store.Clone()
				if err := r.e.Close(t.Context()); err != nil {
					t.Errorf("close: %v", err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("closing took %v", took)
				}
				r.store = store
				r.open()
				if known, err := r.e.Known(t.Context(), r.app.Num, id(2)); err != nil || known != written {
					t.Errorf("known after opening again: got %v and %v, want %v", known, err, written)
				}
				for n := 1; n <= 3; n++ {
					if err := r.try(n, "1.0"); err != nil {
						t.Fatal(err)
					}
				}
				r.wants("active", r.point(today()).Active.Day, 3)
			})
		})
	}
}
