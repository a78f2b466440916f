package simulate

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// The windows in which active installations are counted, in days.
var windows = [4]int{1, 7, 28, 30}

// A Day is what is true of one day. Active and Established are in windows
// of 1, 7, 28 and 30 days.
type Day struct {
	Day         collector.Day `json:"day"`
	Active      [4]uint64     `json:"active"`
	Established [4]uint64     `json:"established"`
	New         uint64        `json:"new"`
	Returning   uint64        `json:"returning"`
	Lost        uint64        `json:"lost"`
	InMemory    uint64        `json:"in_memory"`
	Excluded    uint64        `json:"excluded"`
}

func (p *person) between(from, to collector.Day) bool {
	i, _ := slices.BinarySearch(p.days, from)
	return i < len(p.days) && p.days[i] <= to
}

// Series returns the figures of each day of a range.
func (t *Truth) Series(r collector.Range) []Day {
	var days []Day
	for day := r.From; day <= r.To; day++ {
		d := Day{Day: day, InMemory: uint64(len(t.memory[day])), Excluded: uint64(len(t.excluded[day]))}
		for _, p := range t.people {
			d.add(p)
		}
		days = append(days, d)
	}
	return days
}

func (d *Day) add(p *person) {
	first, last := p.days[0], p.days[len(p.days)-1]
	if first > d.Day || last < d.Day-30 {
		return
	}
	for w, length := range windows {
		if !p.between(d.Day-collector.Day(length)+1, d.Day) {
			continue
		}
		d.Active[w]++
		if len(p.days) > 1 && p.days[1] <= d.Day {
			d.Established[w]++
		}
	}
	today := p.between(d.Day, d.Day)
	switch {
	case first == d.Day:
		d.New++
	case today && !p.between(d.Day-28, d.Day-1):
		d.Returning++
	case p.between(d.Day-28, d.Day-28) && !p.between(d.Day-27, d.Day):
		d.Lost++
	}
}

// Clones returns how many IDs more than one machine probably uses.
func (t *Truth) Clones() (n int) {
	for _, p := range t.people {
		if p.clone {
			n++
		}
	}
	return n
}

// MedianAge returns the median of the days since first sight, of the
// installations active in the 28 days to day. Of two medians it is the
// lower one.
func (t *Truth) MedianAge(day collector.Day) uint64 {
	var ages []collector.Day
	for _, p := range t.people {
		if p.between(day-27, day) {
			ages = append(ages, day-p.days[0])
		}
	}
	if len(ages) == 0 {
		return 0
	}
	slices.Sort(ages)
	return uint64(ages[(len(ages)-1)/2])
}

// A Split is how many installations have each value.
type Split map[string]uint64

// Active yields a function for each installation active in the window
// that ends with a day. It returns the installation's value in a
// dimension at the end of that day, or "".
func (t *Truth) Active(window int, day collector.Day) iter.Seq[func(dimension string) string] {
	return func(yield func(func(string) string) bool) {
		for _, p := range t.people {
			active := p.between(day-collector.Day(window)+1, day)
			if active && !yield(func(dimension string) string { return p.value(dimension, day) }) {
				return
			}
		}
	}
}

// Split splits the installations active in the window that ends with a
// day by their values at the end of that day.
func (t *Truth) Split(dimension string, window int, day collector.Day) Split {
	split := make(Split)
	for value := range t.Active(window, day) {
		if v := value(dimension); v != "" {
			split[v]++
		}
	}
	return split
}

func (p *person) value(dimension string, day collector.Day) string {
	if dimension == collector.DimFirstVersion {
		return p.first
	}
	return p.at(day)[dimension]
}

