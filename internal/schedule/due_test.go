package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

func TestDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		if strings.Count(text, ":") == 1 {
			text += ":00"
		}
		v, err := time.Parse("2 15:04:05", text)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2028, 2, v.Day(), v.Hour(), v.Minute(), v.Second(), 0, time.UTC) // a leap year
	}
	type State = schedule.State
	for _, tt := range []struct {
		name    string
		phase   time.Duration
		state   State
		now     string
		want    string
		overdue bool
	}{
		{name: "never", now: "10 12:00", want: ""},
		{name: "never, seen before", state: State{Since: at("10 11:00")}, now: "10 12:00", want: "10 11:00"},
		{name: "never, seen long before", state: State{Since: at("10 01:00")}, now: "10 12:00", want: "10 01:00", overdue: true},
		{name: "at the slot", phase: 8 * time.Hour, state: State{Success: at("10 08:02")}, now: "10 12:00", want: "11 08:00"},
		{name: "exactly at the slot", phase: 8 * time.Hour, state: State{Success: at("10 08:00")}, now: "10 08:00", want: "11 08:00"},
		{name: "phase 0", state: State{Success: at("10 00:00")}, now: "10 00:00", want: "11 00:00"},
		{name: "phase 0, late the day before", state: State{Success: at("9 23:59")}, now: "9 23:59", want: "10 00:00"},
		{name: "leap day", phase: 23 * time.Hour, state: State{Success: at("28 23:01")}, now: "29 12:00", want: "29 23:00"},
		{name: "before the slot, and running at it", phase: 20 * time.Hour, state: State{Success: at("10 05:00"), Present: at("10 20:00")},
			now: "11 00:01", want: "11 20:00"},
		{name: "before the slot, and away at it", phase: 20 * time.Hour, state: State{Success: at("10 05:00")}, now: "11 00:01", want: "11 04:59"},
		{name: "the same just after midnight", phase: 20 * time.Hour, state: State{Success: at("10 00:00")}, now: "10 12:00", want: "11 00:00"},
		{name: "away for days", phase: 8 * time.Hour, state: State{Success: at("1 08:01")}, now: "10 07:00", want: "2 08:00", overdue: true},
		{name: "retry", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Attempt: at("10 08:00"), Attempts: 1, Failing: at("10 08:00"), Retry: at("10 13:00")},
			now: "10 12:00", want: "10 13:00"},
		{name: "three attempts", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Attempt: at("10 18:00"), Attempts: 3, Failing: at("10 08:00"), Retry: at("10 22:00")},
			now: "10 23:00", want: "10 22:00"},
		{name: "four attempts", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Attempt: at("10 18:00"), Attempts: 4, Failing: at("10 08:00"), Retry: at("10 22:00")},
			now: "10 23:00", want: "11 08:00"},
		{name: "two weeks", phase: 8 * time.Hour, state: State{Attempt: at("20 18:00"), Attempts: 1, Failing: at("6 18:00"), Retry: at("20 22:00")},
			now: "20 23:00", want: "20 22:00"},
		{name: "more than two weeks", phase: 8 * time.Hour, state: State{Attempt: at("20 18:00"), Attempts: 1, Failing: at("6 17:59"), Retry: at("20 22:00")},
			now: "20 23:00", want: "21 18:00"},
		{name: "sixty days", phase: 8 * time.Hour, state: State{Attempt: at("20 18:00"), Attempts: 1, Failing: at("20 18:00").AddDate(0, 0, -60), Retry: at("20 22:00")},
			now: "20 23:00", want: "21 18:00"},
		{name: "more than sixty days", phase: 8 * time.Hour, state: State{Attempt: at("20 18:00"), Attempts: 1, Failing: at("20 17:59").AddDate(0, 0, -60), Retry: at("20 22:00")},
			now: "20 23:00", want: "27 18:00"},
		{name: "overdue in six hours", phase: 8 * time.Hour, state: State{Success: at("9 08:01")}, now: "10 14:00", want: "10 08:00"},
		{name: "overdue after six hours", phase: 8 * time.Hour, state: State{Success: at("9 08:01")}, now: "10 14:00:01", want: "10 08:00", overdue: true},
		{name: "late in the day", phase: 23 * time.Hour, state: State{Success: at("9 23:00")}, now: "10 23:30", want: "10 23:00"},
		{name: "later in the day", phase: 23 * time.Hour, state: State{Success: at("9 23:00")}, now: "10 23:30:01", want: "10 23:00", overdue: true},
		{name: "a success in the future", phase: 8 * time.Hour, state: State{Success: at("11 07:00")}, now: "10 12:00", want: "12 06:59"},
		{name: "a success 25 hours ahead", phase: 8 * time.Hour, state: State{Success: at("11 13:00")}, now: "10 12:00", want: "12 08:00"},
		{name: "a success further ahead", phase: 8 * time.Hour, state: State{Success: at("11 13:00:01")}, now: "10 12:00", want: ""},
		{name: "a retry eight days ahead", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Retry: at("18 12:00")},
			now: "10 12:00", want: "18 12:00"},
		{name: "a retry further ahead", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Retry: at("18 12:00:01")},
			now: "10 12:00", want: "10 08:00"},
		{name: "a retry in the far future", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Retry: at("10 08:00").AddDate(1000, 0, 0)},
			now: "10 12:00", want: "10 08:00"},
	} {
		now, phase := at(tt.now), schedule.Phase(tt.phase)
		got := tt.state.Due(phase, now)
		if want := at(tt.want); !got.Equal(want) {
			t.Errorf("%s: due %v, want %v", tt.name, got, want)
		}
		// A process that starts now sends what is overdue after five seconds.
		next := schedule.Process{}.Next(phase, tt.state, now)
		if overdue := next.Equal(now.Add(5 * time.Second)); overdue != tt.overdue {
			t.Errorf("%s: next report at %v, want overdue %v", tt.name, next, tt.overdue)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	const phase = schedule.Phase(20 * time.Hour)
	now := midnight.Add(10 * time.Hour)
	yesterday := schedule.State{Success: midnight.Add(-4 * time.Hour), Attempt: midnight.Add(-4 * time.Hour), Attempts: 1}
	for _, tt := range []struct {
		name    string
		process schedule.Process
		state   schedule.State
		now     time.Time
		want    time.Duration // after midnight
	}{
		{"first report", schedule.Process{}, schedule.State{}, now, 10*time.Hour + time.Minute},
		{"first report of a replica", schedule.Process{Jitter: schedule.MaxJitter}, schedule.State{}, now, 10*time.Hour + 2*time.Minute},
		{"first report, long after the start", schedule.Process{Age: time.Hour}, schedule.State{}, now, 10 * time.Hour},
		{"first report after a failure", schedule.Process{Jitter: 5 * time.Minute}, schedule.State{Attempt: now.Add(-4 * time.Hour), Attempts: 1}, now, 10*time.Hour + 6*time.Minute},
		{"today", schedule.Process{Age: time.Hour, Jitter: time.Minute}, yesterday, now, 20*time.Hour + time.Minute},
		{"just started", schedule.Process{Jitter: time.Minute}, yesterday, midnight.Add(20*time.Hour - 30*time.Second), 20*time.Hour + 90*time.Second},
		{"overdue", schedule.Process{Jitter: 5 * time.Minute}, yesterday, midnight.Add(23 * time.Hour), 23*time.Hour + 10*time.Second},
		{"blind, before the slot", schedule.Process{Age: time.Minute, Idle: time.Minute, Blind: true}, schedule.State{}, midnight.Add(19 * time.Hour), 20 * time.Hour},
		{"blind, at the slot", schedule.Process{Blind: true}, schedule.State{}, midnight.Add(20 * time.Hour), 20 * time.Hour},
		{"blind, after the slot", schedule.Process{Idle: time.Hour, Blind: true}, schedule.State{}, midnight.Add(22 * time.Hour), 27 * time.Hour},
		{"blind, at the slot of tomorrow", schedule.Process{Blind: true}, schedule.State{}, midnight.Add(38*time.Hour + time.Minute), 44 * time.Hour},
		{"blind, but retried later", schedule.Process{Blind: true}, schedule.State{Retry: midnight.Add(28 * time.Hour)}, now, 28 * time.Hour},
	} {
		if got := tt.process.Next(phase, tt.state, tt.now).Sub(midnight); got != tt.want {
			t.Errorf("%s: got %v after midnight, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	const phase = schedule.Phase(20 * time.Hour)
	early := schedule.State{Success: midnight.Add(5 * time.Hour)} // before the slot
	slot := midnight.Add(20 * time.Hour)
	for _, tt := range []struct {
		name  string
		state schedule.State
		now   time.Time
		age   time.Duration
		want  time.Time // Present
	}{
		{"at the slot", early, slot, 0, slot},
		{"since before the slot", early, slot.Add(time.Hour), time.Hour, slot},
		{"before the slot", early, slot.Add(-time.Second), time.Hour, time.Time{}},
		{"started after the slot", early, slot.Add(time.Hour), time.Hour - time.Second, time.Time{}},
		{"reported at the slot", schedule.State{Success: slot}, slot.Add(time.Hour), time.Hour, time.Time{}},
		{"reported the day before", schedule.State{Success: midnight.Add(-time.Hour)}, slot, time.Hour, time.Time{}},
	} {
		got := tt.state.Seen(phase, tt.now, tt.age)
		if want := (schedule.State{Success: tt.state.Success, Present: tt.want}); got != want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, want)
		}
	}
	// Something never reported is due since it was seen first.
	now := midnight.Add(time.Hour + time.Millisecond)
	got := schedule.State{}.Seen(phase, now, 0).Seen(phase, now.Add(time.Hour), time.Hour)
	if want := (schedule.State{Since: midnight.Add(time.Hour)}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// After a wrong clock nothing of it is left, and nothing is due before tomorrow.
func TestRestart(t *testing.T) {
	t.Parallel()
	const phase = schedule.Phase(20 * time.Hour)
	future, now := midnight.AddDate(10, 0, 0), midnight.Add(10*time.Hour)
	st := schedule.State{Success: future, Attempt: future, Attempts: 3}
	if st.IsAhead(future) || !st.IsAhead(now) {
		t.Errorf("ahead: got %v in its own time and %v now, want false and true", st.IsAhead(future), st.IsAhead(now))
	}
	want := schedule.State{Since: now, Retry: midnight.Add(44 * time.Hour)}
	if got := st.Restart(phase, now); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// N7: a retry time written while the clock was days ahead is ignored.
func TestRetryOfWrongClock(t *testing.T) {
	phase := schedule.Phase(9 * time.Hour)
	now := midnight.Add(10 * time.Hour)
	wrong := now.Add(5 * day)
	st := schedule.State{}.Succeeded(now).Begin(wrong, 0).Failed(phase, wrong, "https://example.org", &schedule.Error{Status: 503}, 0)
	if due := st.Due(phase, now); due.Sub(now) > day {
		t.Errorf("due after %v", due.Sub(now))
	}
}
