package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
)

// Windows of 1, 7, 28 and 30 days end with today, or with another day in memory.
func TestWindows(t *testing.T) {
	t.Parallel()
	f := newFleet(collector.App{Num: 1, Key: "app"}, 100)
	for day := collector.Day(70); day <= 100; day++ { // another installation each day
		daySet(f.days, day).Add(uint32(day))
	}
	for _, tt := range []struct {
		day  collector.Day
		want [4]uint64
	}{{100, [4]uint64{1, 7, 28, 30}}, {99, [4]uint64{1, 7, 28, 30}}, {80, [4]uint64{1, 7, 11, 11}}} {
		for range 2 { // computed, and cached
			var got [4]uint64
			for i, set := range f.windows(tt.day) {
				got[i] = set.Count()
			}
			if got != tt.want {
				t.Errorf("day %d: got %v, want %v", tt.day, got, tt.want)
			}
		}
	}
}

// A diary remembers everything that installations did, day by day, and computes
// figures by looking at all of it.
type diary struct {
	days    [][]collector.Day // by number: the days on which it was active
	value   []string          // its version
	first   []string          // its first version
	reports map[collector.Day]map[int]uint64
}

// activeIn reports whether an installation was active on a day from from to to.
func (d *diary) activeIn(n int, from, to collector.Day) bool {
	return slices.ContainsFunc(d.days[n], func(day collector.Day) bool { return from <= day && day <= to })
}

// count counts the installations with a property.
func (d *diary) count(has func(n int) bool) (count uint64) {
	for n := range d.days {
		if has(n) {
			count++
		}
	}
	return count
}

// total computes the figures of a day, except for counters.
func (d *diary) total(today collector.Day) dayTotal {
	var want dayTotal
	for i, days := range []collector.Day{1, 7, 28, 30} {
		want.Active[i] = d.count(func(n int) bool { return d.activeIn(n, today-days+1, today) })
		want.Established[i] = d.count(func(n int) bool { return d.activeIn(n, today-days+1, today) && len(d.days[n]) > 1 })
	}
	active := func(n int) bool { return d.activeIn(n, today, today) }
	want.New = d.count(func(n int) bool { return d.days[n][0] == today })
	want.Returning = d.count(func(n int) bool {
		return active(n) && d.days[n][0] < today && !d.activeIn(n, today-28, today-1)
	})
	want.Lost = d.count(func(n int) bool {
		return d.activeIn(n, today-28, today-28) && !d.activeIn(n, today-27, today)
	})
	var ages []uint64
	for n, days := range d.days {
		if d.activeIn(n, today-27, today) {
			ages = append(ages, uint64(today-days[0]))
		}
	}
	if slices.Sort(ages); len(ages) > 0 {
		want.MedianAge = ages[(len(ages)-1)/2]
	}
	return want
}

// split computes the split of the versions on a day.
func (d *diary) split(values []string, today collector.Day) map[string][4]uint64 {
	want := make(map[string][4]uint64)
	for i, days := range []collector.Day{1, 7, 28, 30} {
		for n, value := range values {
			if d.activeIn(n, today-days+1, today) {
				counts := want[value]
				counts[i]++
				want[value] = counts
			}
		}
	}
	return want
}

// row computes the retention row of a period, of installations with a property.
func (d *diary) row(g collector.Grain, from, today collector.Day, has func(n int) bool) (active, size map[collector.Day]uint64) {
	active, size = make(map[collector.Day]uint64), make(map[collector.Day]uint64)
	for n, days := range d.days {
		cohort := g.Start(days[0])
		if !has(n) {
			continue
		}
		size[cohort]++
		if d.activeIn(n, from, today) {
			active[cohort]++
		}
	}
	return active, size
}

// Every figure of a random fleet is what its diary says, on each day.
func TestDayFigures(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 7))
		f := newWarmFleet(collector.App{Num: 1, Key: "app"}, 20_000)
		d := &diary{reports: make(map[collector.Day]map[int]uint64)}
		away := make(map[int]collector.Day)
		for range 40 + random.IntN(40) {
			today := f.today
			var active []collector.Num
			for n := range d.days {
				if random.IntN(40) == 0 {
					away[n] = today + collector.Day(20+random.IntN(20))
				}
				if away[n] <= today && random.IntN(3) > 0 {
					active = append(active, collector.Num(n))
					d.days[n] = append(d.days[n], today)
					if random.IntN(9) == 0 {
						d.set(f, n, fmt.Sprintf("1.%d", random.IntN(4)))
					}
				}
			}
			f.activate(slices.Values(active))
			if added := max(0, random.IntN(6)-3); added > 0 {
				f.assign(added)
				for range added {
					d.days = append(d.days, []collector.Day{today})
					d.value, d.first = append(d.value, ""), append(d.first, fmt.Sprintf("1.%d", random.IntN(3)))
					d.set(f, len(d.days)-1, d.first[len(d.days)-1])
				}
			}
			d.report(f, random)
			checkDayFigures(t, f, d)
			f.startDay(f.nextDay(today + 1))
		}
	}
}

// set gives an installation a version, and its first version if it is new.
func (d *diary) set(f *fleet, n int, version string) {
	first, _ := f.number(label{collector.DimFirstVersion, d.first[n]})
	old := f.state([]label{{collector.DimVersion, d.value[n]}})
	st := f.state([]label{{collector.DimVersion, version}})
	st.first = uint64(first.value) + 1
	if d.value[n] == "" {
		f.dims.update(collector.Num(n), nil, &st)
	} else {
		f.dims.update(collector.Num(n), &old, &st)
	}
	d.value[n] = version
}

