package alert_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall/collector"
	"github.com/rollcall-dev/rollcall/collector/alert"
)

// A fake is a collector whose figures are set by hand. Its settings outlive a watcher, as a store does a process.
type fake struct {
	settings map[string][]byte
	points   []collector.SeriesPoint
	asOf     time.Time
	steps    []collector.FloorStep
	issues   []collector.Issue
}

func (f *fake) Apps() []collector.App { return []collector.App{{Num: 1, Key: "app"}} }

func (f *fake) Today(collector.AppNum) (today, since collector.Day, err error) {
	return collector.DayOf(time.Now()), 0, nil
}

func (f *fake) Series(_ context.Context, _ collector.AppNum, r collector.Range, _ collector.View) (collector.Series, error) {
	s := collector.Series{Meta: collector.Meta{AsOf: f.asOf}}
	for _, p := range f.points {
		if r.From <= p.Day && p.Day <= r.To {
			s.Points = append(s.Points, p)
		}
	}
	return s, nil
}

func (f *fake) Floor(context.Context, collector.AppNum, collector.Day, collector.View) (collector.Floor, error) {
	return collector.Floor{Steps: f.steps}, nil
}

func (f *fake) Issues(context.Context, collector.AppNum, collector.Range, collector.View) (collector.Issues, error) {
	return collector.Issues{Issues: f.issues}, nil
}

func (f *fake) Setting(_ context.Context, _ collector.AppNum, name string) ([]byte, bool, error) {
	data, ok := f.settings[name]
	return data, ok, nil
}

func (f *fake) PutSetting(_ context.Context, _ collector.AppNum, name string, data []byte) error {
	f.settings[name] = data
	return nil
}

func figure(n uint64) collector.Figure { return &n }

// days sets the figures of the last days; the last one is today.
func (f *fake) days(active ...uint64) {
	f.points = nil
	today := collector.DayOf(time.Now())
	for i, n := range active {
		day := today - collector.Day(len(active)-1-i)
		a := collector.Active{Day: figure(n), Week: figure(n), Days28: figure(n), Days30: figure(n)}
		f.points = append(f.points, collector.SeriesPoint{Day: day, Active: a, Established: a, New: figure(n)})
	}
}

func repeat(n uint64, times int, then ...uint64) []uint64 {
	all := make([]uint64, times)
	for i := range all {
		all[i] = n
	}
	return append(all, then...)
}

// each kind of rule fires once when its condition begins, not again after a restart, and says when it is over.
func TestRules(t *testing.T) {
	issue := func(newest, before float64) []collector.Issue {
		return []collector.Issue{{Component: "c", Reason: "r", Versions: []collector.IssueVersion{
			{Version: "2.0", Active: figure(500), Affected: figure(1), PerThousand: newest},
			{Version: "1.0", Active: figure(500), Affected: figure(1), PerThousand: before},
			{Version: "3.0", Active: figure(5), Affected: figure(5), PerThousand: 1000}, // too few
		}}}
	}
	for name, tt := range map[string]struct {
		rule         string
		calm, alarm  func(f *fake)
		wantInTheEnd string
	}{
		"active drop": {`{"kind":"active_drop","percent":30}`, func(f *fake) { f.days(repeat(100, 40)...) }, func(f *fake) { f.days(repeat(100, 38, 60, 5)...) }, "dropped by 40 %"},
		"issue rate":  {`{"kind":"issue_rate","percent":50}`, func(f *fake) { f.issues = issue(10, 10) }, func(f *fake) { f.issues = issue(40, 10) }, "40 of 1,000"},
		"adoption": {`{"kind":"adoption","percent":50,"version":"2.0"}`, func(f *fake) { f.steps = []collector.FloorStep{{Version: "2.0", Share: .2}} },
			func(f *fake) {
				f.steps = []collector.FloorStep{{Version: "2.1", Share: .3}, {Version: "2.0", Share: .6}}
			}, "60 %"},
		"silence": {`{"kind":"silence","hours":6}`, func(f *fake) { f.days(9, 9); f.asOf = time.Now() }, func(f *fake) { f.days(9, 9); f.asOf = time.Now().Add(-7 * time.Hour) }, "7 hours"},
		"burst":   {`{"kind":"new_burst","percent":200}`, func(f *fake) { f.days(repeat(10, 20)...) }, func(f *fake) { f.days(repeat(10, 20, 90)...) }, "90 installations are new"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{settings: map[string][]byte{}}
				w := alert.New(f, nil)
				if err := w.SetConfig(t.Context(), 1, `{"rules":[`+tt.rule+`],"webhooks":[]}`); err != nil {
					t.Fatal(err)
				}
				run := func(w *alert.Watcher, during time.Duration) {
					ctx, cancel := context.WithTimeout(t.Context(), during)
					defer cancel()
					w.Run(ctx)
				}
				last := func() string { return string(f.settings["alerts.state"]) }
				tt.calm(f)
				run(w, 11*time.Minute)
				if got := last(); got != "" {
					t.Errorf("fired without a cause: %s", got)
				}
				tt.alarm(f)
				run(w, 6*time.Minute)
				if got := last(); !strings.Contains(got, tt.wantInTheEnd) {
					t.Errorf("got %s, want %q in it", got, tt.wantInTheEnd)
				}
				before := last()
				tt.alarm(f)
				run(alert.New(f, nil), 11*time.Minute) // after a restart
				if last() != before {
					t.Errorf("said again: %s", last())
				}
				tt.calm(f)
				run(alert.New(f, nil), 6*time.Minute)
				if got := last(); !strings.Contains(got, `"firing":{}`) || !strings.Contains(got, "Over: ") {
					t.Errorf("not over: %s", got)
				}
			})
		})
	}
}

