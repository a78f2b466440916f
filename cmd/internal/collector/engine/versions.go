package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/report"
)

// A releaseRecord is what is stored of a version.
type releaseRecord struct {
	// FirstSeen is the day of the first report of it. Released is the day the
	// maintainer set, or 0.
	FirstSeen collector.Day `json:"first_seen"`
	Released  collector.Day `json:"released,omitzero"`
	// Earned means that an established installation has run it.
	Earned bool `json:"earned,omitzero"`
}

// Versions returns how releases are adopted in a range. For the public it has the
// last days of windows, and no moves.
func (e *Engine) Versions(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Versions, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Versions{}, err
	}
	if !v.Segment.Empty() {
		return e.segmentVersions(ctx, f, r, v)
	}
	f.mu.RLock()
	to := min(r.To, f.today)
	releases, order := maps.Clone(f.releases), f.app.VersionOrder
	f.mu.RUnlock()
	s := e.suppressor(f, v)
	answer := figures.Versions{Range: r, Releases: []figures.Release{}, Moves: []figures.Move{}}
	var sp daySplit
	if v.Public {
		sp, err = e.publicSplit(ctx, f, s, collector.DimVersion, to)
		to = sp.day
	} else if err = e.addMoves(ctx, f, order, &answer); err == nil {
		sp, err = e.split(ctx, f, collector.DimVersion, to, window28)
	}
	if err != nil {
		return figures.Versions{}, err
	}
	for version, n := range sp.counts {
		if version == collector.Other {
			continue
		}
		release := figures.Release{
			Version: version, Pre: figures.IsPreRelease(order, version), Released: releases[version].Released,
			Active: &n, Adoption: []figures.AdoptionPoint{},
		}
		release.Stated = release.Released != 0
		if !v.Public && release.Released == 0 {
			release.Released = releases[version].FirstSeen
		}
		answer.Releases = append(answer.Releases, release)
	}
	newest := figures.NewestFirst(order)
	slices.SortFunc(answer.Releases, func(a, b figures.Release) int { return newest(a.Version, b.Version) })
	if v.Public {
		slices.SortStableFunc(answer.Releases, func(a, b figures.Release) int { return cmp.Compare(*b.Active, *a.Active) })
		answer.Releases = answer.Releases[:min(len(answer.Releases), figures.MaxReleases)]
	} else {
		answer.Releases = f.mostSupported(answer.Releases, figures.MaxReleases, to)
	}
	slices.SortFunc(answer.Releases, func(a, b figures.Release) int { return newest(a.Version, b.Version) })
	if err := e.addAdoption(ctx, f, s, order, answer.Releases, to); err != nil {
		return figures.Versions{}, err
	}
	answer.Meta = f.lockedMeta(to, s, sp.reporting, "of the "+activeText(28, to)+", those that report a version")
	answer.Complete = answer.Complete && sp.current
	return answer, nil
}

// The ranks of a release by its support.
const (
	rankSenior = iota // declared, or installations known for long run it
	rankEstablished
	rankNew
)

// mostSupported returns n of the releases, which are ordered newest first: those
// with the best support, so that nobody can hide them by inventing newer
// versions. It marks those that may be inventions, as of a day.
func (f *fleet) mostSupported(releases []figures.Release, n int, to collector.Day) []figures.Release {
	f.mu.RLock()
	defer f.mu.RUnlock()
	ranks, best := make(map[string]int), rankNew
	for _, release := range releases {
		ranks[release.Version] = f.rank(release.Version)
		best = min(best, ranks[release.Version])
	}
	if to < f.today-1 && best == rankSenior {
		best = rankEstablished // those who ran it then may have moved on
	}
	chosen := slices.Clone(releases)
	for i, release := range chosen {
		chosen[i].Doubtful = ranks[release.Version] > best
	}
	if len(chosen) > n {
		slices.SortStableFunc(chosen, func(a, b figures.Release) int { return cmp.Compare(ranks[a.Version], ranks[b.Version]) })
		chosen = chosen[:n]
	}
	return chosen
}

// rank returns the rank of a release.
func (f *fleet) rank(version string) int {
	var v *value
	if dim := f.dims.get(collector.DimVersion); dim != nil {
		v = dim.byText[version]
	}
	switch {
	case f.declared.has(collector.DimVersion, version), v != nil && f.seniors(v.set) > 0:
		return rankSenior
	case f.releases[version].Earned, v != nil && f.oldest(v.set) > 0:
		return rankEstablished
	}
	return rankNew
}

