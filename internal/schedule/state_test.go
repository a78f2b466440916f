package schedule_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	at := func(hour int) time.Time { return midnight.Add(time.Duration(hour) * time.Hour) }
	want := schedule.State{
		Since: at(1), Success: at(2), Present: at(3), Attempt: at(4), Attempts: 3, Failing: at(5), Retry: at(6),
		Error: "no answer", Gone: "0123456789abcdef", HealthGone: "fedcba9876543210",
	}
	const form = `{"due_since":"2027-03-01T01:00:00Z","last_success":"2027-03-01T02:00:00Z","present":"2027-03-01T03:00:00Z",` +
		`"last_attempt":"2027-03-01T04:00:00Z","attempts_today":3,"failing_since":"2027-03-01T05:00:00Z","retry_after":"2027-03-01T06:00:00Z",` +
		`"last_error":"no answer","gone":"0123456789abcdef","health_gone":"fedcba9876543210"}`
	if data := want.Marshal(); string(data) != form { // files of today must stay readable
		t.Errorf("got %s, want %s", data, form)
	}
	got, err := schedule.Parse([]byte(form))
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if data := (schedule.State{}).Marshal(); string(data) != "{}" {
		t.Errorf("zero state: got %s, want {}", data)
	}
	if data := (schedule.State{Since: midnight.AddDate(9000, 0, 0)}).Marshal(); string(data) != "{}" {
		t.Errorf("year 11027: got %s, want {}", data)
	}
	got, err = schedule.Parse([]byte(`{"last_success":"2027-03-01T01:00:00.5+01:00"}`))
	if err != nil || got != (schedule.State{Success: midnight}) {
		t.Errorf("got %+v, %v, want a success at %v", got, err, midnight)
	}
}

// No state is larger than 1,000 bytes, which the store is promised.
func TestStateSize(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\x00", "<", `"`, "é", "\u2028", "\xff", "漢"} {
		at := time.Date(2226, 12, 31, 23, 59, 59, 999, time.FixedZone("", 3600))
		st := schedule.State{Since: at, Success: at, Present: at, Attempt: at, Attempts: math.MaxInt64, Retry: at}
		failure := &schedule.Error{Text: strings.Repeat(text, 5000), Gone: true}
		st = st.Failed(0, at, strings.Repeat("https://e.example/<&", 100), failure, 0)
		st = st.WithHealthGone(strings.Repeat("x", 1000))
		data := st.Marshal()
		if len(data) > 1000 {
			t.Errorf("text of %q: %d bytes, want at most 1000: %s", text, len(data), data)
		}
		if _, err := schedule.Parse(data); err != nil {
			t.Errorf("text of %q: %v", text, err)
		}
	}
}

func TestDamagedState(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null and void", "[]", "{", `{"last_success":"yesterday"}`, `{"last_success":1}`, `{"attempts_today":-1}`,
		`{"attempts_today":1e999}`, `{"last_success":"99999-01-01T00:00:00Z"}`, `{} {}`, "\x00\x00",
		strings.Repeat(" ", 999) + "{}", strings.Repeat("[", 100_000), `{"last_error":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		got, err := schedule.Parse([]byte(text))
		if err == nil || got != (schedule.State{}) {
			t.Errorf("%.40q: got %+v, %v, want an error and the zero state", text, got, err)
		} else if strings.Contains(err.Error(), "yesterday") {
			t.Errorf("%.40q: the error quotes it: %v", text, err)
		}
	}
	for _, text := range []string{"null", `{"unknown":1}`, `{"gone":"https://somewhere.example"}`, strings.Repeat(" ", 998) + "{}"} {
		if got, err := schedule.Parse([]byte(text)); err != nil || got != (schedule.State{}) {
			t.Errorf("%q: got %+v, %v, want the zero state", text, got, err)
		}
	}
	if got, err := schedule.Parse([]byte(`{"last_error":"<b>"}`)); err != nil || got.Error != "'b'" {
		t.Errorf("got %q, %v, want a plain text", got.Error, err)
	}
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add(schedule.State{Success: midnight, Attempts: 2, Error: "no answer", Gone: "0123456789abcdef"}.Marshal())
	f.Add([]byte(`{"last_success":"9999-12-31T23:59:59+14:00","retry_after":"0001-01-01T00:00:00-14:00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := schedule.Parse(data)
		if err != nil {
			return
		}
		// Whatever is in it, there is a report in the next days, and no more
		// than one at once.
		now := midnight
		in := &installation{phase: schedule.Phase(9 * time.Hour), state: st}
		in.start(now)
		limit := 10 * day // Retry-After of a week, a day for a retry, and two to spare
		if !st.Attempt.IsZero() && !st.Failing.IsZero() {
			limit += 7 * day
		}
		if reports := in.run(now, now.Add(limit)); len(reports) == 0 || len(reports) > int(limit/day)+2 {
			t.Errorf("%d reports in %v", len(reports), limit)
		}
		for _, st := range []schedule.State{st, in.state} {
			out := st.Marshal()
			if again, err := schedule.Parse(out); len(out) <= 1000 && (err != nil || again != st) {
				t.Errorf("got %+v, %v, want %+v", again, err, st)
			}
		}
		if out := in.state.Marshal(); len(out) > 1000 || bytes.Contains(out, []byte("\n")) {
			t.Errorf("%d bytes: %s", len(out), out)
		}
	})
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"no answer":              "no answer",
		"a\nb\x1b[31mc":          "a b [31mc",
		`<script>"\`:             "'script'''",
		"\xff":                   "?",
		strings.Repeat("a", 200): strings.Repeat("a", 200),
		strings.Repeat("a", 201): strings.Repeat("a", 197) + "...",
		strings.Repeat("é", 200): strings.Repeat("é", 98) + "...",
	} {
		if got := schedule.Plain(in); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
		if once := schedule.Plain(in); schedule.Plain(once) != once {
			t.Errorf("Plain twice of %q: got %q", in, schedule.Plain(once))
		}
	}
}
