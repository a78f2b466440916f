package alert_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A fake is a collector with figures set by hand. Its settings outlive a watcher,
// as a store outlives a process.
type fake struct {
	mu       sync.Mutex
	settings map[string][]byte
	apps     []collector.App
	points   []figures.SeriesPoint
	asOf     time.Time
	steps    []figures.FloorStep
	versions []figures.Value
	doubtful string // one of versions
	faults   []figures.Fault
	dayEnds  bool // the day ends after each call of Today
	broken   bool // no figures can be read
	full     bool // no settings can be stored
}

func newFake() *fake {
	return &fake{settings: map[string][]byte{}, apps: []collector.App{{Num: 1, Key: "app"}}}
}

var errBroken = errors.New("store is broken")

func (f *fake) err() error {
	if f.broken {
		return errBroken
	}
	return nil
}

func (f *fake) Apps() []collector.App { return f.apps }

func (f *fake) Today(collector.AppNum) (today, since collector.Day, err error) {
	today = collector.DayOf(time.Now())
	if f.dayEnds {
		today--
	}
	return today, 0, nil
}

func (f *fake) Series(_ context.Context, _ collector.AppNum, r collector.Range, _ figures.View) (figures.Series, error) {
	s := figures.Series{Meta: figures.Meta{AsOf: f.asOf}}
	if r.To < collector.DayOf(time.Now()) {
		s.AsOf = (r.To + 1).Time()
	}
	for _, p := range f.points {
		if r.From <= p.Day && p.Day <= r.To {
			s.Points = append(s.Points, p)
		}
	}
	return s, f.err()
}

func (f *fake) Breakdown(context.Context, collector.AppNum, string, int, collector.Day, figures.View) (figures.Breakdown, error) {
	return figures.Breakdown{Values: f.versions}, f.err()
}

func (f *fake) Versions(context.Context, collector.AppNum, collector.Range, figures.View) (v figures.Versions, err error) {
	for _, version := range f.versions {
		if version.Value == collector.Other {
			continue
		}
		v.Releases = append(v.Releases, figures.Release{Version: version.Value, Doubtful: version.Value == f.doubtful})
	}
	return v, f.err()
}

func (f *fake) Floor(context.Context, collector.AppNum, collector.Day, figures.View) (figures.Floor, error) {
	return figures.Floor{Steps: f.steps}, f.err()
}

func (f *fake) Faults(context.Context, collector.AppNum, collector.Range, figures.View) (figures.Faults, error) {
	return figures.Faults{Faults: f.faults}, f.err()
}

func (f *fake) Dimensions(context.Context, collector.AppNum, figures.View) ([]string, error) {
	return nil, f.err()
}

func (f *fake) ReleaseDays(collector.AppNum, figures.View) ([]figures.ReleaseDay, error) {
	return nil, f.err()
}

func (f *fake) Setting(_ context.Context, app collector.AppNum, name string) ([]byte, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.settings[fmt.Sprint(app, name)]
	return data, ok, nil
}

func (f *fake) PutSetting(_ context.Context, app collector.AppNum, name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full {
		return errBroken
	}
	if len(data) > collector.MaxSettingBytes {
		return fmt.Errorf("setting of %d bytes", len(data))
	}
	f.settings[fmt.Sprint(app, name)] = bytes.Clone(data)
	return nil
}

func figure(n uint64) figures.Count { return &n }

// days sets the figures of the last days, up to today.
func (f *fake) days(active ...uint64) {
	f.points = nil
	today := collector.DayOf(time.Now())
	for i, n := range active {
		day := today - collector.Day(len(active)-1-i)
		a := figures.Active{Day: figure(n), Week: figure(n), Days28: figure(n), Days30: figure(n)}
		f.points = append(f.points, figures.SeriesPoint{Day: day, Active: a, Established: a, New: figure(n)})
	}
}

func repeat(n uint64, times int, then ...uint64) []uint64 {
	all := make([]uint64, times)
	for i := range all {
		all[i] = n
	}
	return append(all, then...)
}

// releases sets how many installations run each version, in the order newest
// first, and how many of them each fault affects.
func (f *fake) releases(versions map[string]uint64, order []string, faults map[string]map[string]uint64) {
	f.versions, f.faults = nil, nil
	for _, v := range order {
		f.versions = append(f.versions, figures.Value{Value: v, Count: figure(versions[v])})
	}
	for name, affected := range faults {
		fault := figures.Fault{ID: name, Component: "camera", Reason: name, Status: collector.FaultOpen}
		for v, n := range affected {
			fault.Versions = append(fault.Versions, figures.FaultVersion{Version: v, Affected: figure(n), Active: figure(versions[v])})
		}
		f.faults = append(f.faults, fault)
	}
}

// An inbox is a webhook that accepts messages or fails.
type inbox struct {
	mu     sync.Mutex
	got    []alert.Message
	bodies []string
	down   bool
	tries  int
}

func (b *inbox) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if b.down || strings.Contains(r.URL.Path, "down") {
		return nil, errors.New("no route")
	}
	var m alert.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	b.got, b.bodies = append(b.got, m), append(b.bodies, string(body))
	return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

// take returns and removes the messages, each with its state in front.
func (b *inbox) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var texts []string
	for _, m := range b.got {
		texts = append(texts, string(m.State)+" "+m.Text)
	}
	b.got = nil
	return strings.Join(texts, "\n")
}

// A rig is a watcher with a webhook.
type rig struct {
	t *testing.T
	f *fake
	b *inbox
	w *alert.Watcher
}

func newRig(t *testing.T, rules string) *rig {
	t.Helper()
	r := &rig{t: t, f: newFake(), b: &inbox{}}
	r.restart()
	r.set(rules, `{"url":"https://hook.example/in"}`)
	return r
}

func (r *rig) set(rules, hooks string) {
	r.t.Helper()
	if err := r.w.SetJSON(r.t.Context(), 1, `{"rules":[`+rules+`],"webhooks":[`+hooks+`]}`); err != nil {
		r.t.Fatal(err)
	}
}

// restart replaces the watcher by another one with the same store.
func (r *rig) restart() {
	r.w = alert.New(r.f, local)
	r.w.SetTransport(r.b)
}

// run runs the watcher for the duration and half a minute more, so that it does
// not end while the watcher is active.
func (r *rig) run(during time.Duration) {
	ctx, cancel := context.WithTimeout(r.t.Context(), during+30*time.Second)
	defer cancel()
	r.w.Run(ctx)
}

func (r *rig) wants(what, want string) {
	r.t.Helper()
	if got := r.b.take(); got != want {
		r.t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

func (r *rig) status() string {
	r.t.Helper()
	lines, err := r.w.Status(r.t.Context(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
