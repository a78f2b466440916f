package sender

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A host is one installation in a simulation without goroutines and without waiting. The test has the true time, which
// is also that of the clock that nobody sets; the host's own clock is off by skew.
type host struct {
	phase   time.Duration
	state   State
	started time.Time // the process
	tried   time.Time // its last attempt
	spread  time.Duration
	skew    time.Duration
	kept    bool
	answer  func(time.Time) *Error // of the collector; nil accepts
}

func newHost(n int) *host { return &host{phase: phaseOf(testID(n)), kept: true} }

func testID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// start begins a process.
func (h *host) start(now time.Time) {
	h.started, h.tried, h.spread = now, time.Time{}, rand.N(replicaSpread)
	if !h.kept {
		h.state = State{}
	}
}

// run does until a time what the process does that was started, and gives when it made attempts. Looks between the
// slots and the reports are left out: they change nothing while the clock goes steadily.
func (h *host) run(now, end time.Time) (attempts []time.Time) {
	steps := 0
	for now = latest(now, h.started.Add(overdueDelay)); now.Before(end); {
		if steps++; steps > 100_000 {
			panic(fmt.Sprintf("at %v the next look is at %v; %+v", now, h.look(now), h.state))
		}
		at := h.look(now)
		if at.After(now) {
			now = at
			continue
		}
		h.attempt(now)
		attempts = append(attempts, now)
		now = now.Add(firstDelay)
	}
	return attempts
}

// look does what [Sender.decide] does but for the attempt, and gives when to look again.
func (h *host) look(true time.Time) time.Time {
	now := true.Add(h.skew)
	if !plausible(now) {
		return true.Add(firstDelay)
	}
	r := run{age: true.Sub(h.started), spread: h.spread, blind: h.state.isAhead(now)}
	if r.idle = r.age; h.tried.IsZero() {
		r.blind = r.blind || !h.kept
	} else {
		r.idle = true.Sub(h.tried)
	}
	h.state = h.state.seen(h.phase, now, r.age)
	next := slot(h.phase, now)
	if !next.After(now) {
		next = next.Add(day)
	}
	return earliest(r.moment(h.phase, h.state, now), next).Add(-h.skew)
}

func (h *host) attempt(now time.Time) {
	h.tried = now
	var failed *Error
	if h.answer != nil {
		failed = h.answer(now)
	}
	now = now.Add(h.skew)
	if h.state = h.state.begin(now); failed == nil {
		h.state = h.state.succeeded(now)
	} else {
		h.state = h.state.failed(h.phase, now, "", failed)
	}
}

// midnight is the beginning of the simulations.
var midnight = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

// hours are times of day with the odd ones, as phases.
func hours() []time.Duration {
	all := []time.Duration{time.Second, day - quiet - time.Second}
	for h := range 24 {
		all = append(all, time.Duration(h)*time.Hour)
	}
	return all
}

// daily checks that of each day but the first few there is exactly one report.
func daily(t *testing.T, reports []time.Time, first, last int) {
	t.Helper()
	byDay := map[int]int{}
	for _, at := range reports {
		byDay[int(at.Sub(midnight)/day)]++
	}
	for d := first; d < last; d++ {
		if byDay[d] != 1 {
			t.Errorf("day %d: %d reports, want 1; all: %v", d, byDay[d], reports)
			return
		}
	}
}

