package groundtruth

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
)

// A Crowd is a fleet of very many installations, which needs 8 bytes
// for each, counters for its truth, and no reports. The same number is
// born each day. Three in ten stay until the end; the others stop after
// 1 to 256 days, half of them within 5 weeks. The living report on
// seven days of eight. There is a new version every 30 days, which they
// adopt sooner or later.
type Crowd struct {
	Seed          uint64
	Installations int           // 1 to MaxCrowd
	Days          int           // 1 to simulate.MaxDays
	Last          collector.Day // the last of the days
}

// MaxCrowd bounds the installations of a [Crowd].
const MaxCrowd = 1_000_000_000

// A CrowdTruth is what is true of the last day of a [Crowd], and its
// cohorts.
type CrowdTruth struct {
	simulate.Day
	// Versions splits the installations active in 28 days.
	Versions simulate.Split
	// Visits is the sum of the installations active on each day.
	Visits uint64
	// Weeks and Months are cohorts as in [simulate.Truth.Retention].
	Weeks, Months []simulate.Cohort
}

// A CrowdLoader is what [Crowd.Load] needs of a [engine.Loader].
type CrowdLoader interface {
	Day(ctx context.Context, day collector.Day) error
	New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error)
	Active(num collector.Num)
	Change(ctx context.Context, num collector.Num, values map[string]string) error
}

var _ CrowdLoader = (*engine.Loader)(nil)

// First is the first day.
func (c *Crowd) First() collector.Day { return c.Last - collector.Day(c.Days) + 1 }

// Load loads the crowd and returns its truth. It does not close the
// loader.
func (c *Crowd) Load(ctx context.Context, l CrowdLoader) (CrowdTruth, error) {
	switch {
	case c.Installations < 1 || c.Installations > MaxCrowd:
		return CrowdTruth{}, fmt.Errorf("%d installations are not 1 to %d", c.Installations, MaxCrowd)
	case c.Days < 1 || c.Days > simulate.MaxDays:
		return CrowdTruth{}, fmt.Errorf("%d days are not 1 to %d", c.Days, simulate.MaxDays)
	}
	b, err := newBrood(c, l)
	if err != nil {
		return CrowdTruth{}, err
	}
	for day := range c.Days {
		if err := ctx.Err(); err != nil {
			return CrowdTruth{}, err
		}
		if err := l.Day(ctx, c.First()+collector.Day(day)); err != nil {
			return CrowdTruth{}, err
		}
		if err := b.live(ctx, day); err != nil {
			return CrowdTruth{}, fmt.Errorf("load %s: %w", c.First()+collector.Day(day), err)
		}
	}
	return b.truth(), nil
}

// bornBefore returns how many are born before a day.
func (c *Crowd) bornBefore(day int) int {
	hi, lo := bits.Mul64(uint64(c.Installations), uint64(day))
	n, _ := bits.Div64(hi, lo, uint64(c.Days))
	return int(n)
}

// A brood is a crowd while it is loaded.
type brood struct {
	*Crowd
	l       CrowdLoader
	members []member
	// How many were last seen on each day: all, those seen twice, and
	// by version.
	last, lastTwice []uint64
	lastWith        [][]uint64
	weeks, months   periods
	fresh, returned uint64 // on the day that is loaded
	visits          uint64
	shapes          [][]map[string]string // the values by version and shape
}

// A member is the state of one installation. Days count from the
// crowd's first.
type member struct {
	last, dies     uint16
	version, shape uint8
	twice          bool
}

// periods counts cohorts by period: counts[cohort][period].
type periods struct {
	of     []int // the period of each day
	starts []collector.Day
	counts [][]uint64
}

const (
	crowdRelease = 30 // days from version to version
	crowdShapes  = 64
)

func newBrood(c *Crowd, l CrowdLoader) (*brood, error) {
	shapes, err := shapesOf(c.Seed)
	if err != nil {
		return nil, err
	}
	b := &brood{
		Crowd: c, l: l, members: make([]member, c.Installations),
		last: make([]uint64, c.Days), lastTwice: make([]uint64, c.Days),
		weeks: newPeriods(c, collector.GrainWeek), months: newPeriods(c, collector.GrainMonth),
	}
	for version := range (c.Days-1)/crowdRelease + 1 {
		b.lastWith = append(b.lastWith, make([]uint64, c.Days))
		b.shapes = append(b.shapes, withVersion(shapes, version))
	}
	return b, nil
}

func newPeriods(c *Crowd, g collector.Grain) periods {
	var p periods
	for day := range c.Days {
		start := simulate.PeriodStart(g, c.First()+collector.Day(day))
		if n := len(p.starts); n == 0 || p.starts[n-1] != start {
			p.starts = append(p.starts, start)
		}
		p.of = append(p.of, len(p.starts)-1)
	}
	p.counts = make([][]uint64, len(p.starts))
	for i := range p.counts {
		p.counts[i] = make([]uint64, len(p.starts))
	}
	return p
}

// shapesOf returns the different sets of values that installations
// have: those of a small fleet.
func shapesOf(seed uint64) ([]map[string]string, error) {
	f, err := simulate.New(simulate.Config{Seed: seed, Installations: crowdShapes, Days: 1, Shares: &simulate.Shares{}})
	if err != nil {
		return nil, err
	}
	var shapes []map[string]string
	for _, visit := range f.Visits() {
		shapes = append(shapes, simulate.Values(visit[0].Heartbeat))
	}
	return shapes, nil
}

func withVersion(shapes []map[string]string, version int) []map[string]string {
	var changed []map[string]string
	for _, values := range shapes {
		values = maps.Clone(values)
		values[collector.DimVersion] = crowdVersion(version)
		changed = append(changed, values)
	}
	return changed
}

