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
}

// Versions returns how releases are adopted in a range. For the public, the
// moves are those of a window; see [figures.View.Span].
func (e *Engine) Versions(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Versions, error) {
	f, err := e.fleetIn(app, r)
	if err != nil {
		return figures.Versions{}, err
	}
	f.mu.RLock()
	r = v.Span(r, f.today)
	to := min(r.To, f.today)
	releases := maps.Clone(f.releases)
	f.mu.RUnlock()
	days, err := e.days(ctx, f, r, (*fleet).countersOnly)
	if err != nil {
		return figures.Versions{}, err
	}
	s := v.Suppressor()
	answer := figures.Versions{Range: r, Releases: []figures.Release{}}
	addMoves(s, &answer, days)
	sp, err := e.split(ctx, f, collector.DimVersion, to, window28)
	if err != nil {
		return figures.Versions{}, err
	}
	for version, n := range sp.counts {
		active := s.Count(n)
		if active == nil || version == collector.Other {
			continue
		}
		release := releases[version]
		answer.Releases = append(answer.Releases, figures.Release{
			Version: version, Pre: figures.IsPreRelease(version), Released: cmp.Or(release.Released, release.FirstSeen),
			Active: active, Adoption: []figures.AdoptionPoint{},
		})
	}
	slices.SortFunc(answer.Releases, func(a, b figures.Release) int { return figures.CompareNewest(a.Version, b.Version) })
	answer.Releases = answer.Releases[:min(len(answer.Releases), figures.MaxReleases)]
	if err := e.addAdoption(ctx, f, s, answer.Releases, to); err != nil {
		return figures.Versions{}, err
	}
	answer.Meta = f.lockedMeta(to, s, sp.reporting, "of the "+activeText(28, to)+", those that report a version")
	answer.Complete = answer.Complete && sp.current
	return answer, nil
}

// addMoves adds up the changes of version of some days.
func addMoves(s *figures.Suppressor, answer *figures.Versions, days []dayFigures) {
	moves := make(map[string]uint64)
	var up, down uint64
	for _, d := range days {
		up += d.Counters.Upgrades
		down += d.Counters.Downgrades
		for move, n := range d.Counters.Moves {
			moves[move] += n
		}
	}
	answer.Upgrades, answer.Downgrades, answer.Moves = s.Count(up), s.Count(down), []figures.Move{}
	for move, n := range moves {
		from, to, _ := strings.Cut(move, "\x00")
		if count := s.Count(n); count != nil {
			answer.Moves = append(answer.Moves, figures.Move{From: from, To: to, Count: count, Up: report.CompareVersions(from, to) < 0})
		}
	}
	slices.SortFunc(answer.Moves, func(a, b figures.Move) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), figures.CompareNewest(a.To, b.To), figures.CompareNewest(a.From, b.From))
	})
	answer.Moves = answer.Moves[:min(len(answer.Moves), figures.MaxMoves)]
}

// addAdoption adds to the newest releases how many installations ran them, or a
// newer version, on the days after.
func (e *Engine) addAdoption(ctx context.Context, f *fleet, s *figures.Suppressor,
	releases []figures.Release, to collector.Day,
) error {
	first := to
	var followed []*figures.Release
	for i := range releases {
		release := &releases[i]
		if release.Released != 0 && !release.Pre && len(followed) < figures.MaxAdoption {
			followed = append(followed, release)
			first = min(first, release.Released)
		}
	}
	if len(followed) == 0 {
		return nil
	}
	r := collector.Range{From: max(first, to-collector.MaxRangeDays+1), To: to}
	days, splits, err := e.splits(ctx, f, collector.DimVersion, r, window1)
	if err != nil {
		return err
	}
	for _, d := range days {
		sp, ok := splits[d.day]
		if !ok {
			continue
		}
		of := s.Repeat(sp.reporting)
		for _, release := range followed {
			after := int(d.day - release.Released)
			if after < 0 || after > figures.AdoptionDays {
				continue
			}
			var n uint64
			for version, count := range sp.counts {
				if version != collector.Other && report.CompareVersions(version, release.Version) >= 0 {
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
	sp, err := e.splitAt(ctx, f, collector.DimVersion, to, window28)
	if err != nil {
		return figures.Floor{}, err
	}
	s := v.Suppressor()
	answer := figures.Floor{To: sp.day, Steps: []figures.FloorStep{}}
	of := s.Repeat(sp.reporting)
	var kept uint64
	for _, version := range slices.SortedFunc(maps.Keys(sp.counts), figures.CompareNewest) {
		if version == collector.Other {
			continue
		}
		kept += sp.counts[version]
		if s.Repeat(sp.counts[version]) == nil {
			s.Suppressed++ // a version of few has no name; the next step includes it
			continue
		}
		step := figures.FloorStep{Version: version, Kept: s.Count(kept)}
		step.Share = figures.Share(step.Kept, of)
		answer.Steps = append(answer.Steps, step)
	}
	answer.Meta = f.lockedMeta(sp.day, s, sp.reporting, "of the "+activeText(28, sp.day)+", those that report a version")
	answer.Complete = answer.Complete && sp.current
	return answer, nil
}
