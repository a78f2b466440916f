package engine

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// A clock that goes back changes nothing: a day that has begun is counted until
// it is over.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := Open(t.Context(), storetest.NewMemory(), Options{Secret: bytes.Repeat([]byte("s"), 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close(t.Context())
		app, err := e.AddApp(t.Context(), collector.App{Key: "app"})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for _, tt := range []struct {
			ahead time.Duration
			days  collector.Day
		}{{0, 0}, {-48 * time.Hour, 0}, {24 * time.Hour, 1}, {0, 1}, {23 * time.Hour, 1}, {72 * time.Hour, 3}} {
			// Only the writer may change what it counts.
			err := e.exec(t.Context(), func(ctx context.Context) error { return e.rollover(ctx, now.Add(tt.ahead)) })
			if err != nil {
				t.Fatal(err)
			}
			today, _, err := e.Today(app.Num)
			if want := collector.DayOf(now) + tt.days; err != nil || today != want {
				t.Errorf("%s ahead: got %s, %v, want %s", tt.ahead, today, err, want)
			}
		}
	})
}
