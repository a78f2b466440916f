package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
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

// A report that names itself is counted once as a whole, whatever it contains when
// it is repeated.
func TestHealthBatch(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		h := r.health(1, 4, time.Now(), "disk-full")
		h.Batch = "0123456789abcdef"
		if got := r.reports(h); got.Counted != 4 || got.Known != 0 {
			t.Errorf("got %+v", got)
		}
		again := r.health(1, 3, time.Now(), "disk-full")
		again.Report.Faults = append(again.Report.Faults, r.health(1, 3, time.Now(), "other").Report.Faults...)
		again.Batch = h.Batch
		r.crash()
		if got := r.reports(again); got.Counted != 0 || got.Known != 2 || !got.Repeated {
			t.Errorf("the same with another content: got %+v", got)
		}
		again = r.health(1, 3, time.Now(), "disk-full")
		again.Batch = "another"
		if got := r.reports(again); got.Counted != 3 {
			t.Errorf("another: got %+v", got)
		}
		other := r.health(2, 4, time.Now(), "disk-full")
		other.Batch = h.Batch
		if got := r.reports(other); got.Counted != 4 {
			t.Errorf("of another installation: got %+v", got)
		}
	})
}

// The totals count each installation once, and agree with the faults.
func TestFaultTotals(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		countries := []string{"GB", "GB", "DE", ""}
		for n := range 4 {
			h := r.heartbeat(n, "1.0")
			h.Country = countries[n]
			if _, err := r.e.Heartbeat(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		report := func(n, count int, component string, severity report.Severity) {
			h := r.health(n, count, time.Now(), "reason")
			h.Report.Faults[0].Component, h.Report.Faults[0].Severity = component, severity
			r.reports(h)
		}
		first := today()
		report(0, 5, "storage", "error")
		report(0, 2, "storage", "warning")
		report(1, 3, "network", "error")
		r.nextDay()
		report(2, 1, "network", "error")
		report(0, 7, "network", "error")
		r.crash()
		answer, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: first - 400, To: today()}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		add := func(name string, affected, occurrences figures.Count) {
			text := "-"
			if occurrences != nil {
				text = fmt.Sprint(*occurrences)
			}
			got = append(got, fmt.Sprintf("%s %d %s", name, *affected, text))
		}
		add("all", answer.Totals.Affected, nil)
		for _, groups := range [][]figures.FaultGroup{answer.Totals.BySeverity, answer.Totals.ByComponent, answer.Totals.ByCountry} {
			for _, g := range groups {
				add(g.Name, g.Affected, g.Occurrences)
			}
		}
		for _, d := range answer.Totals.ByDay {
			add(fmt.Sprint(int(d.Day-first), d.Open), d.Affected, d.Occurrences)
		}
		want := []string{
			"all 3 -", "error 3 16", "warning 1 2", "network 3 11", "storage 1 7", "GB 2 -", "DE 1 -", "0 false 2 10", "1 true 2 8",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if _, err := r.e.Forget(t.Context(), id(0)); err != nil {
			t.Fatal(err)
		}
		answer, err = r.e.Faults(t.Context(), r.app.Num, collector.Range{From: first, To: today()}, figures.View{})
		if err != nil {
			t.Fatal(err)
		}
		if n := *answer.Totals.Affected; n != 2 || *answer.Totals.ByDay[0].Affected != 1 {
			t.Errorf("after a deletion: got %d, and %d on the first day", n, *answer.Totals.ByDay[0].Affected)
		}
	})
}