func TestPhase(t *testing.T) {
	t.Parallel()
	const n = 100_000
	perHour := make([]int, 24)
	for i := range n {
		phase := phaseOf(testID(i))
		if phase < 0 || phase >= day-quiet {
			t.Fatalf("phase %v of installation %d", phase, i)
		}
		perHour[phase/time.Hour]++
	}
	mean := float64(n) * float64(time.Hour) / float64(day-quiet)
	for hour, got := range perHour[:23] {
		if f := float64(got) / mean; f < 0.93 || f > 1.07 { // five standard deviations
			t.Errorf("hour %d: %.3f x the mean", hour, f)
		}
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		v, err := time.Parse("2 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2028, 2, v.Day(), v.Hour(), v.Minute(), 0, 0, time.UTC) // a leap year
	}
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
		{name: "before the slot, and there", phase: 20 * time.Hour, state: State{Success: at("10 05:00"), Present: at("10 20:00")},
			now: "11 00:01", want: "11 20:00"},
		{name: "before the slot, and away", phase: 20 * time.Hour, state: State{Success: at("10 05:00")}, now: "11 00:01", want: "11 04:59"},
		{name: "the same just after midnight", phase: 20 * time.Hour, state: State{Success: at("10 00:00")}, now: "10 12:00", want: "11 00:00"},
		{name: "away for days", phase: 8 * time.Hour, state: State{Success: at("1 08:01")}, now: "10 07:00", want: "2 08:00", overdue: true},
		{name: "retry", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Attempt: at("10 08:00"), Attempts: 1, Failing: at("10 08:00"), Retry: at("10 13:00")},
			now: "10 12:00", want: "10 13:00"},
		{name: "budget used up", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Attempt: at("10 18:00"), Attempts: 4, Failing: at("10 08:00"), Retry: at("10 22:00")},
			now: "10 23:00", want: "11 08:00"},
		{name: "two weeks", phase: 8 * time.Hour, state: State{Attempt: at("20 18:00"), Attempts: 1, Failing: at("5 08:00"), Retry: at("20 22:00")},
			now: "20 23:00", want: "21 18:00"},
		{name: "late in the day", phase: 23 * time.Hour, state: State{Success: at("9 23:00")}, now: "10 23:31", want: "10 23:00", overdue: true},
		{name: "a success in the future", phase: 8 * time.Hour, state: State{Success: at("11 07:00")}, now: "10 12:00", want: "12 06:59"},
		{name: "a success in the far future", phase: 8 * time.Hour, state: State{Success: at("20 07:00")}, now: "10 12:00", want: ""},
		{name: "a retry in the far future", phase: 8 * time.Hour, state: State{Success: at("9 08:01"), Retry: at("10 08:00").AddDate(1000, 0, 0)},
			now: "10 12:00", want: "10 08:00"},
	} {
		now := at(tt.now)
		got := due(tt.phase, tt.state, now)
		if want := at(tt.want); !got.Equal(want) {
			t.Errorf("%s: due %v, want %v", tt.name, got, want)
		}
		if isOverdue(got, now) != tt.overdue {
			t.Errorf("%s: overdue %v, want %v", tt.name, !tt.overdue, tt.overdue)
		}
	}
}

// A process that runs reports once a day, at its phase.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	for _, phase := range hours() {
		h := &host{phase: phase, kept: true}
		h.start(midnight.Add(9 * time.Hour))
		reports := h.run(h.started, midnight.Add(30*day))
		daily(t, reports, 0, 30)
		if first := reports[0].Sub(h.started); first < firstDelay || first > 2*firstDelay {
			t.Errorf("phase %v: first report after %v, want one to two minutes", phase, first)
		}
		for _, at := range reports[1:] {
			if late := at.Sub(slot(phase, at)); late < 0 || late > replicaSpread {
				t.Errorf("phase %v: report at %v", phase, at)
			}
		}
	}
}

// N5: one heartbeat a day, however often it restarts, from the second day on: nothing is known of the first.
func TestRestartEveryMinute(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		for n, phase := range hours() {
			if raceEnabled && n > 4 {
				break // no concurrency here
			}
			h := &host{phase: phase, kept: kept}
			var reports []time.Time
			for now := midnight; now.Before(midnight.Add(6 * day)); now = now.Add(time.Minute) {
				h.start(now)
				reports = append(reports, h.run(now, now.Add(time.Minute))...)
			}
			daily(t, reports, 1, 6)
		}
	}
}

// A host that runs for some hours of each day reports on each day, whether its slot is inside them or not.
func TestPartOfTheDay(t *testing.T) {
	t.Parallel()
	for _, phase := range hours() {
		if phase == 17*time.Hour {
			continue // inside some days and not inside others
		}
		h := &host{phase: phase, kept: true}
		var reports []time.Time
		for d := range 20 {
			morning := midnight.Add(time.Duration(d)*day + 9*time.Hour + rand.N(20*time.Minute))
			h.start(morning)
			reports = append(reports, h.run(morning, morning.Add(8*time.Hour))...)
		}
		daily(t, reports, 0, 20)
	}
}

