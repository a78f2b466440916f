package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
	"github.com/rollcall-dev/rollcall/report"
)

// uniqueFleet counts 70 days of five installations. What installation 0 reports
// contains "unique", except what another one once reported too.
func (r *rig) uniqueFleet() {
	r.t.Helper()
	for day := range 70 {
		for n := range 5 {
			version := "1.0"
			if day >= 40 {
				version = "1.1"
			}
			if n == 0 && day < 20 {
				version = "1.0-unique"
			}
			if n == 0 && day >= 30 {
				version = fmt.Sprintf("1.%d-unique", day/60) // it moves to 1.1-unique
			}
			if n < 2 && day == 20 {
				version = "0.9-once" // of two
			}
			h := r.heartbeat(n, version)
			if n == 0 {
				h.Heartbeat.Facts = report.Facts{{Name: "kind", Value: "unique-kind"}, {Name: "unique.fact", Value: "true"}}
				h.Heartbeat.Platform.Machine = "unique-machine"
			} else {
				h.Heartbeat.Facts = report.Facts{{Name: "kind", Value: "usual"}}
			}
			r.send(h)
			if day%10 == 5 && n < 2 {
				f := r.health(n, day+1, today().Time().AddDate(0, 0, -1), []string{"unique-reason", "usual-reason"}[n])
				f.Report.Version = version
				if day == 15 && n == 1 {
					f.Report.Version = "1.0"
				}
				r.reports(f)
			}
		}
		r.nextDay()
	}
	r.sends(1, 5, "1.1")
}

// dump returns the names and the data of all records.
func dump(t *testing.T, store *storetest.Memory, app collector.AppNum) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range []string{
		"app", "first", "active", "ever", "dims", "total", "split", "retention", "survival", "open", "release", "issue", "issueday",
		"issuebits", "faults", "today", "aside", "setting", "turned", "declared", "senders", "imported", "refusedid", "generation", "clock",
	} {
		for r, err := range store.Records(context.Background(), kind, app, -1<<31, 1<<31-1) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %s %s %s\n", r.Kind, r.Day, r.Name, r.Data)
		}
	}
	return b.String()
}

// allAnswers returns all answers to the maintainer.
func (r *rig) allAnswers() string {
	all := r.answers(r.t, r.app, figures.View{Pairs: true})
	survival, err := r.e.Survival(r.t.Context(), r.app.Num, 20, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	trend, err := r.e.Trend(r.t.Context(), r.app.Num, collector.DimVersion, 28, collector.Range{From: today() - 69, To: today()}, 20, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	versions, err := r.e.Versions(r.t.Context(), r.app.Num, collector.Range{From: today() - 69, To: today()}, figures.View{})
	if err != nil {
		r.t.Fatal(err)
	}
	return texts(r.t, append(all, survival, trend, versions))
}

// What only the deleted installation had is in no answer and no record any more.
// What others had, or had once, remains, and so do the counts.
func TestForgetUniqueTexts(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.uniqueFleet()
		if before := r.allAnswers(); !strings.Contains(before, "unique") || !strings.Contains(dump(t, r.store, r.app.Num), "unique") {
			t.Fatal("there is nothing to forget")
		}
		past := r.point(today() - 10)
		if d, err := r.e.Forget(t.Context(), id(0)); err != nil || d.Deleted != 1 {
			t.Fatal(d, err)
		}
		check := func(when string) {
			t.Helper()
			for what, text := range map[string]string{"answers": r.allAnswers(), "records": dump(t, r.store, r.app.Num)} {
				if i := strings.Index(text, "unique"); i >= 0 {
					t.Errorf("%s: the %s have a unique text: …%.120s…", when, what, text[max(0, i-60):])
				}
				for _, want := range []string{"usual", "usual-reason", "1.0", "1.1", "0.9-once"} {
					if !strings.Contains(text, want) {
						t.Errorf("%s: the %s lack %q", when, what, want)
					}
				}
			}
			r.wants(when+": active 10 days ago", r.point(today()-10).Active.Day, *past.Active.Day)
			b, err := r.e.Breakdown(t.Context(), r.app.Num, collector.DimVersion, 28, today()-10, figures.View{})
			if err != nil || *b.Reporting != 5 {
				t.Errorf("%s: got %+v, %v, want 5 reporting", when, b, err)
			}
		}
		check("at once")
		r.crash()
		check("after a crash")
	})
}

// A deletion that fails is finished by the next attempt.
func TestForgetUniqueTextsAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.uniqueFleet()
		r.store.FailAfter(1, errors.New("disk full")) // the first commit is the checkpoint
		if _, err := r.e.Forget(t.Context(), id(0)); err == nil {
			t.Fatal("the deletion succeeded on a full disk")
		}
		r.store.Fail(nil)
		if d, err := r.e.Forget(t.Context(), id(0)); err != nil || d.Deleted != 1 {
			t.Fatal(d, err)
		}
		if text := r.allAnswers() + dump(t, r.store, r.app.Num); strings.Contains(text, "unique") {
			t.Errorf("…%.120s…", text[strings.Index(text, "unique")-60:])
		}
	})
}