// report has some of today's installations report a fault.
func (d *diary) report(f *fleet, random *rand.Rand) {
	d.reports[f.today] = make(map[int]uint64)
	for n := range d.days {
		if d.activeIn(n, f.today, f.today) && random.IntN(8) == 0 {
			more := 1 + random.Uint64N(5)
			d.reports[f.today][n] = more
			f.faults.mark(f.today, faultMark{fault: "id", num: collector.Num(n), more: more})
		}
	}
}

func checkDayFigures(t *testing.T, f *fleet, d *diary) {
	t.Helper()
	today := f.today
	got := f.total()
	got.Counters = dayCounters{}
	if want := d.total(today); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("day %d: got %+v, want %+v", today, got, want)
	}
	splits := f.splits(today)
	for dimension, values := range map[string][]string{collector.DimVersion: d.value, collector.DimFirstVersion: d.first} {
		if got, want := splits[dimension].Values, d.split(values, today); !maps.Equal(got, want) {
			t.Fatalf("day %d: got %s %v, want %v", today, dimension, got, want)
		}
	}
	checkRows := func(what string, g collector.Grain, from collector.Day, row retentionRow, has func(n int) bool) {
		t.Helper()
		active, size := d.row(g, from, today, has)
		for cohort := range size {
			a, s, ok := row.at(g, cohort)
			if !ok || a != active[cohort] || s != size[cohort] {
				t.Fatalf("day %d: %s of %s: got %d of %d, %v, want %d of %d", today, what, cohort, a, s, ok, active[cohort], size[cohort])
			}
		}
		if n := g.Periods(row.From, from) + 1; len(size) > 0 && (len(row.Active) != n || len(row.Size) != n) {
			t.Fatalf("day %d: %s: got %d and %d cohorts, want %d", today, what, len(row.Active), len(row.Size), n)
		}
	}
	all := func(int) bool { return true }
	for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		from := g.Start(today)
		checkRows(string(g), g, from, f.retention(g, from, today), all)
	}
	week := collector.GrainWeek.Start(today)
	rows := f.survival(week, today)
	for version, row := range rows {
		checkRows("survival of "+version, collector.GrainWeek, week, row, func(n int) bool { return d.first[n] == version })
	}
	if want := len(slices.Compact(slices.Sorted(slices.Values(d.first)))); len(rows) != want {
		t.Fatalf("day %d: got %d curves, want %d", today, len(rows), want)
	}
	checkFaultDay(t, f, d)
}

func checkFaultDay(t *testing.T, f *fleet, d *diary) {
	t.Helper()
	var want faultDay
	for _, more := range d.reports[f.today] {
		want.Occurrences += more
	}
	versions := make(map[string]uint64)
	for i, days := range []collector.Day{1, 7, 28, 30} {
		for n := range d.days {
			affected := false
			for day := f.today - days + 1; day <= f.today; day++ {
				_, reported := d.reports[day][n]
				affected = affected || reported
			}
			if affected {
				want.Affected[i]++
				if days == 28 {
					versions[d.value[n]]++
				}
			}
		}
	}
	got, ok := f.faultDay(f.faults.get("id"))
	if got.Occurrences != want.Occurrences || got.Affected != want.Affected || ok != (want.Affected[3] > 0) || !maps.Equal(got.Versions, versions) {
		t.Fatalf("day %d: got fault %+v, %v, want %+v, %v", f.today, got, ok, want, versions)
	}
}

// Cohorts of days go back 400 days, those of weeks 120 weeks.
func TestOldestCohort(t *testing.T) {
	t.Parallel()
	f := newWarmFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	f.first = []firstNum{{18_000, 0}, {19_159, 1}, {19_160, 2}, {19_599, 3}, {19_600, 4}, {20_001, 5}} // 19,160 is a Monday
	f.next = 6
	daySet(f.days, 20_000).AddRange(0, 6)
	for _, tt := range []struct {
		grain        collector.Grain
		from, oldest collector.Day
		size         uint64
	}{{"day", 20_000, 19_600, 1}, {"week", 20_000, 19_160, 3}, {"month", 19_997, 18_000 - 12, 5}} {
		row := f.retention(tt.grain, tt.from, 20_000)
		var size, active uint64
		for i := range row.Size {
			size += row.Size[i]
			active += row.Active[i]
		}
		if row.From != tt.grain.Start(tt.oldest) || size != tt.size || active != tt.size {
			t.Errorf("%s: got %d active of %d from %d, want %d from %d", tt.grain, active, size, row.From, tt.size, tt.grain.Start(tt.oldest))
		}
	}
}

// A fleet without active installations has figures, but no age, splits or curves.
func TestNobodyActive(t *testing.T) {
	t.Parallel()
	f := newWarmFleet(collector.App{Num: 1, Key: "app"}, 20_000)
	f.first, f.next = []firstNum{{19_000, 0}}, 5
	st := f.state([]label{{collector.DimVersion, "1.0"}})
	f.dims.update(0, nil, &st)
	f.number(label{collector.DimFirstVersion, "1.0"})
	if got := f.survival(20_000, 20_000); len(got) != 0 {
		t.Errorf("got curves %v, want none", got)
	}
	if got := f.total(); fmt.Sprint(got) != fmt.Sprint(dayTotal{}) {
		t.Errorf("got %+v, want zeros", got)
	}
	if got := f.splits(20_000); len(got) != 0 {
		t.Errorf("got splits %v, want none", got)
	}
}
