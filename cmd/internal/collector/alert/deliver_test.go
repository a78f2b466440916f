package alert_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
)

func lines(text string) []string { return strings.Split(text, "\n") }

const burst = `{"kind":"new_burst","percent":100}`

// said is the message about a burst.
const said = "firing 90 new installations today, compared with an average of 10.0 on the days before"

func (f *fake) burst() { f.days(repeat(10, 20, 90)...) }
func (f *fake) calm()  { f.days(repeat(10, 21)...) }

// A target that was down receives the alerts later, also from a later process,
// once and in order. A target that is down does not delay the others.
func TestTargetDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, burst)
		r.f.burst()
		r.b.down = true
		r.run(12 * time.Minute)
		r.wants("down", "")
		if got := r.status(); !strings.Contains(got, "Delivery to webhook 1 failed at 2000-01-01 00:1") || !strings.Contains(got, "could not be reached") || strings.Contains(got, "no route") ||
			!strings.Contains(got, "to retry: 1") || strings.Contains(got, "hook.example") {
			t.Errorf("got status %q", got)
		}
		r.f.calm()
		r.run(6 * time.Minute)
		r.restart()
		r.b.down = false
		r.run(70 * time.Minute)
		r.wants("up again", said+"\nresolved Resolved: "+strings.TrimPrefix(said, "firing "))
		if got := lines(r.status()); len(got) != 1 || !strings.HasPrefix(got[0], "Last alert (") {
			t.Errorf("got status %q", got)
		}
		r.set(burst, `{"url":"https://hook.example/down"},{"url":"https://hook.example/in"}`)
		r.f.burst()
		r.run(6 * time.Minute)
		r.wants("one of two is down", said)
		r.set(burst, `{"url":"https://hook.example/in"}`)
		r.run(2 * time.Minute)
		if got := r.status(); strings.Contains(got, "failed") || strings.Contains(got, "retry") {
			t.Errorf("the target was removed: got status %q", got)
		}
	})
}

// The number of attempts in a day is bounded, and so is the outbox.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, burst)
		r.b.down = true
		for range 3 * alert.MaxOutbox {
			r.f.burst()
			r.run(6 * time.Minute)
			r.f.calm()
			r.run(6 * time.Minute)
		}
		if got := r.status(); !strings.Contains(got, fmt.Sprintf("to retry: %d", alert.MaxOutbox)) {
			t.Errorf("got status %q", got)
		}
		tries := r.b.tries
		r.run(alert.GiveUp + 2*time.Hour)
		if got := r.status(); !strings.Contains(got, "Gave up delivering to webhook 1 at") || strings.Contains(got, "retry") {
			t.Errorf("got status %q", got)
		}
		if n := r.b.tries - tries; n < 20 || n > 30+alert.MaxOutbox {
			t.Errorf("got %d attempts in a day", n)
		}
		r.b.down = false
		r.run(3 * time.Hour)
		r.wants("given up", "")
	})
}

// An alert that cannot be stored is not sent, because each start would send it
// again.
func TestFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, burst)
		r.f.burst()
		r.f.full = true
		r.run(16 * time.Minute)
		r.wants("full", "")
		r.f.full = false
		r.run(6 * time.Minute)
		r.wants("not full any more", said)
	})
}

// A rule without figures does not stop the others, and a removed rule leaves
// nothing behind.
func TestRulesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, `{"kind":"adoption","percent":50,"version":"2.0"},`+burst)
		r.f.burst()
		r.f.apps = append(r.f.apps, collector.App{Num: 2, Key: "other"}) // without rules
		r.run(6 * time.Minute)
		r.wants("two rules", said)
		r.set(`{"kind":"silence","hours":9}`, `{"url":"https://hook.example/in"}`)
		r.run(6 * time.Minute)
		r.wants("removed", "")
		if got := lines(r.status()); len(got) != 1 {
			t.Errorf("got status %q", got)
		}
	})
}

// A message contains what a receiver needs, and has an ID of its own.
func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, burst)
		r.f.burst()
		r.run(6 * time.Minute)
		r.f.calm()
		r.run(6 * time.Minute)
		if err := r.w.Test(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if len(r.b.bodies) != 3 {
			t.Fatalf("got %q", r.b.bodies)
		}
		ids := map[string]bool{}
		for i, want := range []string{
			`{"id":"","app":"app","kind":"new_burst","state":"firing","text":"90 new installations today, compared with an average of 10.0 on the days before","at":"2000-01-01T00:05:00Z"}`,
			`{"id":"","app":"app","kind":"new_burst","state":"resolved","text":"Resolved: 90 new installations today, compared with an average of 10.0 on the days before","at":"2000-01-01T00:11:30Z"}`,
			`{"id":"","app":"app","state":"test","text":"This is a test alert.","at":"2000-01-01T00:13:00Z"}`,
		} {
			var m alert.Message
			if err := json.Unmarshal([]byte(r.b.bodies[i]), &m); err != nil {
				t.Fatal(err)
			}
			if got := strings.Replace(r.b.bodies[i], m.ID, "", 1); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			ids[m.ID] = true
		}
		if len(ids) != 3 {
			t.Errorf("got IDs %v", ids)
		}
	})
}
