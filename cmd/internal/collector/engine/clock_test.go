package engine_test

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A collector that is once started with a clock 500 days ahead, before midnight,
// loses nothing, and says so once.
func TestClockAheadAtStart(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.knownFleet(294, 40)
		x := today()
		log := &lines{}
		r.log = log
		time.Sleep(11*time.Hour + 50*time.Minute)
		r.restart(time.Minute, func() { r.jump(500 * day) })
		r.wantsDay("after the start", false, x)
		time.Sleep(20 * time.Hour) // past midnight by either clock
		r.wantsDay("after midnight", false, x)
		if n := log.count("ERROR Clock is not plausible"); n != 1 {
			t.Errorf("got %d errors, want one: %v", n, log.text)
		}
		r.jump(-500 * day)
		time.Sleep(2 * time.Minute)
		r.wantsDay("with the right clock", true, x+1)
		if n := log.count("INFO Day is confirmed"); n != 1 {
			t.Errorf("got %d lines, want one: %v", n, log.text)
		}
		if got := r.stored(); got != 294 {
			t.Errorf("got %d installations, want 294", got)
		}
		r.wants("active", r.point(x).Active.Day, 294)
		r.sends(0, 294, "1.0")
		r.crash()
		r.wants("28 days", r.point(x+1).Active.Days28, 294)
	})
}

// A clock that jumps away and comes back, while running or at a start, leaves
// every figure as if it had not.
func TestClockJumpsAndReturns(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{
		"days ahead": 5 * day, "years ahead": 74 * 365 * day, "hours ahead, past midnight": 14 * time.Hour,
		"days back": -5 * day, "to 1970": -30 * 365 * day, "hours back, past midnight": -14 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			atStart := by
			if by == 14*time.Hour { // could be a downtime
				atStart = 100 * day
			}
			compared(t, []time.Duration{by, -by, atStart, -atStart}, func(r *rig, jump func()) {
				r.knownFleet(20, 20)
				r.sends(20, 23, "1.1") // new today, before the jump
				r.full(3)
				jump()
				r.sends(10, 30, "1.2") // some again, some new
				r.full(3, 4)
				r.inMemory(35)
				jump()
				r.sends(25, 32, "1.2")
				time.Sleep(6 * time.Hour)
				r.restart(time.Hour, jump)
				r.sends(5, 15, "1.3")
				jump()
				time.Sleep(time.Hour)
				r.nextDay()
				r.sends(0, 33, "1.3")
			})
		})
	}
}

// A new store trusts the clock, whatever it reads, and a downtime of a long
// weekend is no reason for doubt.
func TestClockIsTrusted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.jump(70 * 365 * day)
		r.addApp(collector.App{Key: "other"})
		r.wantsDay("a new store", true, collector.DayOf(r.clock()))
		r.jump(-70 * 365 * day)
		r.addApp(collector.App{Key: "another"})
		r.wantsDay("and back", true, today())
		r.knownFleet(5, 20)
		x := today()
		time.Sleep(2 * time.Minute) // a checkpoint
		r.restart(71 * time.Hour)
		r.wantsDay("after a weekend", true, today())
		if !r.point(x + 1).Gap {
			t.Error("no gap")
		}
		for range 300 { // a time server slews the clock
			time.Sleep(day / 24)
			r.jump(time.Minute)
			r.sends(0, 2, "1.0")
			if !r.e.Clock().Trusted {
				t.Fatal("a slewed clock is not trusted")
			}
		}
	})
}

// Around midnight, small steps of the clock change nothing, and a day is neither
// lost nor begun twice.
func TestStepsAroundMidnight(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.knownFleet(5, 20)
		x := today()
		r.jump(5 * day)
		r.sends(0, 1, "1.0")
		r.wantsDay("days ahead", false, x)
		r.jump(-5*day + 3*time.Hour) // wrong, but on the same day
		r.sends(0, 1, "1.0")
		r.wantsDay("hours ahead", true, x)
		r.jump(-3 * time.Hour)
		time.Sleep(12*time.Hour - time.Minute) // 23:59
		r.jump(2 * time.Minute)
		r.sends(0, 2, "1.0")
		r.wantsDay("ahead", true, x+1)
		r.jump(-3 * time.Minute)
		r.sends(2, 4, "1.0")
		r.wantsDay("back", true, x+1)
		time.Sleep(3 * time.Minute)
		r.sends(4, 5, "1.0")
		r.wantsDay("after midnight", true, x+1)
		r.wants("active", r.point(x+1).Active.Day, 5)
		r.crash()
		r.wants("active on the day before", r.point(x).Active.Day, 5)
	})
}

// After a confirmed jump, a day purges at most a week's worth of installations.
func TestPurgeTakesAWeekADay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.Retention = 60
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		for n := range 60 { // one a day goes silent
			r.sends(n, 60, "1.0")
			r.nextDay()
		}
		log := &lines{}
		r.log = log
		r.restart(500 * day)
		if _, _, err := r.e.FixDay(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if got, want := r.stored(), 60-max(0, 7*(i+1)); got < uint64(max(0, want)) {
				t.Errorf("after %d days: got %d installations, want at least %d", i, got, want)
			}
			r.nextDay()
			r.crash()
		}
		time.Sleep(20 * day)
		if got := r.stored(); got != 0 {
			t.Errorf("got %d installations, want none", got)
		}
		if log.count("INFO Inactive installations were deleted") == 0 {
			t.Error("the purge left no line")
		}
	})
}

// A collector that does not run at night purges too, although each day begins
// with a downtime.
func TestPurgeByDay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		app := r.app
		app.Retention = 60
		if err := r.e.UpdateApp(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		r.sends(0, 9, "1.0")
		for i := range 70 {
			time.Sleep(4 * time.Hour)
			r.restart(16 * time.Hour)
			if i < 61 { // then nobody reports for some days
				r.sends(0, 4, "1.0")
			}
			time.Sleep(4 * time.Hour)
		}
		if got := r.stored(); got != 4 {
			t.Errorf("got %d installations, want 4", got)
		}
	})
}

// What is put aside is deleted with its installation.
func TestForgetWhileHeld(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.knownFleet(20, 20)
		r.full(3, 4)
		r.inMemory(35)
		x := today()
		r.jump(500 * day)
		r.full(3)
		r.sends(0, 3, "1.0")
		for n, want := range map[int]int{3: 1, 35: 1, 36: 0} {
			held, err := r.e.Describe(t.Context(), id(n))
			if err != nil || len(held) != want {
				t.Errorf("installation %d: got %+v, %v, want %d", n, held, err, want)
			}
			if d, err := r.e.Forget(t.Context(), id(n)); err != nil || d.Deleted != want {
				t.Errorf("installation %d: got %+v, %v, want %d", n, d, err, want)
			}
		}
		r.crash()
		r.jump(-500 * day)
		r.sends(0, 1, "1.0")
		r.wantsDay("at the end", true, x)
		p := r.point(x)
		r.wants("active", p.Active.Day, 19)
		r.wants("in memory", p.InMemory, 1)
		r.wants("forgotten", p.Forgotten, 1)
		faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: x, To: x}, figures.View{})
		if err != nil || len(faults.Faults) != 1 || *faults.Faults[0].Affected != 1 {
			t.Errorf("got faults %+v, %v", faults.Faults, err)
		}
	})
}
