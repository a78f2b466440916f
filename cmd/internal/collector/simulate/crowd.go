package simulate

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// A Crowd is a fleet of very many installations: 8 bytes for each, counters for its truth, and no reports. The same number
// is born each day. Three in ten stay until the end, the others stop after 1 to 256 days, half of those within 5 weeks. Who
// lives reports on seven days of eight, and takes up the version of each 30 days in its time.
type Crowd struct {
	// Seed makes the crowd. Installations is how many there are, 1 to MaxCrowd, Days how many days it lives, 1 to
	// MaxDays, and Last the last of them.
	Seed          uint64
	Installations int
	Days          int
	Last          collector.Day
}

// MaxCrowd bounds the installations of a [Crowd].
const MaxCrowd = 1_000_000_000

// A CrowdTruth is what is true of the last day of a [Crowd], and its cohorts.
type CrowdTruth struct {
	Day
	// Versions splits those active in 28 days.
	Versions Split
	// Visits is the sum of the installations active on each day.
	Visits uint64
	// Weeks and Months are cohorts as in [Truth.Retention].
	Weeks, Months []Cohort
}

// A CrowdLoader takes a crowd; a [collector.Loader] is one.
type CrowdLoader interface {
	Day(ctx context.Context, day collector.Day) error
	New(ctx context.Context, key collector.Key, values map[string]string) (collector.Num, error)
	Active(num collector.Num)
	Change(ctx context.Context, num collector.Num, values map[string]string) error
}

var _ CrowdLoader = (*collector.Loader)(nil)

// First is the first day.
func (c *Crowd) First() collector.Day { return c.Last - collector.Day(c.Days) + 1 }

// Load loads the crowd and gives its truth. It does not close the loader.
func (c *Crowd) Load(ctx context.Context, l CrowdLoader, progress Progress) (CrowdTruth, error) {
	switch {
	case c.Installations < 1 || c.Installations > MaxCrowd:
		return CrowdTruth{}, fmt.Errorf("%d installations are not 1 to %d", c.Installations, MaxCrowd)
	case c.Days < 1 || c.Days > MaxDays:
		return CrowdTruth{}, fmt.Errorf("%d days are not 1 to %d", c.Days, MaxDays)
	}
	b := newBrood(c, l)
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
		if progress != nil {
			progress(day+1, c.Days)
		}
	}
	return b.truth(), nil
}

// bornBefore is how many are born before a day.
func (c *Crowd) bornBefore(day int) int {
	hi, lo := bits.Mul64(uint64(c.Installations), uint64(day))
	n, _ := bits.Div64(hi, lo, uint64(c.Days))
	return int(n)
}

// A brood is a crowd that lives.
type brood struct {
	*Crowd
	l       CrowdLoader
	members []member
	// last, lastTwice and lastWith are how many were last seen on each day: all, those seen twice, and by version.
	last, lastTwice []uint64
	lastWith        [][]uint64
	weeks, months   periods
	fresh, returned uint64 // on the day
	visits          uint64
	shapes          [][]map[string]string // the values by version and shape
}

// A member is the state of one installation; days count from the crowd's first.
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

func newBrood(c *Crowd, l CrowdLoader) *brood {
	b := &brood{
		Crowd: c, l: l, members: make([]member, c.Installations),
		last: make([]uint64, c.Days), lastTwice: make([]uint64, c.Days),
		weeks: newPeriods(c, collector.GrainWeek), months: newPeriods(c, collector.GrainMonth),
	}
	for version := range (c.Days-1)/crowdRelease + 1 {
		b.lastWith = append(b.lastWith, make([]uint64, c.Days))
		b.shapes = append(b.shapes, shapesOf(c.Seed, version))
	}
	return b
}

func newPeriods(c *Crowd, g collector.Grain) periods {
	var p periods
	for day := range c.Days {
		start := periodStart(g, c.First()+collector.Day(day))
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

// shapesOf gives the different sets of values that installations of a version have.
func shapesOf(seed uint64, version int) []map[string]string {
	var shapes []map[string]string
	for i := range crowdShapes {
		in := &installation{random: stream(seed, streamInstallation, i)}
		in.shape(0)
		shapes = append(shapes, map[string]string{
			collector.DimVersion: crowdVersion(version), collector.DimSystem: in.system, collector.DimRelease: in.release,
			collector.DimMachine: in.machine, collector.DimDeployment: string(in.deployment), collector.DimClient: "rollcall-go 0.1.0",
			collector.FactDimension + "store.kind": in.store, collector.FactDimension + "tls": strconv.FormatBool(in.tls),
			collector.FactDimension + "users": usersBuckets[in.users],
		})
	}
	return shapes
}

func crowdVersion(version int) string { return fmt.Sprintf("1.%d.0", version) }

// live lives through one day.
func (b *brood) live(ctx context.Context, day int) error {
	b.fresh, b.returned = 0, 0
	for born := range day {
		week, month := b.weeks.counts[b.weeks.of[born]], b.months.counts[b.months.of[born]]
		for i := b.bornBefore(born); i < b.bornBefore(born+1); i++ {
			m := &b.members[i]
			if int(m.dies) < day {
				continue
			}
			chance := mix(b.Seed ^ uint64(i)<<16 ^ uint64(day))
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
		chance := mix(b.Seed ^ uint64(i)<<16 ^ 0xffff)
		m := &b.members[i]
		*m = member{last: uint16(day), dies: 0xffff, version: uint8(day / crowdRelease), shape: uint8(chance % crowdShapes)}
		if chance >>= 8; chance%10 >= 3 {
			// The square makes short lives more frequent.
			life := chance >> 8 & 0xff
			m.dies = uint16(min(day+int(life*life/256), 0xfffe))
		}
		var key collector.Key
		binary.BigEndian.PutUint64(key[:], mix(b.Seed^uint64(i)))
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
	t := CrowdTruth{Day: Day{Day: b.Last, New: b.fresh, Returning: b.returned}, Visits: b.visits, Versions: make(Split)}
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

func (p *periods) cohorts() []Cohort {
	var all []Cohort
	for i, counts := range p.counts {
		all = append(all, Cohort{From: p.starts[i], Size: counts[i], Cells: counts[i:]})
	}
	return all
}
