package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Loader gives an app a past: days in order, as if their reports had come
// then. It serves imports and simulations, and is much faster than
// [Engine.Heartbeat]. Until Close, the app accepts no reports and has no
// figures; if loading stops early, the app has a part of it. A Loader is not
// safe for concurrent use.
type Loader struct {
	e     *Engine
	f     *fleet
	t     *tx
	ft    *fleetTx
	limit int // the app's MaxNewPerDay, which does not apply to the past
	begun bool
	// rows are the states of the installations. Equal ones share memory.
	rows     []string
	interned map[string]string
	pending  int      // changes since the last flush
	m        *merging // of [Engine.Import], else nil
}

// loadFlush is the number of changes after which the loader writes.
const loadFlush = 100_000

// Load begins to load an app that has no installations yet; otherwise it returns
// [collector.ErrNotEmpty].
func (e *Engine) Load(ctx context.Context, app collector.AppNum) (*Loader, error) {
	l := &Loader{e: e, interned: make(map[string]string)}
	err := e.exec(ctx, func(context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		if f.next > 0 || f.open.Accepted > 0 {
			return collector.ErrNotEmpty
		}
		e.mu.Lock()
		delete(e.fleets, app)
		delete(e.byKey, f.key)
		e.mu.Unlock()
		l.f = newWarmFleet(f.app, f.today)
		l.limit, l.f.app.MaxNewPerDay = f.app.MaxNewPerDay, math.MaxInt
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Day begins a day, which is later than the one before and not after today. Days
// in between are gaps.
func (l *Loader) Day(ctx context.Context, day collector.Day) error {
	if day > l.e.clockDay() {
		return fmt.Errorf("day %s has not begun yet", day)
	}
	if !l.begun {
		l.begun = true
		if l.m != nil {
			return l.beginMerge(ctx, day)
		}
		l.f.today = day
		l.begin()
		return nil
	}
	if day <= l.f.today {
		return fmt.Errorf("day %s is not after %s", day, l.f.today)
	}
	if l.m != nil {
		return l.mergeDays(ctx, day)
	}
	return l.closeDays(ctx, day)
}

// closeDays closes the days before day.
func (l *Loader) closeDays(ctx context.Context, day collector.Day) error {
	if err := l.flush(ctx); err != nil {
		return err
	}
	for l.f.today < day {
		err := l.e.exec(ctx, func(ctx context.Context) error {
			// There is no journal: the bits of the day are written now.
			if err := l.e.putRecords(ctx, l.f.dirtyRecords()...); err != nil {
				return err
			}
			l.f.clean()
			return l.e.closeDay(ctx, l.f, day)
		})
		if err != nil {
			return err
		}
	}
	l.begin()
	return nil
}

// begin begins a tx at noon of the day.
func (l *Loader) begin() {
	noon := l.f.today.Time().Add(12 * time.Hour)
	if now := l.e.clock.read(); noon.After(now) {
		noon = now
	}
	l.t = l.e.begin(noon)
	l.t.rows = l
	l.ft = newFleetTx(l.f)
	l.ft.m = l.m
	l.t.fleets[l.f.num] = l.ft
}

// Heartbeat counts a heartbeat on the day.
func (l *Loader) Heartbeat(ctx context.Context, r collector.Received) error {
	key := l.f.ownKey(l.e.keys.Key(l.f.key, r.Heartbeat.InstallationID))
	if l.m != nil && (l.m.before(key) || l.m.again(l.f.today) && l.ft.isAside(l.e, key, &r)) {
		return nil
	}
	receipt, err := l.ft.heartbeat(ctx, l.t, key, &r)
	if l.m != nil && err == nil {
		l.m.after(key, true)
	}
	return l.accept(ctx, receipt, err)
}

// Health counts a health report on the day.
func (l *Loader) Health(ctx context.Context, r collector.ReceivedHealth) error {
	key := l.f.ownKey(l.e.keys.Key(l.f.key, r.Report.InstallationID))
	if l.m != nil && l.m.before(key) {
		return nil
	}
	receipt, err := l.ft.health(ctx, l.t, key, &r)
	if l.m != nil && err == nil {
		l.m.after(key, false)
	}
	return l.accept(ctx, receipt, err)
}

func (l *Loader) accept(ctx context.Context, receipt collector.Receipt, err error) error {
	if err != nil {
		return err
	}
	if !l.ft.silent {
		l.ft.accept(receipt)
	}
	return l.changed(ctx)
}

// New adds an installation that is active on the day, under a key that no other
// has. Values are by dimension.
func (l *Loader) New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error) {
	num := l.f.next + collector.Num(len(l.ft.identities))
	err := l.ft.addNew(l.t, key, labelsOf(values), introducer{})
	return num, l.accept(ctx, collector.Receipt{}, err)
}

// Active marks an installation active on the day.
func (l *Loader) Active(num collector.Num) {
	if num < l.f.next {
		l.f.activate(slices.Values([]collector.Num{num}))
	}
	l.ft.accept(collector.Receipt{})
}

// Change replaces all values of an installation.
func (l *Loader) Change(ctx context.Context, num collector.Num, values map[string]string) error {
	if _, err := l.ft.change(ctx, l, num, l.ft.state(labelsOf(values), introducer{num: num, known: true})); err != nil {
		return err
	}
	return l.changed(ctx)
}

func labelsOf(values map[string]string) []label {
	labels := make([]label, 0, len(values))
	for dim, text := range values {
		if text != "" {
			labels = append(labels, label{dim, text})
		}
	}
	return labels
}

// Installation returns a row that was loaded. It makes the loader the source of
// rows for its tx.
func (l *Loader) Installation(_ context.Context, app collector.AppNum, num collector.Num) (collector.Installation, bool, error) {
	if int(num) >= len(l.rows) || l.rows[num] == "" {
		if l.m != nil {
			if u, ok := l.m.unnamed[num]; ok { // it has no values but the first version
				st := state{first: u.first}
				return collector.Installation{App: app, Num: num, State: st.encode(nil)}, true, nil
			}
		}
		return collector.Installation{}, false, nil
	}
	return collector.Installation{App: app, Num: num, State: []byte(l.rows[num])}, true, nil
}

func (l *Loader) changed(ctx context.Context) error {
	if l.pending++; l.pending < loadFlush {
		return nil
	}
	return l.flush(ctx)
}

// flush writes the rows, and applies the tx to the fleet.
func (l *Loader) flush(ctx context.Context) error {
	if l.ft == nil {
		return nil
	}
	b := &collector.Batch{}
	l.ft.addRows(b)
	if l.m != nil {
		l.m.nameRows(b)
	}
	if len(b.PutIdentities)+len(b.PutInstallations)+len(b.Records) > 0 {
		if err := l.e.exec(ctx, func(ctx context.Context) error { return l.e.commit(ctx, b) }); err != nil {
			return err
		}
	}
	l.t.apply()
	for _, row := range b.PutInstallations {
		l.keep(row)
	}
	l.begin()
	l.pending = 0
	return nil
}

// keep keeps a row that was written.
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

// Close ends the last day, if it is over, and makes everything durable. The app
// accepts reports again.
func (l *Loader) Close(ctx context.Context) error {
	if l.m != nil {
		return l.finishMerge(ctx)
	}
	if l.begun {
		if err := l.closeDays(ctx, l.e.clockDay()); err != nil {
			return err
		}
	}
	return l.e.exec(ctx, func(ctx context.Context) error {
		l.f.app.MaxNewPerDay = l.limit
		l.f.purged = l.f.today
		if l.e.held != nil {
			l.f.aside = newAside(l.f.next)
		}
		l.e.publish(l.f)
		l.e.day = min(l.e.day, l.f.today)
		if err := l.e.checkpoint(ctx); err != nil {
			return err
		}
		l.e.requestPreload()
		return l.e.purge(ctx, l.f)
	})
}
