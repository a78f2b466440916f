package schedule_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

func TestAttemptsADay(t *testing.T) {
	t.Parallel()
	var st schedule.State
	for n := 1; n <= 6; n++ {
		if st = st.Begin(midnight.Add(time.Duration(n)*time.Hour), 0); st.Attempts != n {
			t.Errorf("attempt %d: counted %d", n, st.Attempts)
		}
	}
	if st = st.Begin(midnight.Add(25*time.Hour), 0); st.Attempts != 1 {
		t.Errorf("next day: counted %d, want 1", st.Attempts)
	}
	if got, want := st.Due(0, midnight.Add(25*time.Hour)), midnight.Add(28*time.Hour); !got.Equal(want) {
		t.Errorf("next day: due at %v, want %v", got, want)
	}
	ahead := schedule.State{Success: midnight.Add(10 * day), Attempt: midnight.Add(10 * day), Attempts: 4}
	if st := ahead.Begin(midnight, 0); st.Attempts != 1 || !st.Success.IsZero() {
		t.Errorf("after a clock that was ahead: %+v", st)
	}
}

// The first retry comes 3 to 12 hours after a failure, each further one after
// 6 to 24 hours, in addition to what the collector asks for.
func TestRetry(t *testing.T) {
	t.Parallel()
	now := midnight.Add(10 * time.Hour)
	for _, tt := range []struct {
		luck          float64
		first, second time.Duration
	}{
		{0, 3 * time.Hour, 6 * time.Hour},
		{0.5, 7*time.Hour + 30*time.Minute, 15 * time.Hour},
		{1, 12 * time.Hour, 24 * time.Hour},
	} {
		for _, asked := range []time.Duration{0, time.Minute, 7 * day} {
			failure := &schedule.Error{Text: "503", RetryAfter: asked}
			st := schedule.State{}.Begin(now, tt.luck)
			if wait := st.Retry.Sub(now); wait != tt.first {
				t.Errorf("luck %v: wait %v if the process ends, want %v", tt.luck, wait, tt.first)
			}
			st = st.Failed(0, now, "", failure, tt.luck)
			if wait := st.Due(0, now).Sub(now); wait != asked+tt.first {
				t.Errorf("luck %v, asked for %v: wait %v, want %v", tt.luck, asked, wait, asked+tt.first)
			}
			again := st.Retry
			st = st.Begin(again, tt.luck)
			if wait := st.Retry.Sub(again); wait != tt.second {
				t.Errorf("luck %v: wait %v if the process ends again, want %v", tt.luck, wait, tt.second)
			}
			st = st.Failed(0, again, "", failure, tt.luck)
			if wait := st.Retry.Sub(again); wait != asked+tt.second {
				t.Errorf("luck %v, asked for %v: second wait %v, want %v", tt.luck, asked, wait, asked+tt.second)
			}
			if !st.Failing.Equal(now) {
				t.Errorf("failing since %v, want %v", st.Failing, now)
			}
			// A clock that was set back knows no failure of the future.
			if st = st.Failed(0, now.Add(-time.Hour), "", failure, 0); !st.Failing.Equal(now.Add(-time.Hour)) {
				t.Errorf("failing since %v, want an hour before %v", st.Failing, now)
			}
		}
	}
}

