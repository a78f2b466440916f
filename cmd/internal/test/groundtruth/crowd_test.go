package groundtruth_test

import (
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
)

// The counters of a crowd agree with the real collector.
func TestCrowd(t *testing.T) {
	t.Parallel()
	c, app := groundtruth.NewCollector(t, collector.App{Key: "demo"})
	today, _, err := c.Today(app)
	if err != nil {
		t.Fatal(err)
	}
	var truth groundtruth.CrowdTruth
	groundtruth.Load(t, c, app, func(l *engine.Loader) (err error) {
		crowd := &groundtruth.Crowd{Seed: 1, Installations: 3000, Days: 100, Last: today}
		truth, err = crowd.Load(t.Context(), l)
		return err
	})
	if compared := truth.Compare(t, c, app); compared < 100 {
		t.Errorf("compared only %d figures, want at least 100", compared)
	}
	if truth.Active[0] == 0 || truth.Lost == 0 || len(truth.Versions) < 3 {
		t.Errorf("got %+v, want a crowd of all kinds", truth.Day)
	}
}

func TestBadCrowd(t *testing.T) {
	t.Parallel()
	for _, c := range []groundtruth.Crowd{
		{Days: 1}, {Installations: 1_000_000_001, Days: 1}, {Installations: 1}, {Installations: 1, Days: simulate.MaxDays + 1},
	} {
		c.Last = collector.Day(20000)
		if _, err := c.Load(t.Context(), nil); err == nil {
			t.Errorf("%+v: got no error", c)
		}
	}
}
