package engine

import (
	"context"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Retention returns the cohorts that were new in the periods that begin or lie
// in the range, each with all periods since. It goes back at most 400 days or
// 120 weeks from the current period. It is not for the public.
func (e *Engine) Retention(ctx context.Context, app collector.AppNum, g collector.Grain,
	r collector.Range, v figures.View,
) (figures.Retention, error) {
	f, err := e.fleetIn(app, r)
	if err == nil {
		err = g.Validate()
	}
	switch {
	case err != nil:
		return figures.Retention{}, err
	case v.Public:
		return figures.Retention{}, collector.ErrNotPublic
	case !v.Segment.Empty():
		return e.segmentRetention(ctx, f, g, r, v)
	}
	f.mu.RLock()
	today := f.today
	current := g.Start(today)
	from, to := g.Start(max(r.From, f.since(), oldestCohort(g, current))), g.Start(min(r.To, today))
	open := f.retention(g, current, today)
	f.mu.RUnlock()
	rows, err := closed[retentionRow](ctx, e, f, kindRetention, string(g), collector.Range{From: from, To: today})
	if err != nil {
		return figures.Retention{}, err
	}
	rows[current] = open
	answer := figures.Retention{Grain: g, Cohorts: []figures.Cohort{}}
	var all uint64
	for start := from; start <= to; start = g.Next(start) {
		_, size, ok := open.at(g, start)
		if own, has := rows[start]; has && !ok {
			_, size, _ = own.at(g, start) // only its totals are left
		}
		all += size
		cohort := figures.Cohort{From: start, Size: &size, Cells: []figures.Cell{}}
		for period := start; period <= today; period = g.Next(period) {
			cell := figures.Cell{Open: period == current, Gap: true}
			row, has := rows[period]
			if n, _, ok := row.at(g, start); has && !row.Gap && (ok || size == 0) {
				cell.Active, cell.Gap = &n, false
				cell.Share = figures.Share(cell.Active, cohort.Size)
			}
			cohort.Cells = append(cohort.Cells, cell)
		}
		answer.Cohorts = append(answer.Cohorts, cohort)
	}
	answer.Meta = f.lockedMeta(today, new(figures.Suppressor), all, "installations that were new in the range")
	return answer, nil
}

// Survival returns a curve for each of the top most frequent first versions, 1
// to [figures.MaxTop]; 0 means 8. It covers the weeks that are over. It is not for
// the public.
func (e *Engine) Survival(ctx context.Context, app collector.AppNum, top int, v figures.View) (figures.Survival, error) {
	f, err := e.fleet(app)
	switch {
	case err != nil:
		return figures.Survival{}, err
	case v.Public:
		return figures.Survival{}, collector.ErrNotPublic
	case !v.Segment.Empty():
		return e.segmentSurvival(ctx, f, top, v)
	}
	byVersion, lastWeek, err := e.survivalRows(ctx, f)
	if err != nil {
		return figures.Survival{}, err
	}
	sizes := make(map[string]uint64)
	for version, rows := range byVersion {
		for _, n := range rows[len(rows)-1].Size {
			sizes[version] += n
		}
	}
	delete(sizes, collector.Other)
	answer := figures.Survival{Versions: []figures.VersionSurvival{}}
	var all uint64
	for _, version := range figures.Top(sizes, limitTop(top)) {
		size := sizes[version]
		all += size
		answer.Versions = append(answer.Versions, figures.VersionSurvival{
			Version: version, Size: &size, Cells: survivalCells(byVersion[version]),
		})
	}
	newest := figures.NewestFirst(f.lockedVersionOrder())
	slices.SortFunc(answer.Versions, func(a, b figures.VersionSurvival) int { return newest(a.Version, b.Version) })
	answer.Meta = f.lockedMeta(lastWeek+6, new(figures.Suppressor), all, "installations that began with one of the versions shown")
	return answer, nil
}

// A weekRow is the row of a week.
type weekRow struct {
	week collector.Day
	retentionRow
}

// survivalCells adds up the cohorts of a version by their age in weeks.
func survivalCells(rows []weekRow) []figures.SurvivalCell {
	var active, of []uint64 // by age
	for _, row := range rows {
		for cohort := row.From; cohort <= row.week; cohort += 7 {
			n, size, ok := row.at(collector.GrainWeek, cohort)
			if !ok || size == 0 {
				continue
			}
			age := collector.GrainWeek.Periods(cohort, row.week)
			for len(active) <= age {
				active, of = append(active, 0), append(of, 0)
			}
			active[age] += n
			of[age] += size
		}
	}
	cells := make([]figures.SurvivalCell, 0, len(active))
	for age := range active {
		cell := figures.SurvivalCell{Active: &active[age], Of: &of[age]}
		cell.Share = figures.Share(cell.Active, cell.Of)
		cells = append(cells, cell)
	}
	return cells
}
