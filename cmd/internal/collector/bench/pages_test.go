package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/groundtruth"
	"github.com/rollcall-dev/rollcall/report"
)

// One in faultyOf installations reports faults, of faultKinds different
// kinds.
const (
	faultyOf   = 100
	faultKinds = 20
)

// A faulty loader makes some installations of a crowd report faults, each
// on one in ten of its active days. Their keys are those of installation
// IDs, so that they can be found again.
type faulty struct {
	*engine.Loader
	ctx    context.Context
	next   int
	day    collector.Day
	random *rand.Rand
	err    error
}

var _ groundtruth.CrowdLoader = (*faulty)(nil)

func (l *faulty) Day(ctx context.Context, day collector.Day) error {
	l.day = day
	return l.Loader.Day(ctx, day)
}

func (l *faulty) New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error) {
	num := l.next
	l.next++
	if num%faultyOf != 0 {
		return l.Loader.New(ctx, key, values)
	}
	facts := report.Facts{}
	for _, name := range []string{"store.kind", "tls", "users"} {
		facts = append(facts, report.FactValue{Name: name, Value: values[collector.FactDimension+name]})
	}
	return collector.Num(num), l.Heartbeat(ctx, collector.Received{Heartbeat: report.Heartbeat{
		InstallationID: faultyID(num), IDPersistence: report.Persisted, Version: values[collector.DimVersion], SentAt: l.day.Time(),
		Platform: report.Platform{
			System: values[collector.DimSystem], Release: values[collector.DimRelease], Machine: values[collector.DimMachine],
		},
		Deployment: report.Deployment(values[collector.DimDeployment]), Facts: facts,
		Client: report.Client{Name: "rollcall-go", Version: "0.1.0"},
	}})
}

func (l *faulty) Active(num collector.Num) {
	l.Loader.Active(num)
	if num%faultyOf != 0 || l.random.IntN(10) > 0 || l.err != nil {
		return
	}
	at := l.day.Time()
	l.err = l.Health(l.ctx, collector.ReceivedHealth{Report: report.HealthReport{
		InstallationID: faultyID(int(num)), IDPersistence: report.Persisted, SentAt: at, Version: "1.0.0",
		Faults: []report.Fault{{
			Source: "log", Component: "storage", Reason: fmt.Sprintf("reason-%d", l.random.IntN(faultKinds)),
			Severity: report.SeverityError, Count: 1, Since: at, First: at, Last: at,
		}},
	}})
}

func faultyID(num int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", num+1) }

// pages measures how long the server takes for each page of the
// dashboard, the first time and later, for several ranges: of all
// installations, and of segments of several kinds.
func pages(t *testing.T, c *engine.Engine) {
	keeper := access.New(c, nil)
	token, err := keeper.Add(t.Context(), access.Machine, "pages", access.Admin, "")
	if err != nil {
		t.Fatal(err)
	}
	handler, err := dashboard.New(dashboard.Options{Collector: c, Access: keeper, Alerts: alert.New(c, alert.Options{}), Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	rounds := 5
	if os.Getenv(benchVariable) == "" && os.Getenv(soakVariable) == "" {
		rounds = 1
	}
	ask := func(page string) (took float64, size int) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/a/"+appKey+"/"+page, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		begin := time.Now()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", page, w.Code, w.Body)
		}
		return time.Since(begin).Seconds() * 1000, w.Body.Len()
	}
	measure := func(page, segment string) (first, later float64) {
		values := ""
		if segment != "" {
			values = "&segment=" + url.QueryEscape(segment)
		}
		for _, days := range []int{28, 90, 400} {
			var took []float64
			var size int
			for range rounds {
				var ms float64
				ms, size = ask(fmt.Sprintf("%sdays=%d%s", page, days, values))
				took = append(took, ms)
			}
			begin, again := took[0], median(took) // which sorts
			first, later = max(first, begin), max(later, again)
			t.Logf("page %s %s, %d days: %.1f ms the first time, then %.1f ms (bar: 100 ms; median of %d), %d kB compressed",
				page, segment, days, begin, again, rounds, size/1000)
		}
		return first, later
	}
	app, _ := c.App(appKey)
	today, since, err := c.Today(app.Num)
	if err != nil {
		t.Fatal(err)
	}
	faults, err := c.Faults(t.Context(), app.Num, collector.Range{From: today - 27, To: today}, figures.View{})
	if err != nil || len(faults.Faults) == 0 {
		t.Fatalf("no faults: %v", err)
	}
	split, err := c.Breakdown(t.Context(), app.Num, collector.DimVersion, 28, today, figures.View{})
	if err != nil || len(split.Values) == 0 {
		t.Fatalf("no versions: %v", err)
	}
	version := split.Values[len(split.Values)/2].Value
	all := []string{
		"overview?", "overview?compare=previous&", "overview?compare=year&", "versions?", "retention?", "retention?grain=day&", "features?", "health?",
		"version?version=" + version + "&", "fault?fault=" + faults.Faults[0].ID + "&",
	}
	for _, page := range slices.Concat(all, []string{"quality?", "settings?"}) {
		measure(page, "")
	}
	series, _, _ := strings.Cut(version, ".")
	for _, segment := range []string{
		"version=" + version, "version=" + series + ".x", "system=linux", "machine=amd64 system=linux",
		fmt.Sprintf("first_seen=%s..%s", max(since, today-20), today-7), "system=linux version>=" + version,
	} {
		var first, later float64
		for _, page := range all {
			a, b := measure(page, segment)
			first, later = max(first, a), max(later, b)
		}
		t.Logf("slowest page of %s: %.1f ms the first time, %.1f ms then (bar: 100 ms)", segment, first, later)
	}
}