// N7: whatever the clock does, reports come neither in a burst nor not at all.
func TestClock(t *testing.T) {
	t.Parallel()
	const year = 365 * day
	by := func(skew time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return skew }
	}
	phases := []time.Duration{9 * time.Hour, time.Minute, 11 * time.Hour, 23 * time.Hour}
	if raceEnabled {
		phases = phases[:1] // no concurrency here
	}
	// Each gives the skew of the clock some time after it went wrong.
	for name, skew := range map[string]func(time.Duration) time.Duration{
		"right":                            by(0),
		"back an hour":                     by(-time.Hour),
		"back 20 hours":                    by(-20 * time.Hour),
		"back two days":                    by(-2 * day),
		"back a year":                      by(-year),
		"forward an hour":                  by(time.Hour),
		"forward two days":                 by(2 * day),
		"forward ten years":                by(10 * year),
		"ten years ahead for an hour":      skewFor(10*year, time.Hour),
		"ten years ahead for two days":     skewFor(10*year, 2*day),
		"a year behind for two days":       skewFor(-year, 2*day),
		"in 1970 for an hour":              skewFor(time.Unix(0, 0).Sub(midnight), time.Hour),
		"beyond all belief for an hour":    skewFor(250*year, time.Hour),
		"to and fro by the minute":         toAndFro(year, time.Minute),
		"to and fro by the hour":           toAndFro(2*day, time.Hour),
		"back and forth by the minute":     toAndFro(-year, time.Minute),
		"an hour to and fro by the minute": toAndFro(time.Hour, time.Minute),
	} {
		for _, restart := range []time.Duration{0, 6 * time.Minute, day} {
			if raceEnabled && restart > 0 {
				continue // no concurrency here
			}
			for _, phase := range phases {
				h := &host{phase: phase, kept: true}
				h.start(midnight)
				h.run(midnight, midnight.Add(2*day+10*time.Hour)) // two reports with a clock that is right
				from := midnight.Add(2*day + 10*time.Hour)
				h.wrong(t, fmt.Sprintf("%s, restarts every %v, phase %v", name, restart, phase), from, restart, skew)
			}
		}
	}
}

func skewFor(skew, length time.Duration) func(time.Duration) time.Duration {
	return func(since time.Duration) time.Duration {
		if since < length {
			return skew
		}
		return 0
	}
}

func toAndFro(skew, period time.Duration) func(time.Duration) time.Duration {
	return func(since time.Duration) time.Duration {
		if since/period%2 == 0 {
			return skew
		}
		return 0
	}
}

// wrong runs for ten days with a clock that is wrong.
func (h *host) wrong(t *testing.T, name string, from time.Time, restart time.Duration, skew func(time.Duration) time.Duration) {
	t.Helper()
	const days, step = 8, time.Minute
	var reports []time.Time
	for since := time.Duration(0); since < days*day; since += step {
		now := from.Add(since)
		if restart > 0 && since%restart == 0 {
			h.start(now)
		}
		h.skew = skew(since)
		reports = append(reports, h.run(now, now.Add(step))...)
	}
	// With a clock that goes to and fro by years one of its days begins every blindDelay, and at the slot.
	if n := len(reports); n < days/2 || n > days*10 {
		t.Errorf("%s: %d reports in %d days: %v", name, n, days, reports)
	}
	inAnHour := 0
	for i, at := range reports {
		first, _ := slices.BinarySearchFunc(reports, at.Add(-time.Hour), time.Time.Compare)
		inAnHour = max(inAnHour, i-first+1)
	}
	if steady := skew(0) == skew(time.Minute) && skew(0) == skew(time.Hour); steady && (len(reports) > days+2 || inAnHour > 2) {
		t.Errorf("%s: %d reports in %d days: %v", name, len(reports), days, reports)
	}
	if inAnHour > 4 {
		t.Errorf("%s: %d reports within an hour: %v", name, inAnHour, reports)
	}
}

// settledFleet gives installations that run since the day before and have reported at their slots.
func settledFleet(n int) []*host {
	fleet := make([]*host, n)
	for i := range fleet {
		h := newHost(i)
		h.start(midnight.Add(-day))
		reported := slot(h.phase, h.started).Add(h.spread)
		h.state = h.state.begin(reported).succeeded(reported)
		h.tried = reported
		fleet[i] = h
	}
	return fleet
}

// rates counts times by interval from start on.
type rates struct {
	start    time.Time
	interval time.Duration
	counts   []int
}