// addMoves adds up the changes of version in the range.
func (e *Engine) addMoves(ctx context.Context, f *fleet, order report.VersionOrder, answer *figures.Versions) error {
	days, err := e.days(ctx, f, answer.Range, (*fleet).countersOnly)
	if err != nil {
		return err
	}
	moves := make(map[string]uint64)
	var up, down uint64
	for _, d := range days {
		up += d.Counters.Upgrades
		down += d.Counters.Downgrades
		for move, n := range d.Counters.Moves {
			moves[move] += n
		}
	}
	answer.Upgrades, answer.Downgrades = &up, &down
	for move, n := range moves {
		from, to, _ := strings.Cut(move, "\x00")
		answer.Moves = append(answer.Moves, figures.Move{From: from, To: to, Count: &n, Up: order.Compare(from, to) < 0})
	}
	newest := figures.NewestFirst(order)
	slices.SortFunc(answer.Moves, func(a, b figures.Move) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), newest(a.To, b.To), newest(a.From, b.From))
	})
	answer.Moves = answer.Moves[:min(len(answer.Moves), figures.MaxMoves)]
	return nil
}

// addAdoption adds to the newest releases how many installations ran them, or a
// newer version, on the days after.
func (e *Engine) addAdoption(ctx context.Context, f *fleet, s *figures.Suppressor,
	order report.VersionOrder, releases []figures.Release, to collector.Day,
) error {
	first := to
	var followed []*figures.Release
	for i := range releases {
		release := &releases[i]
		if release.Released != 0 && !release.Pre && !release.Doubtful && len(followed) < figures.MaxAdoption {
			followed = append(followed, release)
			first = min(first, release.Released)
		}
	}
	if len(followed) == 0 {
		return nil
	}
	r := collector.Range{From: max(first, to-collector.MaxRangeDays+1), To: to}
	days, splits, err := e.splitsFor(ctx, f, s, collector.DimVersion, r, window1)
	if err != nil {
		return err
	}
	for _, d := range days {
		sp, ok := splits[d.day]
		if !ok {
			continue
		}
		of := &sp.reporting
		for _, release := range followed {
			after := int(d.day - release.Released)
			if after < 0 || after > figures.AdoptionDays {
				continue
			}
			var n uint64
			for version, count := range sp.counts {
				if version != collector.Other && order.Compare(version, release.Version) >= 0 {
					n += count
				}
			}
			point := figures.AdoptionPoint{Days: after, Active: s.Count(n), Of: of}
			point.Share = figures.Share(point.Active, of)
			release.Adoption = append(release.Adoption, point)
			if release.HalfAfter == nil && point.Share >= 0.5 {
				release.HalfAfter = &after
			}
		}
	}
	return nil
}

// SetRelease sets the day on which a version was released; 0 unsets it. The
// version must have been seen.
func (e *Engine) SetRelease(ctx context.Context, app collector.AppNum, version string, day collector.Day) error {
	return e.exec(ctx, func(ctx context.Context) error {
		f, err := e.fleet(app)
		if err != nil {
			return err
		}
		release, ok := f.releases[version]
		if !ok {
			return fmt.Errorf("version %q was never seen", version)
		}
		release.Released = day
		if err := e.putRecords(ctx, f.record(kindRelease, 0, version, release)); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.releases[version] = release
		f.revision++
		return nil
	})
}

// Floor returns how many installations remain if a version becomes the oldest
// supported one.
func (e *Engine) Floor(ctx context.Context, app collector.AppNum, to collector.Day, v figures.View) (figures.Floor, error) {
	f, err := e.fleet(app)
	if err != nil {
		return figures.Floor{}, err
	}
	s := e.suppressor(f, v)
	sp, err := e.splitAt(ctx, f, s, collector.DimVersion, to, window28, v)
	if err != nil {
		return figures.Floor{}, err
	}
	answer := figures.Floor{To: sp.day, Steps: []figures.FloorStep{}}
	of := &sp.reporting
	var kept uint64
	for _, version := range slices.SortedFunc(maps.Keys(sp.counts), figures.NewestFirst(f.lockedVersionOrder())) {
		if version == collector.Other {
			continue
		}
		kept += sp.counts[version]
		step := figures.FloorStep{Version: version, Kept: s.Count(kept)}
		step.Share = figures.Share(step.Kept, of)
		answer.Steps = append(answer.Steps, step)
	}
	answer.Meta = f.splitMeta(sp, s, v, sp.reporting, "of the "+activeText(28, sp.day)+", those that report a version")
	return answer, nil
}
