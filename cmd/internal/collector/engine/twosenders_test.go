package engine_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// legacyApp assigns the reports of the YA-WAMF wire format to the rig's app.
func (r *rig) legacyApp() {
	r.t.Helper()
	app := r.app
	app.Legacy = true
	if err := r.e.UpdateApp(r.t.Context(), app); err != nil {
		r.t.Fatal(err)
	}
}

// sender sends a heartbeat of installation n as one of its two senders.
func (r *rig) sender(n int, legacy bool, version string, facts ...string) collector.Receipt {
	r.t.Helper()
	received := r.heartbeat(n, version)
	received.Legacy = legacy
	received.Heartbeat.Client = report.Client{}
	if !legacy {
		received.Heartbeat.Client = report.Client{Name: "rollcall", Version: "1.0"}
	}
	for i := 0; i < len(facts); i += 2 {
		received.Heartbeat.Facts = append(received.Heartbeat.Facts, report.FactValue{Name: facts[i], Value: facts[i+1]})
	}
	return r.send(received)
}

// reported returns the version and the facts of installation n, and whether it has a
// sender of Rollcall's own.
func (r *rig) reported(n int) string {
	r.t.Helper()
	held, err := r.e.Describe(r.t.Context(), id(n))
	if err != nil || len(held) != 1 {
		r.t.Fatalf("got %+v, %v", held, err)
	}
	v := held[0].Values
	return fmt.Sprintf("%s %s %s %s %t", v["version"], v["fact.model"], v["fact.tls"], v["fact.both"], v["client"] != "")
}

func (r *rig) twoSenders() uint64 {
	r.t.Helper()
	q, err := r.e.Quality(r.t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
	if err != nil {
		r.t.Fatal(err)
	}
	return *q.TwoSenders
}

// An installation that two programs report has the values of both, whoever comes
// last, and is no clone.
func TestTwoSenders(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.legacyApp()
			send := func(legacy bool) {
				if legacy {
					r.sender(1, true, "2.0", "both", "old", "model", "a")
				} else {
					r.sender(1, false, "2.1", "both", "new", "tls", "true")
				}
			}
			send(first)
			if n := r.twoSenders(); n != 0 {
				t.Errorf("one sender: got %d", n)
			}
			for range 5 {
				send(!first)
				if got, want := r.reported(1), "2.1 a true new true"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				r.crash()
				send(first)
				if got, want := r.reported(1), "2.1 a true new true"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if n := r.twoSenders(); n != 1 {
					t.Errorf("got %d with two senders, want 1", n)
				}
				r.nextDay()
			}
			q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: today(), To: today()})
			if err != nil || *q.Clones != 0 {
				t.Errorf("got %d clones, %v", *q.Clones, err)
			}
			// What a sender no longer reports is gone.
			r.sender(1, true, "2.0", "both", "old")
			r.sender(1, false, "2.2", "both", "new")
			if got, want := r.reported(1), "2.2   new true"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if _, err := r.e.Forget(t.Context(), id(1)); err != nil {
				t.Fatal(err)
			}
			r.crash()
			if n := r.twoSenders(); n != 0 {
				t.Errorf("after the deletion: got %d", n)
			}
			for record, err := range r.store.Records(t.Context(), "senders", r.app.Num, 0, 0) {
				t.Errorf("after the deletion: %+v, %v", record, err)
			}
		})
	}
}

// An installation that moves from one sender to another keeps nothing of the first
// for long, and a fleet with one kind of sender is as it was.
func TestSenderStops(t *testing.T) {
	t.Parallel()
	for _, legacy := range []bool{true, false} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.legacyApp()
			r.sender(1, legacy, "1.0", "model", "a")
			r.nextDay()
			for range 9 {
				r.sender(1, !legacy, "1.1", "tls", "true")
				r.nextDay()
			}
			if got, want := r.reported(1), fmt.Sprintf("1.1  true  %t", legacy); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if n := r.twoSenders(); n != 0 {
				t.Errorf("got %d with two senders, want none", n)
			}
			r.sender(2, legacy, "1.0", "model", "a")
			r.sender(2, legacy, "1.1", "tls", "true")
			if got, want := r.reported(2), fmt.Sprintf("1.1  true  %t", !legacy); got != want {
				t.Errorf("one sender: got %q, want %q", got, want)
			}
		})
	}
}