// N3: a report that is refused is not retried on that day.
func TestRefused(t *testing.T) {
	t.Parallel()
	const phase = schedule.Phase(7 * time.Hour)
	now := midnight.Add(10 * time.Hour)
	st := schedule.State{}.Begin(now, 0).Failed(phase, now, "", &schedule.Error{Text: "400", Refused: true, RetryAfter: time.Minute}, 0)
	if got, want := st.Due(phase, now), midnight.Add(31*time.Hour); !got.Equal(want) {
		t.Errorf("due at %v, want %v", got, want)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	const here, elsewhere = "https://a.example", "https://b.example"
	var st schedule.State
	if st.GoneAt(here) || st.GoneAt("") || st.HealthGoneAt(here) {
		t.Error("a new installation: gone")
	}
	st = st.Failed(0, midnight, here, &schedule.Error{Text: "410", Gone: true}, 0).WithHealthGone(elsewhere)
	saved, err := schedule.Parse(st.Marshal())
	if err != nil || saved != st {
		t.Errorf("saved %+v, %v, want %+v", saved, err, st)
	}
	if !st.GoneAt(here) || st.GoneAt(elsewhere) || st.HealthGoneAt(here) || !st.HealthGoneAt(elsewhere) {
		t.Errorf("got %+v", st)
	}
	if st = st.Succeeded(midnight); st.GoneAt(here) || !st.HealthGoneAt(elsewhere) {
		t.Errorf("after a success: %+v", st)
	}
}

func TestSucceeded(t *testing.T) {
	t.Parallel()
	st := schedule.State{}.Seen(0, midnight, 0).Begin(midnight, 0)
	st = st.Failed(0, midnight, "", &schedule.Error{Text: "503"}, 0).Succeeded(midnight.Add(time.Hour + time.Millisecond))
	want := schedule.State{Success: midnight.Add(time.Hour), Attempt: midnight, Attempts: 1}
	if st != want {
		t.Errorf("got %+v, want %+v", st, want)
	}
}

// The documents say what TestRetry and TestYearOffline show.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"protocol.md", "decisions/0010-retries-spread-not-doubled.md"} {
		data, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(data)), " ")
		for _, want := range []string{
			`\b3 (to|and) 12 hours`, `\b6 (to|and) 24\b`,
			`at most four attempts a day, one a day after two weeks without success, and one a week after two months`,
		} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("docs/%s does not say %q", page, want)
			}
		}
	}
}

// N2.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const week = 7 * day
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "1": time.Minute, "59": time.Minute, "60": time.Minute, "61": 61 * time.Second, " 3600 ": time.Hour,
		"604799": week - time.Second, "604800": week, "604801": week, "31536000000": week,
		"9223372036854775807": week, "9223372036854775808": week,
		"-1": 0, "-10000000000": 0, "-9223372036854775807": 0, "-9223372036854775808": 0, "-99999999999999999999": 0,
		"+60": 0, "1.5": 0, "1e9": 0, "0x10": 0, "soon": 0, "60, 120": 0, "６０": 0, strings.Repeat("9", 10_000): week,
		now.Add(2 * time.Hour).Format(http.TimeFormat):   2 * time.Hour,
		now.Add(time.Second).Format(http.TimeFormat):     time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):      0,
		now.AddDate(1000, 0, 0).Format(http.TimeFormat):  week,
		now.AddDate(-1000, 0, 0).Format(http.TimeFormat): 0,
		now.Add(time.Hour).Format(time.RFC850):           time.Hour,
		now.Add(time.Hour).Format(time.ANSIC):            time.Hour,
		now.Add(time.Hour).Format(time.RFC3339):          0,
		"Mon, 99 Foo 2027 99:99:99 GMT":                  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":                  week,
		"Mon, 01 Mar 2027 12:00:00 GMT, 60":              0,
		strings.Repeat("x", 100_000):                     0,
		"60\x00":                                         0,
		fmt.Sprint(7 * 24 * 3600 * 1000):                 week,
	} {
		if got := schedule.RetryAfter(value, now); got != want {
			t.Errorf("%.40q: got %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"60", "-1", "Mon, 01 Mar 2027 13:00:00 GMT", "99999999999999999999"} {
		f.Add(seed)
	}
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := schedule.RetryAfter(value, now); got != 0 && (got < time.Minute || got > 7*day) {
			t.Errorf("%q: %v", value, got)
		}
		want, err := http.ParseTime(strings.TrimSpace(value))
		if got := schedule.RetryAfter(value, now); err == nil && (got == 0) != !want.After(now) {
			t.Errorf("%q: got %v, want it to be read as %v", value, got, want)
		}
	})
}
