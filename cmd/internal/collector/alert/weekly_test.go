package alert_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
)

// weekly sets when the report is sent; "" for never.
func (r *rig) weekly(day string) {
	r.t.Helper()
	if err := r.w.SetJSON(r.t.Context(), 1, `{"rules":[],"webhooks":[{"url":"https://hook.example/in"}],"weekly":"`+day+`"}`); err != nil {
		r.t.Fatal(err)
	}
}

// messages returns the messages that came, without taking them.
func (b *inbox) messages() []alert.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]alert.Message{}, b.got...)
}

// The report comes once a week on the chosen day, also if the collector is started
// again and again, or does not run on that day.
func TestWeekly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // begins on Saturday, 1 January 2000
		r := newRig(t, "")
		now := func() string { return time.Now().UTC().Format("Mon 2 Jan") }
		var sent []string
		run := func(days int) {
			t.Helper()
			for range days * 4 {
				r.restart()
				before := len(r.b.messages())
				for d := collector.DayOf(time.Now()); d > 0; d = 0 {
					r.f.days(repeat(100, 30)...)
				}
				r.run(6 * time.Hour)
				for _, m := range r.b.messages()[before:] {
					sent = append(sent, now()+": "+string(m.State)+" "+m.Text)
				}
			}
		}
		wants := func(what string, want ...string) {
			t.Helper()
			if got := strings.Join(sent, "\n"); got != strings.Join(want, "\n") {
				t.Errorf("%s: got\n%s\nwant\n%s", what, got, strings.Join(want, "\n"))
			}
			sent = nil
		}
		r.weekly("")
		run(10)
		wants("nobody wants it")
		r.weekly("wednesday") // on Tuesday the 11th
		run(10)
		wants("on Wednesdays", "Wed 12 Jan: weekly Nothing unusual this week", "Wed 19 Jan: weekly Nothing unusual this week")
		time.Sleep(5 * 24 * time.Hour) // it does not run on Wednesday, the 26th
		run(3)
		wants("late", "Wed 26 Jan: weekly Nothing unusual this week")
	})
}

// A report that cannot be stored is not sent; one that cannot be sent is retried
// with the same ID.
func TestWeeklyFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		r.weekly("sunday")
		r.f.days(repeat(100, 30)...)
		r.run(time.Hour)
		time.Sleep(24 * time.Hour) // Sunday
		r.f.days(repeat(100, 30)...)
		r.f.full = true
		r.run(time.Hour)
		r.wants("the disk is full", "")
		r.f.full, r.b.down = false, true
		r.run(time.Hour)
		if r.b.tries == 0 {
			t.Error("nothing was sent")
		}
		r.b.down = false
		r.restart()
		r.run(2 * time.Hour)
		got := r.b.messages()
		if len(got) != 1 || got[0].State != alert.Weekly || got[0].To.String() != "2000-01-01" {
			t.Errorf("got %+v", got)
		}
		if strings.Contains(r.status(), "Nothing unusual") {
			t.Errorf("the report counts as an alert: %s", r.status())
		}
	})
}

// The report says what fires first, and links to the pages. Reports are kept.
func TestWeeklyContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "")
		o := local
		o.BaseURL = "https://example.org/rollcall"
		r.w = alert.New(r.f, o)
		r.w.SetTransport(r.b)
		if err := r.w.SetJSON(t.Context(), 1, `{"rules":[{"kind":"active_drop","percent":30}],"webhooks":[{"url":"https://hook.example/in"}],"weekly":"sunday"}`); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		r.f.days(repeat(200, 22, repeat(100, 8)...)...)
		r.run(time.Hour)
		var weekly *alert.Message
		for _, m := range r.b.messages() {
			if m.State == alert.Weekly {
				weekly = &m
			}
		}
		if weekly == nil {
			t.Fatalf("got %+v", r.b.messages())
		}
		const at = "https://example.org/rollcall/a/app/overview?from=1999-12-19&to=2000-01-01#active"
		want := []alert.Change{
			{insight.Firing, "Alert: active installations dropped by 50%: 100 on 2000-01-01, compared with an average of 200 on that weekday", at},
			{insight.ActiveFell, "Active installations fell by 50%, from 200 to 100", at},
			{insight.NewFell, "New installations fell by 50%, from 1,400 to 700", strings.Replace(at, "#active", "#growth", 1)},
		}
		for i, change := range want {
			if i >= len(weekly.Changes) || weekly.Changes[i] != change {
				t.Errorf("got %+v, want %+v", weekly.Changes, want)
				break
			}
			if mail := alert.MailOf("a@example.org", []string{"b@example.org"}, *weekly); !strings.Contains(mail, "Subject: [Rollcall] app: what changed in the week to 1 January\r\n") {
				t.Errorf("got the mail %s", mail)
			}
			if !strings.Contains(weekly.Text, change.Text+" "+change.URL) {
				t.Errorf("the text lacks %q: %s", change.Text, weekly.Text)
			}
		}
		weeks, err := r.w.Weeks(t.Context(), 1)
		if err != nil || len(weeks) != 1 || len(weeks[0].Findings) != 3 || weeks[0].To.String() != "2000-01-01" {
			t.Errorf("got %+v, %v", weeks, err)
		}
		firing, err := r.w.Firing(t.Context(), 1)
		if err != nil || len(firing) != 1 || "Alert: "+firing[0].Text != want[0].Text {
			t.Errorf("got %+v, %v", firing, err)
		}
	})
}
