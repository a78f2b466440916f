package schedule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

// A process that keeps running reports once a day, at its phase.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	for n, phase := range phases() {
		in := &installation{number: n, phase: phase}
		in.start(midnight.Add(9 * time.Hour))
		reports := in.run(in.started, midnight.Add(30*day))
		checkDaily(t, reports, 0, 30)
		if first := reports[0].Sub(in.started); first < time.Minute || first > 2*time.Minute {
			t.Errorf("phase %v: first report after %v, want one to two minutes", phase, first)
		}
		for _, at := range reports[1:] {
			if late := at.Sub(phase.Slot(at)); late < 0 || late > 5*time.Minute {
				t.Errorf("phase %v: report at %v, %v after the slot", phase, at, late)
			}
		}
	}
}

// N5: one heartbeat a day, however often it restarts, from the second day on.
// Nothing is known on the first.
func TestRestartEveryMinute(t *testing.T) {
	t.Parallel()
	for _, unsaved := range []bool{false, true} {
		for n, phase := range phases() {
			in := &installation{number: n, phase: phase, unsaved: unsaved}
			var reports []time.Time
			for now := midnight; now.Before(midnight.Add(6 * day)); now = now.Add(time.Minute) {
				in.start(now)
				reports = append(reports, in.run(now, now.Add(time.Minute))...)
			}
			checkDaily(t, reports, 1, 6)
		}
	}
}

// A host that runs for some hours of each day reports on each day, whether
// its slot is within them or not.
func TestPartOfTheDay(t *testing.T) {
	t.Parallel()
	for n, phase := range phases() {
		if phase == schedule.Phase(17*time.Hour) {
			continue // within them on some days only
		}
		in := &installation{number: n, phase: phase}
		var reports []time.Time
		for d := range 20 {
			morning := midnight.Add(time.Duration(d)*day + 9*time.Hour + time.Duration(in.luck()*float64(20*time.Minute)))
			in.start(morning)
			reports = append(reports, in.run(morning, morning.Add(8*time.Hour))...)
		}
		checkDaily(t, reports, 0, 20)
	}
}

// A host without a collector makes at most four attempts a day for two weeks,
// then one a day, and after two months one a week, also if it restarts.
func TestYearOffline(t *testing.T) {
	t.Parallel()
	for _, restart := range []time.Duration{365 * day, 5 * day} {
		in := newInstallation(0, 1)
		in.answer = func(time.Time) *schedule.Error { return &schedule.Error{Text: "no answer"} }
		var attempts []time.Time
		for now := midnight; now.Before(midnight.Add(365 * day)); now = now.Add(restart) {
			in.start(now)
			attempts = append(attempts, in.run(now, now.Add(restart))...)
		}
		byDay := map[time.Time]int{}
		var fast, slow, verySlow int
		for _, at := range attempts {
			byDay[at.Truncate(day)]++
			switch failing := at.Sub(attempts[0]); {
			case failing <= 14*day:
				fast++
			case failing <= 60*day:
				slow++
			default:
				verySlow++
			}
		}
		t.Logf("restarts every %v: %d attempts in the first 14 days, %d until day 60, %d after", restart, fast, slow, verySlow)
		for d, n := range byDay {
			if n > 4 {
				t.Errorf("%v: got %d attempts, want at most 4", d, n)
			}
		}
		if slow > 47 || slow < 44 || verySlow > 45 || verySlow < 43 {
			t.Errorf("got %d attempts from day 14 to 60 and %d after, want about 46 and 44", slow, verySlow)
		}
		// Back on line.
		in.answer = nil
		if reports := in.run(midnight.Add(365*day), midnight.Add(373*day)); len(reports) == 0 {
			t.Error("no report in the week after it is back")
		}
		if st := in.state; st.Success.IsZero() || !st.Failing.IsZero() || st.Error != "" {
			t.Errorf("after it is back: %+v", st)
		}
	}
}

func TestPhase(t *testing.T) {
	t.Parallel()
	const n, open = 100_000, 23*time.Hour + 50*time.Minute
	perHour := make([]int, 24)
	for i := range n {
		phase := time.Duration(schedule.PhaseOf(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)))
		if phase < 0 || phase >= open || phase%time.Second != 0 {
			t.Fatalf("installation %d: phase %v", i, phase)
		}
		perHour[phase/time.Hour]++
	}
	mean := float64(n) * float64(time.Hour) / float64(open)
	for hour, got := range perHour[:23] {
		if f := float64(got) / mean; f < 0.93 || f > 1.07 { // five standard deviations
			t.Errorf("hour %d: %.3f x the mean", hour, f)
		}
	}
	// A later version of the package keeps the slots of a fleet.
	got := time.Duration(schedule.PhaseOf("00000000-0000-4000-8000-000000000001"))
	if want := 20*time.Hour + 12*time.Minute + 34*time.Second; got != want {
		t.Errorf("got phase %v, want %v", got, want)
	}
}
