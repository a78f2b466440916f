package bench

import (
	"os"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/rawhttp"
)

// TestFleetIsTheTruth loads a fleet into SQLite except for its last day,
// sends that day over HTTP to another process, and compares every figure,
// also after the start that follows. The fleet has 1,500 installations,
// or 50,000 with ROLLCALL_SOAK.
func TestFleetIsTheTruth(t *testing.T) {
	installations := 1500
	switch {
	case os.Getenv(soakVariable) != "":
		installations = 50_000
	case testing.Short():
		installations = 300
	}
	dir := t.TempDir()
	today := collector.DayOf(time.Now())
	f, err := simulate.New(simulate.Config{
		Seed: 11, App: appKey, Installations: installations, Days: 60, Last: today, Forged: installations / 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		groundtruth.Load(t, c, app.Num, func(l *engine.Loader) error { return f.Load(t.Context(), l, today-1, nil) })
	})
	server := startChild(t, counting, dir)
	result, err := f.Send(t.Context(), simulate.Sending{Endpoint: server.endpoint, Connect: rawhttp.Connect})
	if err != nil {
		t.Fatal(err)
	}
	if int(result.Accepted) != f.LastReports() {
		t.Fatalf("got %d accepted, %v refused, %d failed, want all %d", result.Accepted, result.Refused, result.Failed, f.LastReports())
	}
	server.stop()
	sameDay(t, today)
	inStore(t, dir, func(c *engine.Engine, app collector.App) {
		groundtruth.Compare(t, c, app.Num, f)
	})
}

// TestForged is S4: somebody at one address sends 20,000 forged IDs, or a
// million with ROLLCALL_SOAK, to a collector with its default limits.
// Known installations at the same address are served meanwhile, and the
// number of established ones stays the same within 1 %.
func TestForged(t *testing.T) {
	forged := 20_000
	switch {
	case os.Getenv(soakVariable) != "":
		forged = 1_000_000
	case testing.Short():
		forged = 4000
	}
	const known = 5000 // seen on two days
	const serve = 200  // known ones that report meanwhile: less than what the limits reserve for them
	dir := t.TempDir()
	today := collector.DayOf(time.Now())
	loadKnown(t, dir, known)
	established := func() (n uint64) {
		inStore(t, dir, func(c *engine.Engine, app collector.App) {
			n = *figuresOf(t, c, app.Num, today).Established.Days28
		})
		return n
	}
	before := established()
	server := startChild(t, limited, dir)
	attack := make(chan simulate.Result, 1)
	go func() {
		result, err := simulate.Sending{Endpoint: server.endpoint, Connections: 8, Attempts: 1, Connect: rawhttp.Connect}.Run(t.Context(), func(i int) simulate.Source {
			body, n := newTemplate("6.6.6"), i-8
			return func([]byte) (string, []byte, bool) {
				n += 8
				return simulate.HeartbeatPath, body.with(1<<24 + n), n < forged
			}
		})
		if err != nil {
			t.Error(err)
		}
		attack <- result
	}()
	served, err := simulate.Sending{Endpoint: server.endpoint, Connections: 1, Attempts: 1}.Run(t.Context(), func(int) simulate.Source {
		body, n := newTemplate("1.0.0"), -1
		return func([]byte) (string, []byte, bool) {
			n++
			return simulate.HeartbeatPath, body.with(n), n < serve
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	result := <-attack
	server.stop()
	sameDay(t, today)
	after := established()
	t.Logf("%d forged IDs, %d of them taken, %v refused; %d of %d known installations served; established %d before, %d after",
		forged, result.Accepted, result.Refused, served.Accepted, serve, before, after)
	if served.Accepted != serve {
		t.Errorf("%d known installations are served under attack, want all %d; refused: %v", served.Accepted, serve, served.Refused)
	}
	if before != known || after*100 < before*99 || after*100 > before*101 {
		t.Errorf("got %d established after the attack, want the %d of before within 1 %%", after, before)
	}
}
