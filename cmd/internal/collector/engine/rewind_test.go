package engine_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// A store whose day is far in the future, because an older version trusted a
// wrong clock, comes back: when known installations confirm the right day, or by
// the operator.
func TestBackFromTheFuture(t *testing.T) {
	t.Parallel()
	for name, confirm := range map[string]func(r *rig){
		"installations": func(r *rig) { r.sends(0, 3, "2.0") },
		"operator": func(r *rig) {
			r.sends(0, 2, "2.0")
			before, now, err := r.e.FixDay(r.t.Context())
			if err != nil || now != today() || before <= now {
				r.t.Errorf("got %s, %s, %v, want %s", before, now, err, today())
			}
			r.sends(2, 3, "2.0")
		},
		"operator, stopped": func(r *rig) {
			if _, _, err := r.e.FixDay(r.t.Context()); err != nil {
				r.t.Error(err)
			}
			r.sends(0, 3, "2.0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *rig) {
				r.knownFleet(20, 20)
				x := today()
				r.full(3)
				log := &lines{}
				r.log = log
				r.jump(3000 * day)
				if _, _, err := r.e.FixDay(t.Context()); err != nil { // what an older version did by itself
					t.Fatal(err)
				}
				far := x + 3000
				r.wantsDay("in the future", true, far)
				for n := 10; n < 25; n++ {
					r.send(r.heartbeat(n, "1.5"))
				}
				r.full(3, 4)
				time.Sleep(day)
				for n := 15; n < 30; n++ {
					r.send(r.heartbeat(n, "1.6"))
				}
				r.wantsDay("in the future", true, far+1)
				late := r.addApp(collector.App{Key: "late"})
				if late.Created != far+1 {
					t.Errorf("got created %s", late.Created)
				}
				r.restart(time.Minute, func() { r.jump(-3000 * day) })
				r.wantsDay("with the right clock", false, far+1)
				confirm(r)
				r.wantsDay("back", true, x+1)
				check := func() {
					t.Helper()
					p := r.point(x + 1)
					r.wants("active", p.Active.Day, 25) // 10 to 29, and 0 to 4
					r.wants("new", p.New, 10)
					r.wants("established", p.Established.Day, 15)
					r.wants("28 days", p.Active.Days28, 30)
					r.wants("active on the day before", r.point(x).Active.Day, 20)
					today, since, err := r.e.Today(late.Num)
					if err != nil || today != x+1 || since != x+1 {
						t.Errorf("got %s, %s, %v of the later app", today, since, err)
					}
					s, err := r.e.Series(t.Context(), r.app.Num, collector.Range{From: x + 1, To: x + 3000}, figures.View{})
					if err != nil || len(s.Points) != 1 {
						t.Errorf("got %d points after the day, %v", len(s.Points)-1, err)
					}
					faults, err := r.e.Faults(t.Context(), r.app.Num, collector.Range{From: x + 1, To: x + 1}, figures.View{})
					if err != nil || len(faults.Faults) != 1 || *faults.Faults[0].Affected != 1 || faults.Faults[0].LastSeen != x+1 {
						t.Errorf("got faults %+v, %v", faults.Faults, err)
					}
				}
				check()
				if n := log.count("WARN Later days were counted by a wrong clock"); n != 2 {
					t.Errorf("got %d warnings, want one for each app: %v", n, log.text)
				}
				r.crash()
				check()
				r.nextDay()
				r.sends(0, 30, "2.0")
				r.crash()
				r.wants("active the day after", r.point(x+2).Active.Day, 30)
				r.wants("new the day after", r.point(x+2).New, 0)
				if p := r.point(x + 1); p.Open || p.Gap {
					t.Errorf("got %+v, want a closed day", p)
				}
				r.wants("active, closed", r.point(x+1).Active.Day, 25)
			})
		})
	}
}

// A new store that was made in 2100 comes back too: nobody is known for long, so
// all that are known confirm.
func TestMadeInTheFuture(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.jump(100 * 365 * day)
		app := r.addApp(collector.App{Key: "late"})
		r.app = app
		for range 3 {
			for n := range 5 {
				if err := r.try(n, "1.0"); err != nil {
					t.Fatal(err)
				}
			}
			r.nextDay()
		}
		r.restart(time.Minute, func() { r.jump(-100 * 365 * day) })
		r.wantsDay("with the right clock", false, app.Created+3)
		r.sends(0, 3, "1.1")
		r.wantsDay("after three reports", true, today())
		for range 2 {
			p := r.point(today())
			r.wants("active", p.Active.Day, 5)
			r.wants("new", p.New, 5)
			r.wants("established", p.Established.Day, 0)
			if _, since, err := r.e.Today(app.Num); err != nil || since != today() {
				t.Errorf("got since %s, %v, want %s", since, err, today())
			}
			r.crash()
		}
		r.nextDay()
		r.sends(0, 5, "1.1")
		r.wants("established the day after", r.point(today()).Established.Day, 5)
	})
}

// A store of before the clock was judged has no record of it. It is trusted on the
// days after its last one, and otherwise held.
func TestStoreWithoutClock(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stopped, ahead time.Duration
		trusted        bool
	}{
		"at once":             {time.Minute, 0, true},
		"after a weekend":     {3 * day, 0, true},
		"after weeks":         {21 * day, 0, false},
		"left in the future":  {time.Minute, -3000 * day, false},
		"a clock in the past": {day, -40 * day, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, r *rig) {
				r.knownFleet(20, 20)
				x := today()
				store := r.store.Clone()
				r.close()
				for record, err := range store.Records(t.Context(), "open", r.app.Num, 0, 0) {
					if err != nil {
						t.Fatal(err)
					}
					var open map[string]any
					if err := json.Unmarshal(record.Data, &open); err != nil {
						t.Fatal(err)
					}
					delete(open, "purged")
					if record.Data, err = json.Marshal(open); err != nil {
						t.Fatal(err)
					}
					b := &collector.Batch{Records: []collector.Record{record, {RecordKey: collector.RecordKey{Kind: "clock"}}}}
					if _, err := store.Commit(t.Context(), b); err != nil {
						t.Fatal(err)
					}
				}
				r.store = store
				time.Sleep(tt.stopped)
				r.jump(tt.ahead)
				r.open()
				want := x
				if tt.trusted {
					want = collector.DayOf(r.clock())
				}
				r.wantsDay("at the start", tt.trusted, want)
				for n := range 3 {
					h := r.heartbeat(n, "1.0")
					h.Heartbeat.SentAt = r.clock()
					r.send(h)
				}
				r.wantsDay("after three reports", true, collector.DayOf(r.clock()))
				if got := r.stored(); got != 20 {
					t.Errorf("got %d installations, want 20", got)
				}
			})
		})
	}
}
