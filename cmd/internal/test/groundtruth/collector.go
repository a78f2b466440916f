package groundtruth

import (
	"bytes"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

// NewCollector returns a collector with a store in memory, which is
// closed at the end of the test, and the number of its only app.
func NewCollector(t testing.TB, app collector.App) (*engine.Engine, collector.AppNum) {
	t.Helper()
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	if app, err = c.AddApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	return c, app.Num
}

// Load loads a fleet, with the help of a function, into an app that has
// counted nothing yet.
func Load(t testing.TB, c *engine.Engine, app collector.AppNum, load func(*engine.Loader) error) {
	t.Helper()
	l, err := c.Load(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if err := load(l); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
