package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrGrain says that a grain is not GrainDay, GrainWeek or GrainMonth.
var ErrGrain = errors.New("grain is not day, week or month")

// next gives the first day of the period after the one that begins with from.
func (g Grain) next(from Day) Day {
	switch g {
	case GrainWeek:
		return from + 7
	case GrainMonth:
		return from.NextMonth()
	}
	return from + 1
}

// periods gives how many periods after from the one is that begins with to; both are first days of periods.
func (g Grain) periods(from, to Day) int {
	switch g {
	case GrainWeek:
		return int(to-from) / 7
	case GrainMonth:
		a, b := from.Time(), to.Time()
		return (b.Year()-a.Year())*12 + int(b.Month()) - int(a.Month())
	}
	return int(to - from)
}

// Retention gives the cohorts that were new in the periods which begin or lie in the range, each with all periods since:
// at most the newest MaxDayCohorts days, or MaxWeekCohorts weeks, before the last one, which is not over.
func (c *Collector) Retention(ctx context.Context, app AppNum, g Grain, r Range, v View) (Retention, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Retention{}, err
	}
	if g != GrainDay && g != GrainWeek && g != GrainMonth {
		return Retention{}, fmt.Errorf("%w: %q", ErrGrain, g)
	}
	if err := r.check(); err != nil {
		return Retention{}, err
	}
	f.mu.RLock()
	today := f.today
	from, to := g.start(max(r.From, f.began(), g.oldest(g.start(today)))), g.start(min(r.To, today))
	open := f.retention(g, g.start(today), today)
	f.mu.RUnlock()
	rows, err := closed[retentionRow](ctx, c, f, kindRetention, string(g), Range{From: from, To: today})
	if err != nil {
		return Retention{}, err
	}
	rows[g.start(today)] = open
	s := v.seal()
	answer := Retention{Grain: g, Cohorts: []Cohort{}}
	var all uint64
	for cohort := from; cohort <= to; cohort = g.next(cohort) {
		_, size, ok := open.at(g, cohort)
		if own, has := rows[cohort]; has && !ok {
			_, size, _ = own.at(g, cohort) // one of which only totals are left
		}
		all += size
		line := Cohort{From: cohort, Size: s.count(size), Cells: []Cell{}}
		for period := cohort; period <= today; period = g.next(period) {
			cell := Cell{Open: period == g.start(today), Gap: true}
			row, has := rows[period]
			if n, _, ok := row.at(g, cohort); has && !row.Gap && (ok || size == 0) {
				cell.Active, cell.Gap = s.count(n), false
				cell.Share = share(cell.Active, line.Size)
			}
			line.Cells = append(line.Cells, cell)
		}
		answer.Cohorts = append(answer.Cohorts, line)
	}
	answer.Meta = c.metaOf(f, today, s, all, "installations that were new in the range")
	return answer, nil
}

// Survival gives a curve for each of the top most frequent first versions, 1 to MaxTop; 0 is 8. It is made of the weeks
// that are over.
func (c *Collector) Survival(ctx context.Context, app AppNum, top int, v View) (Survival, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Survival{}, err
	}
	byVersion := make(map[string]map[Day]retentionRow)
	var last Day
	for r, err := range c.store.Records(ctx, kindSurvival, f.num, firstEver, lastEver) {
		if err != nil {
			return Survival{}, err
		}
		var row retentionRow
		if err := decodeRecord(r, &row); err != nil {
			return Survival{}, err
		}
		if byVersion[r.Name] == nil {
			byVersion[r.Name] = make(map[Day]retentionRow)
		}
		byVersion[r.Name][r.Day] = row
		last = max(last, r.Day)
	}
	s := v.seal()
	answer := Survival{Versions: []VersionSurvival{}}
	sizes := make(map[string]uint64)
	var all uint64
	for version, rows := range byVersion {
		for _, n := range newestRow(rows).Size {
			sizes[version] += n
		}
	}
	for version, n := range sizes {
		if s.count(n) == nil {
			delete(sizes, version)
			continue
		}
		sizes[version] = s.round(n)
	}
	for _, version := range topValues(sizes, top) {
		size := s.countQuietly(sizes[version])
		if version == Other || size == nil {
			continue
		}
		all += sizes[version]
		answer.Versions = append(answer.Versions, VersionSurvival{Version: version, Size: size, Cells: s.survival(byVersion[version])})
	}
	slices.SortFunc(answer.Versions, func(a, b VersionSurvival) int { return compareNewest(a.Version, b.Version) })
	answer.Meta = c.metaOf(f, last+6, s, all, "installations that began with one of the versions shown")
	return answer, nil
}

func newestRow(rows map[Day]retentionRow) (newest retentionRow) {
	last := firstEver
	for day, row := range rows {
		if day >= last {
			last, newest = day, row
		}
	}
	return newest
}

// survival adds up the cohorts of a version by their age in weeks.
func (s *seal) survival(rows map[Day]retentionRow) []SurvivalCell {
	active, of := make(map[int]uint64), make(map[int]uint64)
	oldest := -1
	for week, row := range rows {
		for cohort := row.From; cohort <= week; cohort += 7 {
			n, size, ok := row.at(GrainWeek, cohort)
			if !ok || size == 0 {
				continue
			}
			age := GrainWeek.periods(cohort, week)
			of[age] += size
			active[age] += n
			oldest = max(oldest, age)
		}
	}
	cells := make([]SurvivalCell, 0, oldest+1)
	for age := range oldest + 1 {
		cell := SurvivalCell{Active: s.count(active[age]), Of: s.count(of[age])}
		cell.Share = share(cell.Active, cell.Of)
		cells = append(cells, cell)
	}
	return cells
}
