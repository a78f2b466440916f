package engine_test

import (
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// After a downtime of weeks, and after a suspension of the machine, three known
// installations confirm the day at once. What was counted before they did counts
// on that day.
func TestDowntimeOfWeeks(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(r *rig){
		"stopped":   func(r *rig) { r.restart(21 * day) },
		"suspended": func(r *rig) { r.jump(21 * day) }, // the monotonic clock stands still
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *rig) {
				r.knownFleet(20, 20)
				r.full(3)
				x := today()
				stop(r)
				y := collector.DayOf(r.clock())
				says := func(n int, version string) {
					h := r.heartbeat(n, version)
					h.Heartbeat.SentAt = r.clock()
					r.send(h)
				}
				says(30, "2.0") // new; it does not vote
				says(0, "2.0")
				says(1, "2.0")
				health := r.fault(5)
				health.Report.SentAt = time.Time{} // nor does this
				if _, err := r.e.Health(t.Context(), health); err != nil {
					t.Fatal(err)
				}
				r.inMemory(35)
				r.wantsDay("after two votes", false, x)
				r.wants("provisionally", r.point(x).Active.Day, 21)
				r.crash()
				says(2, "2.0")
				says(1, "2.0") // votes are in memory only
				says(0, "2.0")
				r.wantsDay("after three votes", true, y)
				p, last := r.point(y), r.point(x)
				r.wants("active", p.Active.Day, 5)
				r.wants("new", p.New, 1)
				r.wants("28 days", p.Active.Days28, 21)
				r.wants("in memory", p.InMemory, 1)
				r.wants("active on the last day", last.Active.Day, 20)
				r.wants("new on the last day", last.New, 0)
				r.wants("in memory on the last day", last.InMemory, 0)
				if last.Gap || !r.point(x+1).Gap || r.point(y).Gap {
					t.Error("wrong gaps")
				}
				faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: y, To: y}, figures.View{})
				if err != nil || len(faults.Faults) != 1 || *faults.Faults[0].Affected != 1 || faults.Faults[0].LastSeen != y || faults.Faults[0].FirstSeen != x {
					t.Errorf("got faults %+v, %v", faults.Faults, err)
				}
				v, err := r.e.Versions(t.Context(), r.app.Num, collector.Range{From: y, To: y}, figures.View{})
				if err != nil {
					t.Fatal(err)
				}
				for _, release := range v.Releases {
					if release.Version == "2.0" && release.Released != y {
						t.Errorf("2.0 was first seen on %s, want %s", release.Released, y)
					}
				}
				r.crash()
				r.wantsDay("after a crash", true, y)
				r.wants("active", r.point(y).Active.Day, 5)
			})
		})
	}
}

// A clock that is wrong by less than a long weekend at a start is believed, until
// known installations contradict it. Set right, it leaves every figure as if it had
// been right.
func TestClockIsContradicted(t *testing.T) {
	t.Parallel()
	compared(t, []time.Duration{2 * day, -2 * day}, func(r *rig, jump func()) {
		r.knownFleet(20, 20)
		x := today()
		time.Sleep(2 * time.Minute)
		r.restart(time.Minute, jump)
		wrong := r.clock().After(time.Now())
		r.sends(20, 30, "1.1") // nobody knows them
		for n := range 3 {
			if wrong {
				r.wantsDay("before three known ones", true, x+2)
			}
			r.says(n, "1.1")
		}
		if wrong {
			r.wantsDay("contradicted", false, x+2)
			if got := r.e.Clock(); got.Against != 3 || time.Until(got.Expected).Abs() > 5*time.Minute {
				r.t.Errorf("got %+v, want three against it", got)
			}
		}
		r.crash()
		r.sends(10, 15, "1.2")
		jump()
		r.sends(12, 31, "1.2")
		r.wantsDay("set right", true, x)
		r.nextDay()
		r.sends(0, 10, "1.2")
	})
}

