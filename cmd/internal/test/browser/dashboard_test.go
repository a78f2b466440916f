package browser_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/npm"
)

// A counted is a collector with a simulated fleet, the truth about it, and an app
// without installations.
type counted struct {
	URL, Token string
	Truth      *simulate.Truth
	Range      collector.Range
}

func newCounted(t *testing.T) counted {
	t.Helper()
	lab.SameDay(t, 10*time.Minute)
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	keeper := access.New(c, nil)
	pages, err := dashboard.New(dashboard.Options{Collector: c, Access: keeper, Audit: audit.New(c, io.Discard), Alerts: alert.New(c, alert.Options{}), Releases: release.New(c), Notes: note.New(c), Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Collector: c, Access: keeper, Dashboard: pages, Limits: counter.Limits{PerPrefix: -1}})
	if err != nil {
		t.Fatal(err)
	}
	httpServer := httptest.NewServer(s.Handler())
	t.Cleanup(httpServer.Close)
	apps := []collector.App{{Key: "fleet", Name: "Fleet"}, {Key: "nobody", Name: "Nobody yet"}, {Key: "silent"}, {Key: "quiet"}}
	for n := range 16 {
		apps = append(apps, collector.App{Key: fmt.Sprintf("other-%d", n)})
	}
	for _, app := range apps {
		if _, err := c.AddApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
	}
	app, _ := c.App("fleet")
	fleet, err := simulate.New(simulate.Config{Seed: 7, App: "fleet", Installations: 400, Days: 110})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Load(t.Context(), app.Num)
	if err == nil {
		err = fleet.Load(t.Context(), l, 0, nil)
	}
	if err == nil {
		err = l.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	token, err := keeper.Add(t.Context(), access.Machine, "browser", access.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	return counted{httpServer.URL + "/", token, fleet.Truth(), fleet.Range()}
}

// Every page is accessible, fits the window, logs no error, loads nothing from
// another host, and says where in the navigation it is.
func TestDashboardEverywhere(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardEverywhere", map[string]any{"url": c.URL, "token": c.Token})
}

// The overview shows the truth, links and switches work, and downloads hold what
// the page shows.
func TestDashboardTruth(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	days := c.Truth.Series(c.Range)
	closed := days[len(days)-2]
	versions := c.Truth.Split(collector.DimVersion, 28, closed.Day)
	figures := map[string]uint64{
		"28-day active": closed.Active[2], "7-day active": closed.Active[1], "1-day active": closed.Active[0],
		"Established": closed.Established[2],
	}
	drive(t, browser, "dashboardTruth", map[string]any{
		"url": c.URL, "token": c.Token, "tiles": figures, "versions": versions, "series": days[len(days)-29:],
	})
}

// The other pages show the truth too, and their forms, links and charts work.
func TestDashboardPanels(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	month := collector.Range{From: c.Range.To - 28, To: c.Range.To - 1} // that are over
	drawn := collector.Range{From: month.From, To: c.Range.To}
	cohorts := slices.DeleteFunc(c.Truth.Retention(collector.GrainWeek, drawn), func(cohort simulate.Cohort) bool {
		return cohort.From > month.To // a Monday's, of no day that is over
	})
	drive(t, browser, "dashboardPanels", map[string]any{
		"url": c.URL, "token": c.Token, "floor": c.Truth.Floor(month.To), "cohorts": cohorts,
		"faults": c.Truth.Faults(drawn), "day": c.Range.To,
	})
}

// Forms set up alerts.
func TestDashboardSettings(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardSettings", map[string]any{"url": c.URL, "token": c.Token})
}

func TestDashboardPublic(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardPublic", map[string]any{"url": c.URL, "token": c.Token})
}

// The empty page sends the first heartbeat of an app, and shows it.
func TestDashboardFirst(t *testing.T) {
	browser := needBrowser(t)
	for _, program := range []string{"python3", "curl", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			if npm.Required() {
				t.Fatal(err)
			}
			fmt.Fprintf(os.Stderr, "SKIPPED %s: %v\n", t.Name(), err)
			t.Skip(err)
		}
	}
	c := newCounted(t)
	drive(t, browser, "dashboardFirst", map[string]any{"url": c.URL, "token": c.Token})
}

func TestDashboardPhone(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardPhone", map[string]any{"url": c.URL, "token": c.Token})
}

func TestDashboardMenus(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardMenus", map[string]any{"url": c.URL, "token": c.Token})
}

// Ten questions are answered in at most two clicks, and dragging zooms.
func TestDashboardQuestions(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	day := c.Range.To - 1 // that is over
	versions := c.Truth.Split(collector.DimVersion, 28, day)
	faults := c.Truth.Faults(collector.Range{From: day - 6, To: day})
	if len(faults) == 0 {
		t.Fatal("the fleet has no faults")
	}
	release := slices.MaxFunc(slices.Collect(maps.Keys(versions)), func(a, b string) int { return cmp.Compare(versions[a], versions[b]) })
	drive(t, browser, "dashboardQuestions", map[string]any{
		"url": c.URL, "token": c.Token, "release": release, "oldest": c.Truth.Floor(day)[0].Version, "fault": faults[0].Key.Component + ": " + faults[0].Key.Reason,
	})
}

// The overview is painted soon. With -v the test prints when; it compares with a
// page that shows nothing, so it passes on a slow machine too.
func TestDashboardPaint(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardPaint", map[string]any{"url": c.URL, "token": c.Token})
}

func TestDashboardOtherMedia(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	drive(t, browser, "dashboardOtherMedia", map[string]any{"url": c.URL, "token": c.Token})
}

// TestWalk runs "rollcall up" and walks through everything: the operator's page,
// its preview and switch, a heartbeat, the dashboard that counts it, and
// forgetting.
func TestWalk(t *testing.T) {
	browser := needBrowser(t)
	lab.SameDay(t, 10*time.Minute)
	dir := t.TempDir()
	program := filepath.Join(dir, "rollcall")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/rollcall-dev/rollcall/cmd/rollcall").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	freeAddress := func() string { return fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)) }
	up := exec.CommandContext(t.Context(), program, "up", "--config", filepath.Join(dir, "config.json"), "--data-dir", filepath.Join(dir, "data"),
		"--app", "walk", "--host-version", "3.2.1", "--listen", freeAddress(), "--collector-listen", freeAddress())
	up.Cancel = func() error { return up.Process.Signal(os.Interrupt) }
	up.WaitDelay = 15 * time.Second
	up.Env = append(os.Environ(), "DO_NOT_TRACK=")
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Wait() })
	links := make(map[string]any)
	lines := bufio.NewScanner(out)
	for len(links) < 2 && lines.Scan() {
		for name, path := range map[string]string{"dashboard": "up", "operator": "sign-in"} {
			if link := regexp.MustCompile(`http://\S+/` + path + `/\S+`).FindString(lines.Text()); link != "" {
				links[name] = link
			}
		}
	}
	if len(links) < 2 {
		t.Fatalf("got the links %v, want those of the dashboard and of the operator's page", links)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	drive(t, browser, "walk", links)
}