func newRates(start time.Time, length, interval time.Duration) *rates {
	return &rates{start, interval, make([]int, length/interval)}
}

func (r *rates) add(times []time.Time) {
	for _, t := range times {
		if i := int(t.Sub(r.start) / r.interval); !t.Before(r.start) && i < len(r.counts) {
			r.counts[i]++
		}
	}
}

// busiest gives the largest count as a multiple of the mean of a fleet's usual day.
func (r *rates) busiest(fleet int) float64 {
	mean := float64(fleet) * float64(r.interval) / float64(day)
	return float64(slices.Max(r.counts)) / mean
}

// fleetSize is how many installations are simulated.
func fleetSize() int {
	switch {
	case raceEnabled:
		return 5_000
	case testing.Short():
		return 20_000
	}
	return 100_000
}

// N6: all restart at midnight, every night, and are away for a while.
func TestMidnightRestarts(t *testing.T) {
	t.Parallel()
	size := fleetSize()
	for _, away := range []time.Duration{0, time.Minute, 5 * time.Minute} {
		fleet := settledFleet(size)
		for night := range 3 {
			if raceEnabled && night > 0 {
				break // no concurrency here
			}
			start := midnight.Add(time.Duration(night) * day)
			minutes := newRates(start, day, time.Minute)
			for _, h := range fleet {
				h.start(start.Add(away))
				minutes.add(h.run(h.started, start.Add(day)))
			}
			got := minutes.busiest(size)
			t.Logf("night %d, away for %v: busiest minute %.2f x the mean", night+1, away, got)
			if got > 3*noise(size) {
				t.Errorf("night %d, away for %v: busiest minute %.2f x the mean, want at most 3", night+1, away, got)
			}
		}
	}
}

// A fleet that is new and started in one instant is spread over a minute once, and over the day from then on, also when
// all of it restarts every midnight.
func TestNewFleet(t *testing.T) {
	t.Parallel()
	size := fleetSize() / 5
	fleet := make([]*host, size)
	for i := range fleet {
		fleet[i] = newHost(i)
	}
	for d := range 3 {
		start := midnight.Add(time.Duration(d) * day)
		minutes := newRates(start, day, time.Minute)
		for _, h := range fleet {
			h.start(start)
			minutes.add(h.run(start, start.Add(day)))
		}
		got := minutes.busiest(size)
		t.Logf("day %d: busiest minute %.2f x the mean", d+1, got)
		if d > 0 && got > 3*noise(size) {
			t.Errorf("day %d: busiest minute %.2f x the mean", d+1, got)
		}
	}
}

// N6: the collector is away for a while, and comes back.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		begins, outage time.Duration
		atMost         float64 // times the usual rate
	}{
		{12 * time.Hour, 6 * time.Hour, 2},
		{21 * time.Hour, 6 * time.Hour, 2}, // over midnight
		{12 * time.Hour, 20 * time.Hour, 3},
		{12 * time.Hour, 3 * day, 3},
		{12 * time.Hour, 16 * day, 3},
	} {
		size := fleetSize()
		if raceEnabled && tt.outage > 6*time.Hour {
			continue // no concurrency here
		}
		if tt.outage > day {
			size /= 4
		}
		down := midnight.Add(tt.begins)
		up := down.Add(tt.outage)
		minutes := newRates(up, 2*day, time.Minute)
		windows := newRates(up, 2*day, 10*time.Minute)
		for _, h := range settledFleet(size) {
			h.answer = func(now time.Time) *Error {
				if now.Before(down) || !now.Before(up) {
					return nil
				}
				return &Error{Status: 503}
			}
			attempts := h.run(midnight, up.Add(2*day))
			minutes.add(attempts)
			windows.add(attempts)
		}
		got := windows.busiest(size)
		t.Logf("%d installations, away for %v from %v: busiest minute %.2f x normal, busiest ten minutes %.2f x",
			size, tt.outage, tt.begins, minutes.busiest(size), got)
		if got > tt.atMost*noise(size) {
			t.Errorf("away for %v from %v: busiest ten minutes %.2f x normal, want at most %v", tt.outage, tt.begins, got, tt.atMost)
		}
	}
}

// noise is how much more than the true rate a fleet may show in its busiest minute for being small.
func noise(size int) float64 {
	if size < 100_000 {
		return 3
	}
	return 1
}
