package sender

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return midnight.Add(time.Duration(hour) * time.Hour) }
	want := State{
		Since: at(1), Success: at(2), Present: at(3), Attempt: at(4), Attempts: 3, Failing: at(5), Retry: at(6),
		Error: "no answer", Gone: mark("https://a.example"), HealthGone: mark("https://b.example"),
	}
	got, err := ParseState(want.Marshal())
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if data := (State{}).Marshal(); string(data) != "{}" {
		t.Errorf("zero state: got %s, want {}", data)
	}
}

// The largest state is what Config.Save is promised.
func TestStateSize(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x00", "<", `"`, "é", "\u2028", "\xff", "漢"} {
		at := time.Date(2226, 12, 31, 23, 59, 59, 999, time.FixedZone("", 3600))
		st := State{Since: at, Success: at, Present: at, Attempt: at, Attempts: math.MaxInt64, Retry: at}
		failed := &Error{Text: strings.Repeat(text, 5000), Gone: true}
		st = st.failed(0, at, strings.Repeat("https://e.example/<&", 100), failed)
		st.HealthGone = mark(strings.Repeat("x", 1000))
		data := st.Marshal()
		if len(data) > maxState {
			t.Errorf("text of %q: %d bytes, want at most %d: %s", text, len(data), maxState, data)
		}
		if _, err := ParseState(data); err != nil {
			t.Errorf("text of %q: %v", text, err)
		}
	}
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null and void", "[]", "{", `{"last_success":"yesterday"}`, `{"last_success":1}`, `{"attempts_today":-1}`,
		`{"attempts_today":1e999}`, `{"last_success":"99999-01-01T00:00:00Z"}`, `{} {}`, "\x00\x00",
		strings.Repeat(" ", maxState) + "{}", strings.Repeat("[", 100_000), `{"last_error":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		got, err := ParseState([]byte(text))
		if err == nil || got != (State{}) {
			t.Errorf("%.40q: got %+v, %v, want an error and the zero state", text, got, err)
		} else if strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%.40q: the error quotes it: %v", text, err)
		}
	}
	for _, text := range []string{"null", `{"unknown":1}`, `{"gone":"https://somewhere.example"}`} {
		if got, err := ParseState([]byte(text)); err != nil || got != (State{}) {
			t.Errorf("%q: got %+v, %v, want the zero state", text, got, err)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add(State{Success: midnight, Attempts: 2, Error: "no answer", Gone: mark("e")}.Marshal())
	f.Add([]byte(`{"last_success":"9999-12-31T23:59:59+14:00","retry_after":"0001-01-01T00:00:00-14:00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := ParseState(data)
		if err != nil {
			return
		}
		// Whatever it holds, there is a report in the next days, and no more than one at once.
		now := midnight
		h := &host{phase: 9 * time.Hour, kept: true, state: st}
		h.start(now)
		limit := maxRetryAfter + 2*retryMax + 2*day
		if !st.Attempt.IsZero() && !st.Failing.IsZero() {
			limit += 7 * day
		}
		if reports := h.run(now, now.Add(limit)); len(reports) == 0 || len(reports) > int(limit/day)+2 {
			t.Errorf("%d reports in %v", len(reports), limit)
		}
		for _, st := range []State{st, h.state} {
			out := st.Marshal()
			if again, err := ParseState(out); len(out) <= maxState && (err != nil || again != st) {
				t.Errorf("got %+v, %v, want %+v", again, err, st)
			}
		}
		if out := h.state.Marshal(); len(out) > maxState || bytes.Contains(out, []byte("\n")) {
			t.Errorf("%d bytes: %s", len(out), out)
		}
	})
}

func TestAttemptsADay(t *testing.T) {
	t.Parallel()
	var st State
	for n := 1; n <= 6; n++ {
		st = st.begin(midnight.Add(time.Duration(n) * time.Hour))
		if st.Attempts != n {
			t.Errorf("attempt %d: counted %d", n, st.Attempts)
		}
	}
	if st = st.begin(midnight.Add(25 * time.Hour)); st.Attempts != 1 {
		t.Errorf("next day: counted %d, want 1", st.Attempts)
	}
	if st := (State{Success: midnight.Add(10 * day), Attempt: midnight.Add(10 * day), Attempts: 4}).begin(midnight); st.Attempts != 1 || !st.Success.IsZero() {
		t.Errorf("after a clock that was ahead: %+v", st)
	}
	if got := st.budget(0); !got.IsZero() {
		t.Errorf("next day: budget used up until %v", got)
	}
}

// N3: what is refused is not tried again on that day; all else some hours later, at a moment that differs.
func TestRetry(t *testing.T) {
	t.Parallel()
	const phase = 7 * time.Hour
	now := midnight.Add(10 * time.Hour)
	refused := State{}.begin(now).failed(phase, now, "", &Error{Status: 400, Refused: true})
	if got, want := due(phase, refused, now), midnight.Add(day+phase); !got.Equal(want) {
		t.Errorf("refused: due at %v, want the next day at %v", got, want)
	}
	seen := map[time.Time]bool{}
	for range 100 {
		for n, asked := range []time.Duration{0, time.Minute, maxRetryAfter} {
			failed := &Error{Status: 503, RetryAfter: asked}
			st := State{}.begin(now).failed(phase, now, "", failed)
			wait := due(phase, st, now).Sub(now)
			if wait < asked+retryMin || wait >= asked+retryMax {
				t.Errorf("first failure, asked for %v: wait %v", asked, wait)
			}
			if n == 0 {
				seen[st.Retry] = true
			}
			again := st.Retry
			st = st.begin(again).failed(phase, again, "", failed)
			if wait := st.Retry.Sub(again); wait < asked+2*retryMin || wait >= asked+2*retryMax {
				t.Errorf("second failure, asked for %v: wait %v", asked, wait)
			}
			if !st.Failing.Equal(now) {
				t.Errorf("failing since %v, want %v", st.Failing, now)
			}
		}
	}
	if len(seen) < 90 {
		t.Errorf("%d different moments of 100", len(seen))
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"no answer":                    "no answer",
		"a\nb\x1b[31mc":                "a b [31mc",
		`<script>"\`:                   "'script'''",
		"\xff":                         "?",
		strings.Repeat("a", maxText):   strings.Repeat("a", maxText),
		strings.Repeat("a", maxText+1): strings.Repeat("a", maxText-3) + "...",
		strings.Repeat("é", maxText):   strings.Repeat("é", maxText/2-2) + "...",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
		if got := plain(plain(in)); got != plain(in) {
			t.Errorf("plain twice of %q: %q", in, got)
		}
	}
}