func TestBadConfigs(t *testing.T) {
	w := alert.New(&fake{settings: map[string][]byte{}}, nil)
	for text, want := range map[string]string{
		`{`:                                  "JSON",
		`{"rules":[],"more":1}`:              "more",
		`{"rules":[{"kind":"what"}]}`:        "rules[0]: kind",
		`{"rules":[{"kind":"active_drop"}]}`: "rules[0]: percent",
		`{"rules":[{"kind":"silence","hours":1000}]}`:                                                         "rules[0]: hours",
		`{"rules":[{"kind":"adoption","percent":50}]}`:                                                        "rules[0]: version",
		`{"rules":[` + strings.Repeat(`{"kind":"silence","hours":1},`, 20) + `{"kind":"silence","hours":1}]}`: "20 rules",
		`{"webhooks":[{"url":"ftp://x"}]}`:                                                                    "webhooks[0].url",
		`{"email":{"server":"host","from":"a@b.example","to":["c@d.example"]}}`:                               "email.server",
		`{"email":{"server":"h:25","from":"a","to":["c@d.example"]}}`:                                         "email.from",
		`{"email":{"server":"h:25","from":"a@b.example","to":[]}}`:                                            "email.to",
		`{"email":{"server":"h:25","from":"a@b.example","to":["x\r\nBcc: y"]}}`:                               "email.to[0]",
	} {
		if err := w.SetConfig(t.Context(), 1, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := w.Test(t.Context(), 1); err == nil {
		t.Error("a test without a target went well")
	}
}

func TestWebhook(t *testing.T) {
	var got []byte
	var signature string
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		signature = r.Header.Get("X-Rollcall-Signature")
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:9/")
		}
		w.WriteHeader(status)
	}))
	defer hook.Close()
	w := alert.New(&fake{settings: map[string][]byte{}}, nil)
	if err := w.SetConfig(t.Context(), 1, fmt.Sprintf(`{"rules":[],"webhooks":[{"url":%q,"secret":"key"}]}`, hook.URL)); err != nil {
		t.Fatal(err)
	}
	if err := w.Test(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	var m alert.Message
	if err := json.Unmarshal(got, &m); err != nil || m.State != "test" {
		t.Errorf("got %s, %v", got, err)
	}
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(got)
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); signature != want {
		t.Errorf("got signature %q, want %q", signature, want)
	}
	for _, status = range []int{http.StatusFound, http.StatusInternalServerError} {
		if err := w.Test(t.Context(), 1); err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("status %d: got %v", status, err)
		}
	}
	if lines, err := w.Status(t.Context(), 1); err != nil || !strings.Contains(strings.Join(lines, "\n"), "Not delivered") {
		t.Errorf("got %q, %v", lines, err)
	}
}

// A mail server on loopback gets the mail, whose headers hold nothing but what the maintainer set.
func TestEmail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mails := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 test\r\n")
		in, data := bufio.NewScanner(conn), false
		var all strings.Builder
		for in.Scan() {
			line := in.Text()
			all.WriteString(line + "\n")
			switch {
			case data && line == ".":
				data = false
				fmt.Fprint(conn, "250 ok\r\n")
			case data:
			case strings.HasPrefix(line, "EHLO"):
				fmt.Fprint(conn, "250 test\r\n")
			case line == "DATA":
				data = true
				fmt.Fprint(conn, "354 go on\r\n")
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				mails <- all.String()
				return
			default:
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	w := alert.New(&fake{settings: map[string][]byte{}}, nil)
	config := fmt.Sprintf(`{"rules":[],"email":{"server":%q,"from":"Rollcall <from@test.example>","to":["to@test.example"]}}`, l.Addr())
	if err := w.SetConfig(t.Context(), 1, config); err != nil {
		t.Fatal(err)
	}
	if err := w.Test(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := <-mails
	for _, want := range []string{"MAIL FROM:<from@test.example>", "RCPT TO:<to@test.example>", "Subject: [Rollcall] : test", base64.StdEncoding.EncodeToString([]byte("A test: alerts reach you."))[:30]} {
		if !strings.Contains(got, want) {
			t.Errorf("the mail has no %q:\n%s", want, got)
		}
	}
}
