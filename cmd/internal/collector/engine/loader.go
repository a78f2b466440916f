package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Loader puts the past into an app that has none: days in their order, as if the reports had come then. It is for
// imports and simulations, and much faster than [Engine.Heartbeat]. It is not safe for concurrent use. Until Close the
// app takes no reports and gives no answers. When loading is interrupted, the app holds a part of it.
type Loader struct {
	c     *Engine
	f     *fleet
	s     *stage
	fs    *fleetStage
	limit int // the app's own MaxNewPerDay, which does not bind the past
	begun bool
	// rows are the rows of the installations, each text once.
	rows     []string
	interned map[string]string
	cost     int
}

// loadFlush is after how many changes the loader writes.
const loadFlush = 100_000

// Load begins to load an app that has no installations yet: [ErrNotEmpty].
func (c *Engine) Load(ctx context.Context, app collector.AppNum) (*Loader, error) {
	l := &Loader{c: c, interned: make(map[string]string)}
	err := c.exec(ctx, func(context.Context) error {
		f, err := c.fleet(app)
		if err != nil {
			return err
		}
		if f.next > 0 || f.open.Accepted > 0 {
			return collector.ErrNotEmpty
		}
		c.mu.Lock()
		delete(c.fleets, app)
		delete(c.byKey, f.key)
		c.mu.Unlock()
		l.f = newFleet(f.app, f.today)
		l.f.warm, l.f.touched = true, nil
		l.limit, l.f.app.MaxNewPerDay = f.app.MaxNewPerDay, math.MaxInt
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Day ends the day before and begins a day, which must be later and not after today. Days that are left out are gaps.
func (l *Loader) Day(ctx context.Context, day collector.Day) error {
	if day > collector.DayOf(time.Now()) {
		return fmt.Errorf("day %s is not over yet and has not begun", day)
	}
	if !l.begun {
		l.begun = true
		l.f.today = day
		l.stage()
		return nil
	}
	if day <= l.f.today {
		return fmt.Errorf("day %s is not after %s", day, l.f.today)
	}
	return l.close(ctx, day)
}

// close closes the days before day.
func (l *Loader) close(ctx context.Context, day collector.Day) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	for running := true; l.f.today < day; running = false {
		err := l.c.exec(ctx, func(ctx context.Context) error {
			// The bits of the day have no journal: they are written with its figures.
			b := &collector.Batch{}
			l.f.addRecords(b)
			if err := l.c.commit(ctx, b); err != nil {
				return err
			}
			l.f.clean()
			return l.c.closeDay(ctx, l.f, !running)
		})
		if err != nil {
			return err
		}
	}
	l.stage()
	return nil
}

func (l *Loader) stage() {
	noon := l.f.today.Time().Add(12 * time.Hour)
	if now := time.Now(); noon.After(now) {
		noon = now
	}
	l.s = l.c.newStage(noon)
	l.fs = newFleetStage(l.f)
}

// Heartbeat counts a heartbeat on the day.
func (l *Loader) Heartbeat(ctx context.Context, r collector.Received) error {
	repeated, _, err := l.fs.heartbeat(ctx, l.loading(), l.c.keys.key(l.f.key, r.Heartbeat.InstallationID), &r)
	if err != nil {
		return err
	}
	return l.counted(ctx, repeated)
}

// Health counts a health report on the day.
func (l *Loader) Health(ctx context.Context, r collector.ReceivedHealth) error {
	receipt, err := l.fs.health(ctx, l.loading(), l.c.keys.key(l.f.key, r.Report.InstallationID), &r)
	if err != nil {
		return err
	}
	return l.counted(ctx, receipt.Repeated)
}

func (l *Loader) counted(ctx context.Context, repeated bool) error {
	l.fs.counters.Accepted++
	if repeated {
		l.fs.counters.Repeated++
	}
	return l.added(ctx)
}

// loading gives the stage, which reads rows from memory.
func (l *Loader) loading() *stage {
	l.s.rows = l
	return l.s
}

// New adds an installation that is active on the day, with values by dimension, under a key that no other has.
func (l *Loader) New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error) {
	num := l.f.next + collector.Num(len(l.fs.identities))
	if err := l.fs.add(l.s, key, l.state(values), values[collector.DimVersion]); err != nil {
		return 0, err
	}
	l.fs.counters.Accepted++
	return num, l.added(ctx)
}

// Active says that an installation is active on the day.
func (l *Loader) Active(num collector.Num) {
	if num < l.f.next {
		l.f.activate(slices.Values([]collector.Num{num}))
	}
	l.fs.counters.Accepted++
}

// Change replaces the values of an installation, those of dimensions that are not named here too.
func (l *Loader) Change(ctx context.Context, num collector.Num, values map[string]string) error {
	if _, err := l.fs.change(ctx, l, num, l.state(values)); err != nil {
		return err
	}
	return l.added(ctx)
}

func (l *Loader) state(values map[string]string) state {
	ls := make(labels, 0, len(values))
	for dim, value := range values {
		if value != "" {
			ls = append(ls, label{dim, value})
		}
	}
	return l.fs.terms.state(ls)
}

// Installation gives a row that was loaded.
func (l *Loader) Installation(_ context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error) {
	if int(num) >= len(l.rows) || l.rows[num] == "" {
		return collector.Installation{}, false, nil
	}
	return collector.Installation{App: app, Num: num, State: []byte(l.rows[num])}, true, nil
}

func (l *Loader) added(ctx context.Context) error {
	if l.cost++; l.cost < loadFlush {
		return nil
	}
	return l.flush(ctx)
}

// flush writes the rows and makes the stage part of the fleet.
func (l *Loader) flush(ctx context.Context) error {
	if l.fs == nil {
		return nil
	}
	b := &collector.Batch{}
	l.fs.addRows(b)
	if len(b.PutIdentities)+len(b.PutInstallations)+len(b.Records) > 0 {
		if err := l.c.exec(ctx, func(ctx context.Context) error { return l.c.commit(ctx, b) }); err != nil {
			return err
		}
	}
	l.s.fleets[l.f.num] = l.fs
	l.s.apply()
	for _, row := range b.PutInstallations {
		l.keep(row)
	}
	l.stage()
	l.cost = 0
	return nil
}

func (l *Loader) keep(row collector.Installation) {
	text, ok := l.interned[string(row.State)]
	if !ok {
		text = string(row.State)
		l.interned[text] = text
	}
	for len(l.rows) <= int(row.Num) {
		l.rows = append(l.rows, "")
	}
	l.rows[row.Num] = text
}

// Close ends the last day, if it is over, and makes all of it durable. The app takes reports again.
func (l *Loader) Close(ctx context.Context) error {
	if l.begun {
		if err := l.close(ctx, collector.DayOf(time.Now())); err != nil {
			return err
		}
	}
	return l.c.exec(ctx, func(ctx context.Context) error {
		l.f.app.MaxNewPerDay = l.limit
		l.c.adopt(l.f)
		l.c.day = min(l.c.day, l.f.today)
		if err := l.c.checkpoint(ctx); err != nil {
			return err
		}
		l.c.askReady()
		return l.c.purge(ctx, l.f)
	})
}