// A restart does not end a doubt. Only the right clock or reports do.
func TestRestartWhileDoubted(t *testing.T) {
	t.Parallel()
	compared(t, []time.Duration{2 * day, -2 * day}, func(r *rig, jump func()) {
		r.knownFleet(20, 20)
		x := today()
		jump()
		time.Sleep(2 * time.Minute)
		wrong := r.clock().After(time.Now())
		for _, again := range []func(){r.crash, func() { r.restart(time.Minute) }, func() { r.restart(2 * time.Hour) }} {
			r.wantsDay("before a restart", !wrong, r.e.Clock().Day)
			again()
			r.wantsDay("after a restart", !wrong, r.e.Clock().Day)
		}
		r.sends(10, 30, "1.1")
		jump()
		r.restart(time.Minute)
		r.sends(12, 31, "1.2")
		r.wantsDay("set right", true, x)
		r.nextDay()
		r.sends(0, 10, "1.2")
	})
}

// An installation that was new on the last day, and reports after a downtime, is
// established.
func TestEstablishedAcrossDowntime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.knownFleet(5, 20)
		r.sends(5, 9, "1.0")
		r.restart(10 * day)
		r.sends(0, 7, "1.0")
		r.wants("established", r.point(today()).Established.Day, 7)
		r.wants("established on the last day", r.point(today()-10).Established.Day, 5)
		r.crash()
		r.wants("established after a crash", r.point(today()).Established.Day, 7)
	})
}

// Forged IDs do not confirm a wrong day, and neither do installations whose
// clocks do not work, nor three against many.
func TestWrongDayIsNotConfirmed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.knownFleet(20, 20)
		r.sends(20, 40, "1.0") // prepared today
		x := today()
		r.jump(500 * day)
		for n := 20; n < 140; n++ {
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.SentAt = r.clock()
			r.send(h)
		}
		for n := range 3 {
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.SentAt = time.Unix(int64(n), 0).UTC()
			r.send(h)
		}
		r.wantsDay("after forged votes", false, x)
		r.sends(3, 10, "1.0")
		for n := 10; n < 17; n++ { // as many as there are against it
			h := r.heartbeat(n, "1.0")
			h.Heartbeat.SentAt = r.clock()
			r.send(h)
		}
		if got := r.e.Clock(); got.Agree != 7 || got.Against != 7 || got.Needed != 3 {
			t.Errorf("got %+v, want 7 votes on each side", got)
		}
		r.wantsDay("with as many against it", false, x)
		time.Sleep(30 * day)
		r.wantsDay("after a month", false, x)
		q, err := r.e.Quality(t.Context(), r.app.Num, collector.Range{From: x, To: x})
		if err != nil || q.Points[0].Skewed != 0 || q.Clock.Trusted {
			t.Errorf("got %d reports with a wrong clock and clock %+v, %v", q.Points[0].Skewed, q.Clock, err)
		}
		r.jump(-500 * day)
		r.sends(0, 1, "1.0")
		r.wantsDay("with the right clock", true, today())
	})
}

// A small fleet confirms with all it has; after a day one is enough, because the
// others are gone, and after a week none.
func TestFewKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fleet, days int
		reports     []int
		after       time.Duration
	}{
		"two of two":                  {2, 20, []int{0, 1}, 0},
		"one of two":                  {2, 20, []int{0}, 25 * time.Hour},
		"nobody":                      {2, 20, nil, 8 * day},
		"a young fleet":               {5, 3, []int{0, 1, 2}, 0},
		"one, seen on a single day":   {1, 1, []int{0}, 0},
		"many, only one of them left": {9, 20, []int{4}, 25 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *rig) {
				r.knownFleet(tt.fleet, tt.days)
				x := today()
				r.restart(30 * day)
				if tt.reports == nil || tt.after > 0 {
					r.wantsDay("at the start", false, x)
				}
				for _, n := range tt.reports {
					r.wantsDay("before the last report", false, x)
					r.says(n, "1.0")
				}
				if tt.after > 0 {
					r.wantsDay("before the time", false, x)
					time.Sleep(tt.after)
				}
				r.wantsDay("at the end", true, today())
			})
		})
	}
}
