package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
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
	c, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	keeper := access.New(c)
	pages, err := dashboard.New(dashboard.Options{Collector: c, Access: keeper, Alerts: alert.New(c, nil), Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Options{Collector: c, Access: keeper, Dashboard: pages, Limits: server.Limits{PerPrefix: -1}})
	if err != nil {
		t.Fatal(err)
	}
	httpServer := httptest.NewServer(s.Handler())
	t.Cleanup(httpServer.Close)
	for _, app := range []collector.App{{Key: "fleet", Name: "Fleet"}, {Key: "nobody", Name: "Nobody yet"}} {
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
	token, err := keeper.Add(t.Context(), "browser", access.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	return counted{httpServer.URL + "/", token, fleet.Truth(), fleet.Range()}
}

// Every page is accessible, fits the window, logs no error, and loads nothing
// from another host.
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
	versions := c.Truth.Split(collector.DimVersion, 28, days[len(days)-1].Day)
	figures := map[string]uint64{
		"28-day active": closed.Active[2], "7-day active": closed.Active[1], "1-day active": closed.Active[0],
		"Established": closed.Established[2],
	}
	drive(t, browser, "dashboardTruth", map[string]any{
		"url": c.URL, "token": c.Token, "tiles": figures, "versions": versions, "series": days[len(days)-28:],
	})
}

// The other pages show the truth too, and their forms, links and charts work.
func TestDashboardPanels(t *testing.T) {
	browser := needBrowser(t)
	c := newCounted(t)
	month := collector.Range{From: c.Range.To - 27, To: c.Range.To}
	drive(t, browser, "dashboardPanels", map[string]any{
		"url": c.URL, "token": c.Token, "floor": c.Truth.Floor(c.Range.To), "cohorts": c.Truth.Retention(collector.GrainWeek, month),
		"faults": c.Truth.Faults(month), "day": c.Range.To,
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
	dir := t.TempDir()
	program := filepath.Join(dir, "rollcall")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/rollcall-dev/rollcall/cmd/rollcall").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	local := freeAddress(t)
	up := exec.CommandContext(t.Context(), program, "up", "--config", filepath.Join(dir, "config.json"), "--data-dir", filepath.Join(dir, "data"),
		"--app", "walk", "--host-version", "3.2.1", "--listen", local, "--collector-listen", freeAddress(t))
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
	link := ""
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if link = regexp.MustCompile(`http://\S+/up/\S+`).FindString(lines.Text()); link != "" {
			break
		}
	}
	if link == "" {
		t.Fatal("no link to the dashboard was printed")
	}
	go func() {
		for lines.Scan() {
		}
	}()
	drive(t, browser, "walk", map[string]any{"operator": "http://" + local + "/", "dashboard": link})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