func crowdVersion(version int) string { return fmt.Sprintf("1.%d.0", version) }

// chance returns the random number of an installation on a day, or for
// any other purpose.
func (b *brood) chance(i int, purpose uint64) uint64 {
	var source rand.PCG
	source.Seed(b.Seed^purpose<<48, uint64(i))
	return source.Uint64()
}

// live loads one day.
func (b *brood) live(ctx context.Context, day int) error {
	b.fresh, b.returned = 0, 0
	for born := range day {
		week, month := b.weeks.counts[b.weeks.of[born]], b.months.counts[b.months.of[born]]
		for i := b.bornBefore(born); i < b.bornBefore(born+1); i++ {
			m := &b.members[i]
			if int(m.dies) < day {
				continue
			}
			chance := b.chance(i, uint64(day))
			if chance&7 == 0 {
				continue
			}
			b.l.Active(collector.Num(i))
			b.seen(m, day, week, month)
			if newest := uint8(day / crowdRelease); m.version < newest && chance>>3%(4+uint64(m.shape)) == 0 {
				b.lastWith[m.version][day]--
				b.lastWith[newest][day]++
				m.version = newest
				if err := b.l.Change(ctx, collector.Num(i), b.shapes[m.version][m.shape]); err != nil {
					return err
				}
			}
		}
	}
	return b.births(ctx, day)
}

// seen counts that an installation is active on a day.
func (b *brood) seen(m *member, day int, week, month []uint64) {
	before := int(m.last)
	b.visits++
	b.last[before]--
	b.last[day]++
	if m.twice {
		b.lastTwice[before]--
	}
	m.twice = true
	b.lastTwice[day]++
	b.lastWith[m.version][before]--
	b.lastWith[m.version][day]++
	if day-before > 28 {
		b.returned++
	}
	if p := b.weeks.of[day]; b.weeks.of[before] != p {
		week[p]++
	}
	if p := b.months.of[day]; b.months.of[before] != p {
		month[p]++
	}
	m.last = uint16(day)
}

func (b *brood) births(ctx context.Context, day int) error {
	week, month := b.weeks.of[day], b.months.of[day]
	for i := b.bornBefore(day); i < b.bornBefore(day+1); i++ {
		chance := b.chance(i, 0xffff)
		m := &b.members[i]
		*m = member{last: uint16(day), dies: 0xffff, version: uint8(day / crowdRelease), shape: uint8(chance % crowdShapes)}
		if chance >>= 8; chance%10 >= 3 {
			// The square makes short lives more frequent.
			life := chance >> 8 & 0xff
			m.dies = uint16(min(day+int(life*life/256), 0xfffe))
		}
		var key collector.Key
		binary.BigEndian.PutUint64(key[:], b.chance(i, 0xfffe))
		binary.BigEndian.PutUint64(key[8:], uint64(i)) // no two are the same
		num, err := b.l.New(ctx, key, b.shapes[m.version][m.shape])
		if err != nil {
			return err
		}
		if int(num) != i {
			return fmt.Errorf("installation %d has number %d: the app is not empty", i, num)
		}
		b.fresh, b.visits = b.fresh+1, b.visits+1
		b.last[day]++
		b.lastWith[m.version][day]++
		b.weeks.counts[week][week]++
		b.months.counts[month][month]++
	}
	return nil
}

func (b *brood) truth() CrowdTruth {
	t := CrowdTruth{Day: simulate.Day{Day: b.Last, New: b.fresh, Returning: b.returned}, Visits: b.visits, Versions: make(simulate.Split)}
	last := b.Days - 1
	for w, length := range windows {
		for day := max(0, last-length+1); day <= last; day++ {
			t.Active[w] += b.last[day]
			t.Established[w] += b.lastTwice[day]
		}
	}
	if last >= 28 {
		t.Lost = b.last[last-28]
	}
	for version, days := range b.lastWith {
		var n uint64
		for day := max(0, last-27); day <= last; day++ {
			n += days[day]
		}
		if n > 0 {
			t.Versions[crowdVersion(version)] = n
		}
	}
	t.Weeks, t.Months = b.weeks.cohorts(), b.months.cohorts()
	return t
}

func (p *periods) cohorts() []simulate.Cohort {
	var all []simulate.Cohort
	for i, counts := range p.counts {
		all = append(all, simulate.Cohort{From: p.starts[i], Size: counts[i], Cells: counts[i:]})
	}
	return all
}

// Compare compares the collector's figures of the last day, and the
// cohorts, with the truth, and returns how many figures these are. The
// app has to be the one that the crowd was loaded into.
func (t *CrowdTruth) Compare(tb testing.TB, from *engine.Engine, app collector.AppNum) (compared int) {
	tb.Helper()
	day := collector.Range{From: t.Day.Day, To: t.Day.Day}
	c := &comparer{ctx: tb.Context(), from: from, app: app, r: day}
	series, err := from.Series(c.ctx, app, day, figures.View{})
	if err != nil || len(series.Points) != 1 {
		tb.Fatalf("got %d points and %v for one day", len(series.Points), err)
	}
	c.point(series.Points[0], t.Day)
	versions, err := from.Breakdown(c.ctx, app, collector.DimVersion, 28, day.To, figures.View{})
	if err != nil {
		tb.Fatal(err)
	}
	c.breakdown(versions.Values, maps.Clone(t.Versions), "version")
	all := collector.Range{From: t.Weeks[0].From, To: day.To}
	for grain, cohorts := range map[collector.Grain][]simulate.Cohort{
		collector.GrainWeek: t.Weeks, collector.GrainMonth: t.Months,
	} {
		if err := c.cohorts(grain, all, cohorts); err != nil {
			tb.Fatal(err)
		}
	}
	c.report(tb)
	return c.compared
}
