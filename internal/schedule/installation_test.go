package schedule_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/internal/schedule"
)

const day = 24 * time.Hour

// midnight is when the simulations begin.
var midnight = time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)

// An installation is simulated without goroutines and without waiting. The
// test has the true time, which is also that of the clock that nobody sets;
// the installation's own clock is off by skew.
type installation struct {
	number  int
	draws   int // of luck
	phase   schedule.Phase
	state   schedule.State
	started time.Time // the process
	tried   time.Time // its last attempt
	jitter  time.Duration
	skew    time.Duration
	unsaved bool
	answer  func(time.Time) *schedule.Error // of the collector; nil accepts
}

// newInstallation returns one of a fleet, whose phases are spread evenly, as
// TestPhase shows those of random IDs to be.
func newInstallation(number, fleet int) *installation {
	quietAt := float64(day - 10*time.Minute)
	phase := time.Duration(quietAt * (float64(number) + 0.5) / float64(fleet))
	return &installation{number: number, phase: schedule.Phase(phase)}
}

// irrational are the steps of the sequences of luck.
var irrational = func() (steps [64]float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range steps {
		steps[i] = rng.Float64()
	}
	return steps
}()

// luck returns numbers from 0 to below 1 that are spread over a fleet more
// evenly than random ones, and the same in each run. A small fleet shows the
// rates of a large one, and its figures need no allowance for chance.
func (in *installation) luck() float64 {
	in.draws++
	_, luck := math.Modf(float64(in.number+1) * irrational[in.draws%len(irrational)])
	return luck
}

// start begins a process.
func (in *installation) start(now time.Time) {
	in.started, in.tried = now, time.Time{}
	in.jitter = time.Duration(in.luck() * float64(5*time.Minute))
	if in.unsaved {
		in.state = schedule.State{}
	}
}

// run does until end what the process does, and returns its attempts. Looks
// between the slots and the reports are left out: they change nothing while
// the clock runs steadily.
func (in *installation) run(now, end time.Time) (attempts []time.Time) {
	if first := in.started.Add(5 * time.Second); first.After(now) {
		now = first
	}
	for steps := 0; now.Before(end); steps++ {
		if steps > 100_000 {
			panic(fmt.Sprintf("at %v the next look is at %v; %+v", now, in.look(now), in.state))
		}
		if at := in.look(now); at.After(now) {
			now = at
			continue
		}
		in.attempt(now)
		attempts = append(attempts, now)
		now = now.Add(time.Minute)
	}
	return attempts
}

// look does what the sender does when it wakes, apart from the attempt. It
// returns when to look again.
func (in *installation) look(true time.Time) time.Time {
	now := true.Add(in.skew)
	if !schedule.Plausible(now) {
		return true.Add(time.Minute)
	}
	p := schedule.Process{Age: true.Sub(in.started), Jitter: in.jitter, Blind: in.state.IsAhead(now)}
	if p.Idle = p.Age; in.tried.IsZero() {
		p.Blind = p.Blind || in.unsaved
	} else {
		p.Idle = true.Sub(in.tried)
	}
	in.state = in.state.Seen(in.phase, now, p.Age)
	slot := in.phase.Slot(now)
	if !slot.After(now) {
		slot = slot.Add(day)
	}
	next := p.Next(in.phase, in.state, now)
	if slot.Before(next) {
		next = slot
	}
	return next.Add(-in.skew)
}

func (in *installation) attempt(now time.Time) {
	in.tried = now
	var failed *schedule.Error
	if in.answer != nil {
		failed = in.answer(now)
	}
	now = now.Add(in.skew)
	if in.state = in.state.Begin(now, in.luck()); failed == nil {
		in.state = in.state.Succeeded(now)
	} else {
		in.state = in.state.Failed(in.phase, now, "", failed, in.luck())
	}
}

// phases are all hours of the day, with the first and the last second that a
// slot can be at.
func phases() []schedule.Phase {
	all := []schedule.Phase{schedule.Phase(time.Second), schedule.Phase(23*time.Hour + 49*time.Minute + 59*time.Second)}
	for h := range 24 {
		all = append(all, schedule.Phase(time.Duration(h)*time.Hour))
	}
	return all
}

// checkDaily checks that each day has exactly one report.
func checkDaily(t *testing.T, reports []time.Time, first, last int) {
	t.Helper()
	byDay := map[int]int{}
	for _, at := range reports {
		byDay[int(at.Sub(midnight)/day)]++
	}
	for d := first; d < last; d++ {
		if byDay[d] != 1 {
			t.Errorf("day %d: got %d reports, want 1; all: %v", d, byDay[d], reports)
			return
		}
	}
}
