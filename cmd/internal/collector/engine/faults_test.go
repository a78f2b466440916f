package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// health returns a health report of installation n with one fault.
func (r *rig) health(n, count int, since time.Time, reason string) collector.ReceivedHealth {
	return collector.ReceivedHealth{App: r.app.Num, Report: report.HealthReport{
		Schema: 1, App: r.app.Key, InstallationID: id(n), IDPersistence: report.Persisted, SentAt: time.Now(), Version: "1.0",
		Faults: []report.Fault{{
			Source: "log", Component: "storage", Reason: reason, Severity: report.SeverityError, Count: count,
			Since: since, First: since, Last: since,
		}},
	}}
}

func (r *rig) reports(received collector.ReceivedHealth) collector.Receipt {
	r.t.Helper()
	receipt, err := r.e.Health(r.t.Context(), received)
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt
}

// occurrences returns how often all faults of installation n occurred.
func (r *rig) occurrences(n int) (sum uint64) {
	r.t.Helper()
	held, err := r.e.Describe(r.t.Context(), id(n))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range held {
		for _, fault := range h.Faults {
			sum += fault.Count
		}
	}
	return sum
}

// Counts are cumulative: how often reports arrive, and in which order, does not
// matter.
func TestHealthCumulative(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now().UTC().Truncate(time.Second)
		if got := r.reports(r.health(1, 3, began, "disk-full")); got != (collector.Receipt{New: true, Counted: 3}) {
			t.Errorf("first: got %+v", got)
		}
		for range 3 {
			if got := r.reports(r.health(1, 3, began, "disk-full")); !got.Repeated || got.Counted != 0 {
				t.Errorf("repeat: got %+v", got)
			}
		}
		r.reports(r.health(1, 10, began, "disk-full"))
		r.reports(r.health(1, 5, began, "disk-full")) // overtaken by the one above
		if n := r.occurrences(1); n != 10 {
			t.Errorf("got %d occurrences, want 10", n)
		}
		r.crash()
		r.reports(r.health(1, 10, began, "disk-full"))
		later := began.Add(time.Hour)
		r.reports(r.health(1, 2, later, "disk-full")) // the sender began to count again
		r.reports(r.health(1, 12, began, "disk-full"))
		if n := r.occurrences(1); n != 12 {
			t.Errorf("got %d occurrences, want 12", n)
		}
		r.wants("active", r.point(today()).Active.Day, 1)
		if got, err := r.e.Forget(t.Context(), id(1)); err != nil || got.Deleted != 1 {
			t.Fatal(got, err)
		}
		r.crash()
		if n := r.occurrences(1); n != 0 {
			t.Errorf("deleted: got %d occurrences, want none", n)
		}
	})
}

// Known events are not counted again.
func TestHealthEvents(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		h := r.health(1, 1, time.Now(), "disk-full")
		h.Events = [][]string{{"a", "b"}}
		if got := r.reports(h); got.Counted != 2 || got.Known != 0 {
			t.Errorf("got %+v", got)
		}
		h.Events = [][]string{{"b", "c"}}
		if got := r.reports(h); got.Counted != 1 || got.Known != 1 {
			t.Errorf("got %+v", got)
		}
		r.crash()
		if got := r.reports(h); got.Counted != 0 || got.Known != 2 || !got.Repeated {
			t.Errorf("got %+v", got)
		}
	})
}

// An app has at most 1,000 faults.
func TestTooManyFaults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		counted := 0
		for n := range 1010 {
			counted += r.reports(r.health(n/50, 1, time.Now(), fmt.Sprintf("reason-%d", n))).Counted
		}
		if counted != 1000 {
			t.Errorf("got %d faults, want 1,000", counted)
		}
	})
}
