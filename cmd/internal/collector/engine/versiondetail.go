package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Version returns all about one version in a range. It is not for the public. It
// returns [collector.ErrVersion] if the version was never seen.
func (e *Engine) Version(ctx context.Context, app collector.AppNum, version string, r collector.Range, v figures.View) (figures.VersionDetail, error) {
	f, err := e.fleetIn(app, r)
	switch {
	case err != nil:
		return figures.VersionDetail{}, err
	case v.Public:
		return figures.VersionDetail{}, collector.ErrNotPublic
	}
	f.mu.RLock()
	release, seen := f.releases[version]
	answer := figures.VersionDetail{
		Range: r, Version: version, Pre: figures.IsPreRelease(f.app.VersionOrder, version), Released: release.Released, FirstSeen: release.FirstSeen,
		Before: f.versionBefore(version), Days: []figures.VersionDay{}, Adoption: []figures.AdoptionPoint{}, Kept: []figures.Difference{},
		Faults: []figures.VersionFault{}, CameFrom: []figures.Move{}, WentTo: []figures.Move{},
	}
	to := min(r.To, f.today)
	f.mu.RUnlock()
	if !seen {
		return figures.VersionDetail{}, collector.ErrVersion
	}
	sp, err := e.splitAt(ctx, f, new(figures.Suppressor), collector.DimVersion, to, window28, v)
	if errors.Is(err, collector.ErrNoDay) { // the rest may be known
		sp.day, err = to, nil
	}
	if err != nil {
		return figures.VersionDetail{}, err
	}
	answer.Meta = f.splitMeta(sp, new(figures.Suppressor), v, sp.reporting, "of the "+activeText(28, to)+", those that report a version")
	order := f.lockedVersionOrder()
	if sp.found {
		active, newer := sp.counts[version], uint64(0)
		for text, n := range sp.counts {
			if text != collector.Other && order.Compare(text, version) > 0 {
				newer += n
			}
		}
		answer.Active, answer.Newer = &active, &newer
	}
	for _, add := range []func(context.Context, *fleet, *figures.VersionDetail, figures.View) error{
		e.addVersionSets, e.addVersionDays, e.addVersionSurvival, e.addVersionFaults,
	} {
		if err := add(ctx, f, &answer, v); err != nil {
			return figures.VersionDetail{}, err
		}
	}
	return answer, nil
}

// versionBefore returns the version that one is compared with; see
// [figures.VersionDetail]. The caller holds mu.
func (f *fleet) versionBefore(version string) (before string) {
	order := f.app.VersionOrder
	pre := figures.IsPreRelease(order, version)
	rank := f.rank(version)
	for other := range f.releases {
		if order.Compare(other, version) >= 0 || !pre && figures.IsPreRelease(order, other) || f.rank(other) > rank {
			continue
		}
		if before == "" || order.Compare(other, before) > 0 || order.Compare(other, before) == 0 && other > before {
			before = other
		}
	}
	return before
}

