package simulate_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
)

// TestCrowd holds the counters of a crowd to what the real collector says.
func TestCrowd(t *testing.T) {
	t.Parallel()
	c, app := open(t, false)
	today, _, err := c.Today(app)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Load(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	crowd := &simulate.Crowd{Seed: 1, Installations: 3000, Days: 100, Last: today}
	truth, err := crowd.Load(t.Context(), l, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	diffs, err := truth.Compare(t.Context(), c, app)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diffs.Wrong {
		t.Error(d)
	}
	if truth.Active[0] == 0 || truth.Lost == 0 || len(truth.Versions) < 3 || diffs.Compared < 100 {
		t.Errorf("got %+v and %d figures, want a crowd of all kinds", truth.Day, diffs.Compared)
	}
}

func TestBadCrowd(t *testing.T) {
	t.Parallel()
	for _, c := range []simulate.Crowd{
		{Days: 1}, {Installations: simulate.MaxCrowd + 1, Days: 1}, {Installations: 1}, {Installations: 1, Days: simulate.MaxDays + 1},
	} {
		c.Last = collector.Day(20000)
		if _, err := c.Load(t.Context(), nil, nil); err == nil {
			t.Errorf("%+v: got no error", c)
		}
	}
}
