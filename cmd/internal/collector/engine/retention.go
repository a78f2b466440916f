package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Retention gives the cohorts that were new in the periods which begin or lie in the range, each with all periods since:
// at most the newest MaxDayCohorts days, or MaxWeekCohorts weeks, before the last one, which is not over.
func (c *Engine) Retention(ctx context.Context, app collector.AppNum, g collector.Grain, r collector.Range, v figures.View) (figures.Retention, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Retention{}, err
	}
	if g != collector.GrainDay && g != collector.GrainWeek && g != collector.GrainMonth {
		return figures.Retention{}, fmt.Errorf("%w: %q", collector.ErrGrain, g)
	}
	if err := r.Validate(); err != nil {
		return figures.Retention{}, err
	}
	f.mu.RLock()
	today := f.today
	from, to := g.Start(max(r.From, f.began(), oldestCohort(g, g.Start(today)))), g.Start(min(r.To, today))
	open := f.retention(g, g.Start(today), today)
	f.mu.RUnlock()
	rows, err := closed[retentionRow](ctx, c, f, kindRetention, string(g), collector.Range{From: from, To: today})
	if err != nil {
		return figures.Retention{}, err
	}
	rows[g.Start(today)] = open
	s := v.Suppressor()
	answer := figures.Retention{Grain: g, Cohorts: []figures.Cohort{}}
	var all uint64
	for cohort := from; cohort <= to; cohort = g.Next(cohort) {
		_, size, ok := open.at(g, cohort)
		if own, has := rows[cohort]; has && !ok {
			_, size, _ = own.at(g, cohort) // one of which only totals are left
		}
		all += size
		line := figures.Cohort{From: cohort, Size: s.Count(size), Cells: []figures.Cell{}}
		for period := cohort; period <= today; period = g.Next(period) {
			cell := figures.Cell{Open: period == g.Start(today), Gap: true}
			row, has := rows[period]
			if n, _, ok := row.at(g, cohort); has && !row.Gap && (ok || size == 0) {
				cell.Active, cell.Gap = s.Count(n), false
				cell.Share = figures.Share(cell.Active, line.Size)
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
func (c *Engine) Survival(ctx context.Context, app collector.AppNum, top int, v figures.View) (figures.Survival, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Survival{}, err
	}
	byVersion := make(map[string]map[collector.Day]retentionRow)
	var last collector.Day
	for r, err := range c.store.Records(ctx, kindSurvival, f.num, firstEver, lastEver) {
		if err != nil {
			return figures.Survival{}, err
		}
		var row retentionRow
		if err := decodeRecord(r, &row); err != nil {
			return figures.Survival{}, err
		}
		if byVersion[r.Name] == nil {
			byVersion[r.Name] = make(map[collector.Day]retentionRow)
		}
		byVersion[r.Name][r.Day] = row
		last = max(last, r.Day)
	}
	s := v.Suppressor()
	answer := figures.Survival{Versions: []figures.VersionSurvival{}}
	sizes := make(map[string]uint64)
	var all uint64
	for version, rows := range byVersion {
		for _, n := range newestRow(rows).Size {
			sizes[version] += n
		}
	}
	for version, n := range sizes {
		if s.Count(n) == nil {
			delete(sizes, version)
			continue
		}
		sizes[version] = s.Round(n)
	}
	for _, version := range figures.TopValues(sizes, top) {
		size := s.Figure(sizes[version])
		if version == collector.Other || size == nil {
			continue
		}
		all += sizes[version]
		answer.Versions = append(answer.Versions, figures.VersionSurvival{Version: version, Size: size, Cells: survivalCells(s, byVersion[version])})
	}
	slices.SortFunc(answer.Versions, func(a, b figures.VersionSurvival) int { return figures.CompareNewest(a.Version, b.Version) })
	answer.Meta = c.metaOf(f, last+6, s, all, "installations that began with one of the versions shown")
	return answer, nil
}

func newestRow(rows map[collector.Day]retentionRow) (newest retentionRow) {
	last := firstEver
	for day, row := range rows {
		if day >= last {
			last, newest = day, row
		}
	}
	return newest
}

// survivalCells adds up the cohorts of a version by their age in weeks.
func survivalCells(s *figures.Suppressor, rows map[collector.Day]retentionRow) []figures.SurvivalCell {
	active, of := make(map[int]uint64), make(map[int]uint64)
	oldest := -1
	for week, row := range rows {
		for cohort := row.From; cohort <= week; cohort += 7 {
			n, size, ok := row.at(collector.GrainWeek, cohort)
			if !ok || size == 0 {
				continue
			}
			age := collector.GrainWeek.Periods(cohort, week)
			of[age] += size
			active[age] += n
			oldest = max(oldest, age)
		}
	}
	cells := make([]figures.SurvivalCell, 0, oldest+1)
	for age := range oldest + 1 {
		cell := figures.SurvivalCell{Active: s.Count(active[age]), Of: s.Count(of[age])}
		cell.Share = figures.Share(cell.Active, cell.Of)
		cells = append(cells, cell)
	}
	return cells
}