// addVersionSets adds what the sets of the version say: who runs it and is silent,
// and who began with it.
func (e *Engine) addVersionSets(ctx context.Context, f *fleet, answer *figures.VersionDetail, v figures.View) error {
	var members *bits.Set
	if !v.Segment.Empty() {
		var err error
		if members, err = e.members(ctx, f, v); err != nil {
			return err
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	of := func(dimension string) *bits.Set {
		set := &bits.Set{}
		if dim := f.dims.get(dimension); dim != nil && dim.byText[answer.Version] != nil {
			set = dim.byText[answer.Version].set
		}
		if members != nil {
			set = bits.Intersection(set, members)
		}
		return set
	}
	silent := bits.CountWithout(of(collector.DimVersion), f.window(f.today, windowDays[window28]))
	lo, hi := f.numAt(answer.Range.From), f.numAt(answer.Range.To+1)
	began := of(collector.DimFirstVersion).CountRange(uint32(lo), uint32(hi))
	answer.Silent, answer.Began = &silent, &began
	return nil
}

// addVersionDays adds what only totals say: the days, the adoption, and the moves.
func (e *Engine) addVersionDays(ctx context.Context, f *fleet, answer *figures.VersionDetail, v figures.View) error {
	if !v.Segment.Empty() {
		return nil
	}
	r, order := answer.Range, f.lockedVersionOrder()
	var err error
	if answer.Days, err = e.versionDays(ctx, f, answer.Version, collector.Range{From: max(r.From, answer.FirstSeen), To: r.To}); err != nil {
		return err
	}
	release := []figures.Release{{Version: answer.Version, Released: cmp.Or(answer.Released, answer.FirstSeen), Adoption: answer.Adoption}}
	f.mu.RLock()
	today := f.today
	f.mu.RUnlock()
	if err := e.addAdoption(ctx, f, new(figures.Suppressor), order, release, min(r.To, today)); err != nil {
		return err
	}
	answer.Adoption, answer.HalfAfter = release[0].Adoption, release[0].HalfAfter
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil {
		return err
	}
	from, to := make(map[string]uint64), make(map[string]uint64)
	for _, d := range days {
		for move, n := range d.Counters.Moves {
			switch before, after, _ := strings.Cut(move, "\x00"); answer.Version {
			case after:
				from[before] += n
			case before:
				to[after] += n
			}
		}
	}
	for text, n := range from {
		answer.CameFrom = append(answer.CameFrom, figures.Move{From: text, To: answer.Version, Count: &n, Up: order.Compare(text, answer.Version) < 0})
	}
	for text, n := range to {
		answer.WentTo = append(answer.WentTo, figures.Move{From: answer.Version, To: text, Count: &n, Up: order.Compare(answer.Version, text) < 0})
	}
	for _, moves := range [][]figures.Move{answer.CameFrom, answer.WentTo} {
		slices.SortFunc(moves, func(a, b figures.Move) int {
			return cmp.Or(cmp.Compare(*b.Count, *a.Count), cmp.Compare(a.From+a.To, b.From+b.To))
		})
	}
	return nil
}

// VersionDays returns the days of a range since a version was first seen, as
// [Engine.Version] does. It is not for the public.
func (e *Engine) VersionDays(ctx context.Context, app collector.AppNum, version string, r collector.Range) ([]figures.VersionDay, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return nil, err
	}
	f.mu.RLock()
	release, seen := f.releases[version]
	f.mu.RUnlock()
	if !seen {
		return nil, collector.ErrVersion
	}
	return e.versionDays(ctx, f, version, collector.Range{From: max(r.From, release.FirstSeen), To: r.To})
}

func (e *Engine) versionDays(ctx context.Context, f *fleet, version string, r collector.Range) ([]figures.VersionDay, error) {
	shown := []figures.VersionDay{}
	if r.From > r.To {
		return shown, nil
	}
	days, splits, err := e.splits(ctx, f, collector.DimVersion, r, window28)
	if err != nil {
		return nil, err
	}
	for _, d := range days {
		sp := splits[d.day]
		day := figures.VersionDay{Day: d.day, Open: d.open, Gap: !sp.found}
		if sp.found {
			running := sp.counts[version]
			day.Running, day.Of = &running, &sp.reporting
			day.Share = figures.Share(day.Running, day.Of)
		}
		shown = append(shown, day)
	}
	return shown, nil
}

// addVersionSurvival adds the curves of the two versions, and compares them. Records
// have those of the most frequent first versions, also for installations that are
// purged.
func (e *Engine) addVersionSurvival(ctx context.Context, f *fleet, answer *figures.VersionDetail, v figures.View) error {
	versions := []string{answer.Version}
	if answer.Before != "" {
		versions = append(versions, answer.Before)
	}
	var curves figures.Survival
	written := false
	if v.Segment.Empty() {
		all, _, err := e.survivalRows(ctx, f)
		if err != nil {
			return err
		}
		written = true
		for _, version := range versions {
			rows := all[version]
			if written = written && len(rows) > 0; !written {
				break
			}
			var size uint64
			for _, n := range rows[len(rows)-1].Size {
				size += n
			}
			curves.Versions = append(curves.Versions, figures.VersionSurvival{Version: version, Size: &size, Cells: survivalCells(rows)})
		}
	}
	if !written {
		var err error
		if curves, err = e.survivalOf(ctx, f, v, versions); err != nil {
			return err
		}
	}
	answer.Survival = curves.Versions
	find := func(version string) []figures.SurvivalCell {
		i := slices.IndexFunc(curves.Versions, func(s figures.VersionSurvival) bool { return s.Version == version })
		if i < 0 {
			return nil
		}
		return curves.Versions[i].Cells
	}
	own, before := find(answer.Version), find(answer.Before)
	for week := range min(len(own), len(before)) {
		answer.Kept = append(answer.Kept, figures.Compare(*own[week].Active, *own[week].Of, *before[week].Active, *before[week].Of))
	}
	return nil
}

// addVersionFaults compares the faults of the two versions since the newer one was
// first seen.
func (e *Engine) addVersionFaults(ctx context.Context, f *fleet, answer *figures.VersionDetail, v figures.View) error {
	r := answer.Range
	r.From = max(r.From, answer.FirstSeen)
	if r.To < r.From {
		return nil
	}
	err := e.faultSpans(ctx, f, r, v, func(spans faultSpans) {
		running := func(version string) *bits.Set {
			if dim := f.dims.get(collector.DimVersion); dim != nil && dim.byText[version] != nil {
				return bits.Intersection(dim.byText[version].set, spans.active)
			}
			return nil
		}
		own, before := running(answer.Version), running(answer.Before)
		ofA, ofB := own.Count(), before.Count()
		for _, fs := range spans.all {
			a, b := bits.CountBoth(fs.affected, own), bits.CountBoth(fs.affected, before)
			if a+b > 0 {
				answer.Faults = append(answer.Faults, figures.VersionFault{
					ID: fs.ID, Source: fs.Source, Component: fs.Component, Reason: fs.Reason, Stage: fs.Stage, Severity: fs.Severity,
					Difference: figures.Compare(a, ofA, b, ofB),
				})
			}
		}
	})
	if err != nil {
		return err
	}
	all := make([]*figures.Difference, 0, len(answer.Faults))
	for i := range answer.Faults {
		all = append(all, &answer.Faults[i].Difference)
	}
	figures.Adjust(all)
	slices.SortFunc(answer.Faults, func(a, b figures.VersionFault) int {
		return cmp.Or(cmp.Compare(a.P, b.P), cmp.Compare(b.A, a.A), cmp.Compare(a.ID, b.ID))
	})
	return nil
}

// survivalRows returns what is written of the first versions, by week, and the last
// week.
func (e *Engine) survivalRows(ctx context.Context, f *fleet) (byVersion map[string][]weekRow, last collector.Day, err error) {
	byVersion = make(map[string][]weekRow)
	err = eachRecord(ctx, e.store, kindSurvival, f.num, allDays, func(r collector.Record) error {
		row := weekRow{week: r.Day}
		err := decodeRecord(r, &row.retentionRow)
		byVersion[r.Name] = append(byVersion[r.Name], row)
		last = r.Day
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the curves of first versions: %w", err)
	}
	return byVersion, last, nil
}