// A fault has the context of its last report that had one, until an installation
// that reported the fault is deleted.
func TestFaultSample(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		report := func(n, count int, context map[string]string) {
			h := r.health(n, count, time.Now(), "reason")
			h.Report.Faults[0].Context = context
			r.reports(h)
		}
		sample := func() string {
			t.Helper()
			answer, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			if err != nil || len(answer.Faults) != 1 {
				t.Fatalf("got %+v, %v", answer.Faults, err)
			}
			return fmt.Sprint(answer.Faults[0].Sample)
		}
		report(1, 1, map[string]string{"device": "gpu"})
		report(2, 1, map[string]string{"device": "cpu", "kind": "x"})
		report(3, 1, nil)
		r.crash()
		if got, want := sample(), "map[device:cpu kind:x]"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if _, err := r.e.Forget(t.Context(), id(2)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, want := sample(), "map[]"; got != want {
				t.Errorf("after the deletion: got %s, want %s", got, want)
			}
			r.crash()
		}
		report(1, 2, map[string]string{"device": "npu"})
		for _, n := range []int{3, 1} {
			if _, err := r.e.Forget(t.Context(), id(n)); err != nil {
				t.Fatal(err)
			}
		}
		r.crash()
		answer, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
		if err != nil || len(answer.Faults) != 0 {
			t.Errorf("after all deletions: got %+v, %v", answer.Faults, err)
		}
		for record, err := range r.store.Records(t.Context(), "issue", r.app.Num, 0, 0) {
			t.Errorf("after all deletions: %s, %v", record.Data, err)
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

// A report may repeat some of its faults, and is known if it repeats all.
func TestHealthOfSeveralFaults(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now().UTC().Truncate(time.Second)
		send := func(counts ...int) collector.Receipt {
			h := r.health(1, 0, began, "")
			h.Report.Faults = nil
			for i, count := range counts {
				h.Report.Faults = append(h.Report.Faults, r.health(1, count, began, fmt.Sprintf("reason-%d", i)).Report.Faults...)
			}
			return r.reports(h)
		}
		for _, tt := range []struct {
			counts []int
			want   collector.Receipt
		}{
			{[]int{2, 3}, collector.Receipt{New: true, Counted: 5}},
			{[]int{2, 3}, collector.Receipt{Repeated: true, Known: 2}},
			{[]int{2, 4, 1}, collector.Receipt{Counted: 2, Known: 1}},
			{[]int{1, 4, 1}, collector.Receipt{Repeated: true, Known: 3}},
		} {
			if got := send(tt.counts...); got != tt.want {
				t.Errorf("%v: got %+v, want %+v", tt.counts, got, tt.want)
			}
		}
		r.nextDay()
		if got, want := send(2, 4, 1), (collector.Receipt{Known: 3}); got != want { // active today now
			t.Errorf("the next day: got %+v, want %+v", got, want)
		}
	})
}

// The first report of an installation may be a health report, with or without a
// version.
func TestHealthOfNewInstallation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		for n, version := range []string{"", "1.0"} {
			h := r.health(n, 1, time.Now(), "disk-full")
			h.Report.Version = version
			if got := r.reports(h); !got.New || got.Repeated {
				t.Errorf("%q: got %+v, want a new one", version, got)
			}
			held, err := r.e.Describe(t.Context(), id(n))
			if err != nil || len(held) != 1 {
				t.Fatalf("%q: got %v, %v", version, held, err)
			}
			if got, ok := held[0].Values[collector.DimVersion]; got != version || ok != (version != "") {
				t.Errorf("%q: got version %q, %v", version, got, ok)
			}
		}
		h := r.health(7, 1, time.Now(), "disk-full")
		h.Report.IDPersistence = report.InMemory
		if got := r.reports(h); got != (collector.Receipt{}) {
			t.Errorf("in-memory ID: got %+v", got)
		}
		r.wants("in memory", r.point(today()).InMemory, 1)
		r.wants("active", r.point(today()).Active.Day, 2)
	})
}

