package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

const day = 24 * time.Hour

// lines is a handler that keeps the lines that are not about details.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *lines) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *lines) WithGroup(string) slog.Handler { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Level.String()+" "+r.Message)
	return nil
}

func (l *lines) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if strings.HasPrefix(line, text) {
			n++
		}
	}
	return n
}

// knownFleet makes n installations report for days, the last time today.
func (r *rig) knownFleet(n, days int) {
	r.t.Helper()
	for i := range days {
		if i > 0 {
			r.nextDay()
		}
		r.sends(0, n, "1.0")
	}
}

// says sends a heartbeat of installation n whose sender's clock is right.
func (r *rig) says(n int, version string) { r.t.Helper(); r.send(r.heartbeat(n, version)) }

func (r *rig) wantsDay(what string, trusted bool, day collector.Day) {
	r.t.Helper()
	if got := r.e.Clock(); got.Trusted != trusted || got.Day != day {
		r.t.Errorf("%s: got %+v, want trusted: %v, day %s", what, got, trusted, day)
	}
	if got, _, err := r.e.Today(r.app.Num); err != nil || got != day {
		r.t.Errorf("%s: got today %s, %v, want %s", what, got, err, day)
	}
}

// figures returns everything that is counted, without gaps, as text.
func (r *rig) figures(ids int) string {
	r.t.Helper()
	today, since, err := r.e.Today(r.app.Num)
	if err != nil {
		r.t.Fatal(err)
	}
	span := collector.Range{From: max(since, today-100), To: today}
	series, err := r.e.Series(r.t.Context(), r.app.Num, span, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	var text strings.Builder
	show := func(v any, err error) {
		r.t.Helper()
		if err != nil {
			r.t.Fatal(err)
		}
		data, err := json.Marshal(v)
		if err != nil {
			r.t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s\n", data)
	}
	for _, p := range series.Points {
		show(p, nil)
	}
	b, err := r.e.Breakdown(r.t.Context(), r.app.Num, collector.DimVersion, 28, today, figures.View{})
	show(b.Values, err)
	faults, err := r.e.Faults(r.t.Context(), r.app.Num, span, figures.View{})
	show(faults.Faults, err)
	v, err := r.e.Versions(r.t.Context(), r.app.Num, span, figures.View{})
	v.Meta = figures.Meta{}
	show(v, err)
	for n := range ids {
		held, err := r.e.Describe(r.t.Context(), id(n))
		show(held, err)
	}
	return text.String()
}

// fault returns a health report of installation n.
func (r *rig) fault(n int) collector.ReceivedHealth {
	return collector.ReceivedHealth{App: r.app.Num, Report: report.HealthReport{
		Schema: 1, App: r.app.Key, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.0",
		Faults: []report.Fault{{Source: "log", Component: "disk", Reason: "full", Severity: report.SeverityError, Count: 2, Since: time.Unix(0, 0).UTC()}},
	}}
}

// stored returns the number of installations on record.
func (r *rig) stored() uint64 {
	r.t.Helper()
	today, _, err := r.e.Today(r.app.Num)
	if err != nil {
		r.t.Fatal(err)
	}
	q, err := r.e.Quality(r.t.Context(), r.app.Num, collector.Range{From: today, To: today})
	if err != nil {
		r.t.Fatal(err)
	}
	return q.Stored.Installations
}

// compared runs a test with a clock that jumps, and without, on the same reports,
// and compares all figures of the end.
func compared(t *testing.T, jumps []time.Duration, test func(r *rig, jump func())) {
	t.Helper()
	run := func(jumping bool) (text string) {
		inBubble(t, func(t *testing.T, r *rig) {
			left := jumps
			test(r, func() {
				if jumping {
					r.jump(left[0])
				}
				left = left[1:]
			})
			r.crash()
			text = r.figures(40)
		})
		return text
	}
	sameLines(t, "with a jump", run(true), run(false))
}

// sameLines reports the first line that differs.
func sameLines(t *testing.T, what, got, want string) {
	t.Helper()
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Errorf("%s: got\n%s\nwant\n%s", what, gotLines[i], wantLines[i])
			return
		}
	}
	if len(gotLines) != len(wantLines) {
		t.Errorf("%s: got %d lines, want %d", what, len(gotLines), len(wantLines))
	}
}

func (r *rig) full(nums ...int) {
	r.t.Helper()
	for _, n := range nums {
		if _, err := r.e.Health(r.t.Context(), r.fault(n)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) inMemory(n int) {
	r.t.Helper()
	h := r.heartbeat(n, "1.0")
	h.Heartbeat.IDPersistence = report.InMemory
	r.send(h)
}