// Dimensions returns the names of all dimensions, sorted.
func (t *Truth) Dimensions() []string {
	names := map[string]bool{collector.DimFirstVersion: true}
	for _, p := range t.people {
		for _, state := range p.states {
			for name := range state.values {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// A Step is a version and how many installations run it or a newer one.
type Step struct {
	Version string `json:"version"`
	Kept    uint64 `json:"kept"`
}

// Floor returns the steps of the installations active in the 28 days to
// day, the newest version first.
func (t *Truth) Floor(day collector.Day) []Step {
	split := t.Split(collector.DimVersion, 28, day)
	var steps []Step
	for version := range split {
		step := Step{Version: version}
		for other, n := range split {
			if report.CompareVersions(other, version) >= 0 {
				step.Kept += n
			}
		}
		steps = append(steps, step)
	}
	slices.SortFunc(steps, func(a, b Step) int { return report.CompareVersions(b.Version, a.Version) })
	return steps
}

// Moves returns the changes of version, and how many went up and down.
func (t *Truth) Moves(r collector.Range) (moves map[Move]uint64, up, down uint64) {
	moves = make(map[Move]uint64)
	for day, some := range t.moves {
		if day < r.From || day > r.To {
			continue
		}
		for move, n := range some {
			moves[move] += n
			if report.CompareVersions(move.From, move.To) < 0 {
				up += n
			} else {
				down += n
			}
		}
	}
	return moves, up, down
}

// A Cohort is the installations that were new in one period. Cells counts
// those active in each period since.
type Cohort struct {
	From  collector.Day `json:"from"`
	Size  uint64        `json:"size"`
	Cells []uint64      `json:"cells"`
}

// Retention returns the cohorts of all periods that a range touches, with
// the periods up to its last day.
func (t *Truth) Retention(g collector.Grain, r collector.Range) []Cohort {
	var starts []collector.Day
	for day := r.From; day <= r.To; day++ {
		if start := PeriodStart(g, day); len(starts) == 0 || starts[len(starts)-1] != start {
			starts = append(starts, start)
		}
	}
	cohorts := make([]Cohort, len(starts))
	for i, start := range starts {
		cohorts[i] = Cohort{From: start, Cells: make([]uint64, len(starts)-i)}
	}
	for _, p := range t.people {
		born, found := slices.BinarySearch(starts, PeriodStart(g, p.days[0]))
		if !found {
			continue
		}
		cohorts[born].Size++
		counted := -1
		for _, day := range p.days {
			if at, found := slices.BinarySearch(starts, PeriodStart(g, day)); found && at != counted {
				cohorts[born].Cells[at-born]++
				counted = at
			}
		}
	}
	return cohorts
}

// A Curve is the installations that began with one version. Active counts
// those active in each week since the one of their first sight. Of counts
// those for which the week of that age is over.
type Curve struct {
	Size   uint64   `json:"size"`
	Active []uint64 `json:"active"`
	Of     []uint64 `json:"of"`
}

// Survival returns a curve for each first version, over the weeks that are over.
func (t *Truth) Survival(day collector.Day) map[string]*Curve {
	curves := make(map[string]*Curve)
	end := PeriodStart(collector.GrainWeek, day)
	for _, p := range t.people {
		born := PeriodStart(collector.GrainWeek, p.days[0])
		if born >= end {
			continue
		}
		curve := curves[p.first]
		if curve == nil {
			curve = &Curve{}
			curves[p.first] = curve
		}
		curve.Size++
		for week := born; week < end; week += 7 {
			age := int(week-born) / 7
			if age == len(curve.Of) {
				curve.Of, curve.Active = append(curve.Of, 0), append(curve.Active, 0)
			}
			curve.Of[age]++
			if p.between(week, week+6) {
				curve.Active[age]++
			}
		}
	}
	return curves
}

// PeriodStart returns the first day of the period that a day belongs to.
func PeriodStart(g collector.Grain, day collector.Day) collector.Day {
	at := day.Time()
	switch g {
	case collector.GrainWeek:
		for at.Weekday() != time.Monday {
			at = at.AddDate(0, 0, -1)
		}
	case collector.GrainMonth:
		at = at.AddDate(0, 0, 1-at.Day())
	}
	return collector.Day(at.Unix() / (24 * 60 * 60))
}

// A Fault is what is true of a fault in a range. Versions are those that
// the affected installations run on the last day.
type Fault struct {
	Key         report.FaultKey         `json:"key"`
	Affected    uint64                  `json:"affected"`
	Occurrences uint64                  `json:"occurrences"`
	FirstSeen   collector.Day           `json:"first_seen"`
	LastSeen    collector.Day           `json:"last_seen"`
	Versions    map[string]FaultVersion `json:"versions"`
}

// A FaultVersion counts the affected installations of one version, and
// those active in the range.
type FaultVersion struct {
	Affected uint64 `json:"affected"`
	Active   uint64 `json:"active"`
}

// Faults returns the faults that were reported in a range, the one that
// affects most installations first.
func (t *Truth) Faults(r collector.Range) []Fault {
	active := make(map[string]uint64)
	for _, p := range t.people {
		if p.between(r.From, r.To) {
			active[p.value(collector.DimVersion, t.last)]++
		}
	}
	var faults []Fault
	for key, a := range t.faults {
		fault := Fault{Key: key, Versions: make(map[string]FaultVersion)}
		who := make(map[string]bool)
		for day, ids := range a.affected {
			if fault.FirstSeen == 0 || day < fault.FirstSeen {
				fault.FirstSeen = day
			}
			fault.LastSeen = max(fault.LastSeen, day)
			if day < r.From || day > r.To {
				continue
			}
			fault.Occurrences += a.occurrences[day]
			for id := range ids {
				who[id] = true
			}
		}
		for id := range who {
			version := t.people[id].value(collector.DimVersion, t.last)
			v := fault.Versions[version]
			fault.Versions[version] = FaultVersion{v.Affected + 1, active[version]}
		}
		if fault.Affected = uint64(len(who)); fault.Affected > 0 {
			faults = append(faults, fault)
		}
	}
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(b.Affected, a.Affected), cmp.Compare(a.Key.Component, b.Key.Component),
			cmp.Compare(a.Key.Reason, b.Key.Reason))
	})
	return faults
}

// Figures is the whole truth of a range, for a file.
type Figures struct {
	Days       []Day                        `json:"days"`
	Dimensions map[string]Split             `json:"dimensions"` // of the installations active in the last 28 days
	Floor      []Step                       `json:"floor"`
	Moves      []MoveCount                  `json:"moves"`
	Upgrades   uint64                       `json:"upgrades"`
	Downgrades uint64                       `json:"downgrades"`
	Retention  map[collector.Grain][]Cohort `json:"retention"`
	Survival   map[string]*Curve            `json:"survival"`
	Faults     []Fault                      `json:"faults"`
	Clones     int                          `json:"clones"`
	MedianAge  uint64                       `json:"median_age_days"`
}

// A MoveCount is how many installations made a move.
type MoveCount struct {
	Move
	Count uint64 `json:"count"`
}

// Figures computes the whole truth of a range.
func (t *Truth) Figures(r collector.Range) Figures {
	f := Figures{
		Days: t.Series(r), Dimensions: make(map[string]Split), Floor: t.Floor(r.To), Faults: t.Faults(r), Clones: t.Clones(),
		MedianAge: t.MedianAge(r.To), Survival: t.Survival(r.To), Retention: make(map[collector.Grain][]Cohort), Moves: []MoveCount{},
	}
	for _, dimension := range t.Dimensions() {
		f.Dimensions[dimension] = t.Split(dimension, 28, r.To)
	}
	for _, g := range []collector.Grain{collector.GrainDay, collector.GrainWeek, collector.GrainMonth} {
		f.Retention[g] = t.Retention(g, r)
	}
	var moves map[Move]uint64
	moves, f.Upgrades, f.Downgrades = t.Moves(r)
	for move, n := range moves {
		f.Moves = append(f.Moves, MoveCount{move, n})
	}
	slices.SortFunc(f.Moves, func(a, b MoveCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return f
}