// The oldest version that reports a fault is the one that brought it, if older
// ones did not report it.
func TestNewIn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.send(r.heartbeat(0, "1.0"))
		r.nextDay()
		for n, version := range []string{"1.2", "1.1", "", "1.3"} {
			h := r.health(n+1, 1, time.Now(), "disk-full")
			h.Report.Version = version
			r.reports(h)
			faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: today(), To: today()}, figures.View{})
			if err != nil || len(faults.Faults) != 1 {
				t.Fatalf("got %+v, %v", faults, err)
			}
			want := "1.1"
			if n == 0 {
				want = "1.2"
			}
			if got := faults.Faults[0].NewIn; got != want {
				t.Errorf("after %q: got new in %q, want %q", version, got, want)
			}
		}
	})
}

// Of the faults of an installation, the 100 that it reported last are kept.
func TestFaultsPerInstallation(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		began := time.Now()
		for n := range 99 {
			r.reports(r.health(1, 1, began, fmt.Sprintf("reason-%d", n)))
		}
		r.nextDay()
		for n := range 3 { // one is known
			r.reports(r.health(1, 2, began, fmt.Sprintf("reason-%d", n+98)))
		}
		held, err := r.e.Describe(t.Context(), id(1))
		if err != nil || len(held) != 1 {
			t.Fatalf("got %v, %v", held, err)
		}
		reasons := map[string]bool{}
		for _, fault := range held[0].Faults {
			reasons[fault.Reason] = true
		}
		if len(held[0].Faults) != 100 || !reasons["reason-98"] || !reasons["reason-99"] || !reasons["reason-100"] {
			t.Errorf("got %d faults, want 100 with the last three: %v", len(held[0].Faults), reasons)
		}
	})
}

// Occurrences are counted by the version that reported them, also after a crash,
// after the day, and beside what was counted before versions were.
func TestOccurrencesByVersion(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		send := func(n, count int, version string) {
			r.send(r.heartbeat(n, version))
			h := r.health(n, count, first.Time(), "disk-full")
			h.Report.Version = version
			r.reports(h)
		}
		send(0, 3, "1.0")
		send(1, 4, "1.1")
		r.crash()
		send(0, 5, "1.1") // two more, after an upgrade
		r.nextDay()
		send(1, 10, "1.1") // six more
		send(2, 1, "1.0")
		for name, again := range map[string]func(){"today": func() {}, "after a crash": r.crash, "later": func() { r.nextDay() }} {
			again()
			answer, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: first, To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			got := make(map[string]uint64)
			for _, v := range answer.Faults[0].Versions {
				got[v.Version] = *v.Occurrences
			}
			if *answer.Faults[0].Occurrences != 16 || got["1.0"] != 4 || got["1.1"] != 12 {
				t.Errorf("%s: got %d occurrences, %v, want 16: 4 in 1.0 and 12 in 1.1", name, *answer.Faults[0].Occurrences, got)
			}
		}
	})
}

// Anyone can report a fault in an invented version. That hides no occurrences in
// the versions that established installations run.
func TestInventedVersionsHideNoOccurrences(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		first := today()
		for range 30 {
			r.sends(0, 3, "1.0")
			r.nextDay()
		}
		r.sends(0, 3, "1.0")
		for n := range 150 {
			h := r.health(1000+n, 1, first.Time(), "disk-full")
			h.Report.Version = fmt.Sprint("9.", n)
			h.Prefix = uint64(n % 50)
			r.reports(h)
		}
		for n := range 3 {
			r.reports(r.health(n, 2, first.Time(), "disk-full"))
		}
		for name, again := range map[string]func(){"today": func() {}, "later": func() { r.nextDay() }} {
			again()
			answer, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: first, To: today()}, figures.View{})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, v := range answer.Faults[0].Versions {
				if v.Version == "1.0" {
					found = true
					if *v.Affected != 3 || *v.Occurrences != 6 {
						t.Errorf("%s: got %d affected and %d occurrences, want 3 and 6", name, *v.Affected, *v.Occurrences)
					}
				}
			}
			if !found || *answer.Faults[0].Occurrences != 156 {
				t.Errorf("%s: got %+v", name, answer.Faults[0])
			}
		}
	})
}
