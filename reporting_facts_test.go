package rollcall_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/internal/test/faultfs"
	"github.com/rollcall-dev/rollcall/report"
)

// level is a type that a host defines.
type level string

// TestReportingFacts is N10: a wrong value is left out, and the heartbeat is sent
// all the same.
func TestReportingFacts(t *testing.T) {
	yes := report.BoolFact("it", "Says whether it is so.")
	enum := report.EnumFact("it", "Says which it is.", "one", "two")
	bucket := report.BucketFact("it", "Says how many there are.", 1, 10, 100)
	giving := func(value any) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { return value, nil }
	}
	truth := true
	tests := []struct {
		name        string
		declaration report.Fact
		value       func(context.Context) (any, error)
		want        string // "" if it is left out
		reason      string // why it is
	}{
		{"boolean", yes, giving(true), "true", ""},
		{"enumeration", enum, giving("two"), "two", ""},
		{"enumeration of the host's type", enum, giving(level("one")), "one", ""},
		{"bucket", bucket, giving(7), "1-9", ""},
		{"bucket of int64", bucket, giving(int64(100)), ">=100", ""},
		{"below all buckets", bucket, giving(math.MinInt64), "<1", ""},
		{"above all buckets", bucket, giving(uint64(math.MaxUint64)), ">=100", ""},

		{"panic", yes, func(context.Context) (any, error) { panic("host") }, "", "its function panicked: host"},
		{"end of the goroutine", yes, func(context.Context) (any, error) { runtime.Goexit(); return true, nil }, "", "its function ended its goroutine"},
		{"blocks for an hour", yes, func(context.Context) (any, error) { time.Sleep(time.Hour); return true, nil }, "", "its function did not return in time"},
		{"blocks until its context ends", yes, func(ctx context.Context) (any, error) { <-ctx.Done(); return true, nil }, "", "its function did not return in time"},
		{"error", yes, func(context.Context) (any, error) { return true, errors.New("no") }, "", "its function failed: no"},
		{"nothing", yes, giving(nil), "", ""},
		{"text for a boolean", yes, giving("true"), "", "a value of type string is not a bool"},
		{"number for a boolean", yes, giving(1), "", "a value of type int is not a bool"},
		{"pointer", yes, giving(&truth), "", "a value of type *bool is not a bool"},
		{"nil pointer", bucket, giving((*int)(nil)), "", "a value of type *int is not a number"},
		{"undeclared value", enum, giving("three"), "", "the text is not one of the declared values: one, two"},
		{"value in another case", enum, giving("One"), "", "the text is not one of the declared values: one, two"},
		{"empty value", enum, giving(""), "", "the text is not one of the declared values: one, two"},
		{"free text", enum, giving("one two"), "", "the text is not one of the declared values: one, two"},
		{"boolean for an enumeration", enum, giving(true), "", "a value of type bool is not one of the declared values: one, two"},
		{"text for a number", bucket, giving("7"), "", "a value of type string is not a number"},
		{"not a number", bucket, giving(math.NaN()), "", "the number is infinite, or not a number"},
		{"infinite", bucket, giving(math.Inf(1)), "", "the number is infinite, or not a number"},
		{"list", bucket, giving([]int{7}), "", "a value of type []int is not a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, granted, func(t *testing.T, s *site) {
				service := s.start(func(c *rollcall.Config) {
					c.Facts = []rollcall.Fact{
						{Declaration: tt.declaration, Value: tt.value},
						fact(report.BoolFact("other", "Shows that other facts are not lost."), true),
					}
				})
				begin := time.Now()
				send(t, service)
				if d := time.Since(begin); d > time.Second {
					t.Errorf("took %v", d)
				}
				facts := s.lastHeartbeat().Facts
				if got, ok := facts.Get("it"); got != tt.want || ok != (tt.want != "") {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if got, _ := facts.Get("other"); got != "true" {
					t.Errorf("the other fact: got %q", got)
				}
				wantLeftOut(t, s, service, tt.reason)
				s.stop(service)
				time.Sleep(time.Hour) // until the function that blocks returns
			})
		})
	}
}

// wantLeftOut checks that the preview says why the fact "it" is left out, and
// the log did so once.
func wantLeftOut(t *testing.T, s *site, service *rollcall.Service, reason string) {
	t.Helper()
	for _, f := range preview(t, service).Fields {
		want := ""
		if f.Name == "facts.it" {
			want = reason
		}
		if f.LeftOut != want || want != "" && f.Value != "" {
			t.Errorf("%s: got value %s, left out: %q, want %q", f.Name, f.Value, f.LeftOut, want)
		}
	}
	var lines []string
	for _, line := range s.log.lines {
		if strings.Contains(line.text, "Fact left out") {
			lines = append(lines, line.text)
		}
	}
	want := "DEBUG Fact left out of the report fact=it reason=" + reason
	if reason == "" && len(lines) > 0 || reason != "" && (len(lines) != 1 || lines[0] != want) {
		t.Errorf("logged %q, want %q once", lines, want)
	}
}

// TestReportingFactsBlock: however many functions block, they delay a report by a
// second, and none is called while an earlier call runs.
func TestReportingFactsBlock(t *testing.T) {
	for _, variable := range consentVariables {
		t.Setenv(variable, "")
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(withID(knownID), "false", "true", 1))
		var calls, running [report.MaxFacts]atomic.Int32
		release := make(chan struct{})
		service := r.start(func(c *rollcall.Config) {
			for i := range report.MaxFacts {
				c.Facts = append(c.Facts, rollcall.Fact{
					Declaration: report.BoolFact(fmt.Sprintf("fact%d", i), "Is one of many."),
					Value: func(context.Context) (any, error) {
						calls[i].Add(1)
						if running[i].Add(1) > 1 {
							t.Errorf("fact %d: called while it runs", i)
						}
						defer running[i].Add(-1)
						if i > 0 {
							<-release
						}
						return true, nil
					},
				})
			}
		})
		before := runtime.NumGoroutine()
		for range 5 {
			begin := time.Now()
			p := preview(t, service)
			if d := time.Since(begin); d != time.Second {
				t.Errorf("took %v, want a second", d)
			}
			if got := strings.Count(string(p.Heartbeat), `"fact`); got != 2 { // "facts" and "fact0"
				t.Errorf("got heartbeat %s", p.Heartbeat)
			}
		}
		synctest.Wait() // goroutines that wait for an earlier call end with their report
		if n := runtime.NumGoroutine() - before; n > report.MaxFacts {
			t.Errorf("%d more goroutines", n)
		}
		if n := calls[1].Load(); n != 1 {
			t.Errorf("the function that blocks was called %d times", n)
		}
		if n := calls[0].Load(); n != 5 {
			t.Errorf("the function that does not block was called %d times, want 5", n)
		}
		close(release)
		synctest.Wait()
		if got := strings.Count(string(preview(t, service).Heartbeat), `"fact`); got != 1+report.MaxFacts {
			t.Errorf("got %d facts after the functions were released", got-1)
		}
	})
}

// TestReportingFactsNotGranted: the function of a withheld fact is not called.
func TestReportingFactsNotGranted(t *testing.T) {
	s := newSite(t, granted)
	service := s.start(func(c *rollcall.Config) {
		c.Facts = []rollcall.Fact{{
			Declaration: report.BoolFact("later", "Was added later.").AddedIn(2),
			Value:       func(context.Context) (any, error) { t.Error("called"); return true, nil },
		}}
	})
	send(t, service)
	if facts := s.lastHeartbeat().Facts; len(facts) > 0 {
		t.Errorf("got %v", facts)
	}
}

// TestReportingFactsDeclared: an invalid declaration is an error of New.
func TestReportingFactsDeclared(t *testing.T) {
	value := func(context.Context) (any, error) { return true, nil }
	for want, facts := range map[string][]rollcall.Fact{
		"Facts[0]: no Value function": {{Declaration: report.BoolFact("a", "Is so.")}},
		"declared twice": {
			{Declaration: report.BoolFact("a", "Is so."), Value: value}, {Declaration: report.BoolFact("a", "Is not."), Value: value},
		},
		"reason":           {{Declaration: report.BoolFact("a", ""), Value: value}},
		"name":             {{Declaration: report.BoolFact("A B", "Is so."), Value: value}},
		"neither BoolFact": {{Declaration: report.Fact{Name: "a", Reason: "Is so."}, Value: value}},
	} {
		_, err := rollcall.New(rollcall.Config{App: "my-app", StateDir: faultfs.Abs("/state"), Facts: facts})
		if err == nil || !strings.HasPrefix(err.Error(), "rollcall: Config.Facts") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A host writes the file that declares its facts to the collector.
func TestConfigDeclaration(t *testing.T) {
	t.Parallel()
	c := rollcall.Config{Facts: []rollcall.Fact{{
		Declaration: report.BoolFact("tls", "whether HTTP can go"), Value: func(context.Context) (any, error) { return true, nil },
	}}}
	d, err := c.Declaration()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if want := `{"facts":[{"name":"tls","reason":"whether HTTP can go","type":"bool"}]}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	c.Facts[0].Value = nil
	if _, err := c.Declaration(); err == nil {
		t.Error("a fact without a value: got nil, want an error")
	}
}
