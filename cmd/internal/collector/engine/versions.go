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

// A releaseRecord is what is kept of a version.
type releaseRecord struct {
	// FirstSeen is the day on which a report first had it, and Released what the maintainer says; 0 is nothing.
	FirstSeen collector.Day `json:"first_seen"`
	Released  collector.Day `json:"released,omitzero"`
}

func (r releaseRecord) day() collector.Day { return cmp.Or(r.Released, r.FirstSeen) }

// Versions says how releases are taken up in the range; for the public the moves are those of the longest of the windows 1,
// 7, 28 and 30 days that ends with it.
func (c *Engine) Versions(ctx context.Context, app collector.AppNum, r collector.Range, v figures.View) (figures.Versions, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Versions{}, err
	}
	if err := r.Validate(); err != nil {
		return figures.Versions{}, err
	}
	f.mu.RLock()
	r = v.Span(r, f.today)
	f.mu.RUnlock()
	s := v.Suppressor()
	answer := figures.Versions{Range: r, Releases: []figures.Release{}, Moves: []figures.Move{}}
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil {
		return figures.Versions{}, err
	}
	addMoves(s, &answer, days)
	f.mu.RLock()
	to := min(r.To, f.today)
	releases := make(map[string]releaseRecord, len(f.releases))
	maps.Copy(releases, f.releases)
	f.mu.RUnlock()
	sp, current, err := c.split(ctx, f, collector.DimVersion, to, in28)
	if err != nil {
		return figures.Versions{}, err
	}
	for version, n := range sp.counts {
		figure := s.Count(n)
		if figure == nil || version == collector.Other {
			continue
		}
		answer.Releases = append(answer.Releases, figures.Release{
			Version: version, Pre: figures.IsPreRelease(version), Released: releases[version].day(), Active: figure, Adoption: []figures.AdoptionPoint{},
		})
	}
	slices.SortFunc(answer.Releases, func(a, b figures.Release) int { return figures.CompareNewest(a.Version, b.Version) })
	answer.Releases = answer.Releases[:min(len(answer.Releases), figures.MaxReleases)]
	if err := c.adoption(ctx, f, s, answer.Releases, to); err != nil {
		return figures.Versions{}, err
	}
	answer.Meta = c.metaOf(f, to, s, sp.reporting, "of the "+active28(to)+", those that report a version")
	answer.Complete = answer.Complete && current
	return answer, nil
}

// addMoves adds up the changes of version of some days.
func addMoves(s *figures.Suppressor, answer *figures.Versions, days []dayOf) {
	moves := make(map[string]uint64)
	var up, down uint64
	for _, d := range days {
		up += d.Counters.Upgrades
		down += d.Counters.Downgrades
		for move, n := range d.Counters.Moves {
			moves[move] += n
		}
	}
	answer.Upgrades, answer.Downgrades = s.Count(up), s.Count(down)
	for move, n := range moves {
		from, to, _ := strings.Cut(move, "\x00")
		if figure := s.Count(n); figure != nil {
			answer.Moves = append(answer.Moves, figures.Move{From: from, To: to, Count: figure, Up: report.CompareVersions(from, to) < 0})
		}
	}
	slices.SortFunc(answer.Moves, func(a, b figures.Move) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), figures.CompareNewest(a.To, b.To), figures.CompareNewest(a.From, b.From))
	})
	answer.Moves = answer.Moves[:min(len(answer.Moves), figures.MaxMoves)]
}

// adoption says of the newest releases how many installations ran them or a newer version on the days after.
func (c *Engine) adoption(ctx context.Context, f *fleet, s *figures.Suppressor, releases []figures.Release, to collector.Day) error {
	first := to
	var followed []*figures.Release
	for i := range releases {
		release := &releases[i]
		if release.Released == 0 || release.Pre || len(followed) == figures.MaxAdoption {
			continue
		}
		followed = append(followed, release)
		first = min(first, release.Released)
	}
	if len(followed) == 0 {
		return nil
	}
	first = max(first, to-collector.MaxRangeDays+1)
	days, splits, err := c.splitsOf(ctx, f, collector.DimVersion, collector.Range{From: first, To: to}, in1)
	if err != nil {
		return err
	}
	for _, d := range days {
		sp, ok := splits[d.day]
		if !ok {
			continue
		}
		of := s.Figure(sp.reporting)
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
			if release.HalfAfter == nil && point.Active != nil && of != nil && point.Share >= 0.5 {
				release.HalfAfter = &after
			}
		}
	}
	return nil
}

// SetRelease sets the day on which a version was released; 0 takes it back. The version is one that was seen.
func (c *Engine) SetRelease(ctx context.Context, app collector.AppNum, version string, day collector.Day) error {
	return c.exec(ctx, func(ctx context.Context) error {
		f, err := c.fleet(app)
		if err != nil {
			return err
		}
		release, ok := f.releases[version]
		if !ok {
			return fmt.Errorf("version %q was never seen", version)
		}
		release.Released = day
		key := collector.RecordKey{Kind: kindRelease, App: app, Name: version}
		if err := c.commit(ctx, &collector.Batch{Records: []collector.Record{jsonRecord(key, release)}}); err != nil {
			return err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.releases[version] = release
		f.revision++
		return nil
	})
}

// Floor says how many stay if a version becomes the oldest that is supported.
func (c *Engine) Floor(ctx context.Context, app collector.AppNum, to collector.Day, v figures.View) (figures.Floor, error) {
	f, err := c.fleet(app)
	if err != nil {
		return figures.Floor{}, err
	}
	sp, current, err := c.split(ctx, f, collector.DimVersion, to, in28)
	switch {
	case err != nil:
		return figures.Floor{}, err
	case !sp.found && current:
		return figures.Floor{}, fmt.Errorf("%w: %s", collector.ErrNoDay, to)
	}
	versions := make([]string, 0, len(sp.counts))
	for version := range sp.counts {
		if version != collector.Other {
			versions = append(versions, version)
		}
	}
	slices.SortFunc(versions, figures.CompareNewest)
	s := v.Suppressor()
	answer := figures.Floor{To: sp.day, Steps: []figures.FloorStep{}}
	of := s.Figure(sp.reporting)
	var kept uint64
	for _, version := range versions {
		kept += sp.counts[version]
		if s.Figure(sp.counts[version]) == nil {
			s.Suppressed++ // the version of few is not named; the next step has them in it
			continue
		}
		step := figures.FloorStep{Version: version, Kept: s.Count(kept)}
		step.Share = figures.Share(step.Kept, of)
		answer.Steps = append(answer.Steps, step)
	}
	answer.Meta = c.metaOf(f, sp.day, s, sp.reporting, "of the "+active28(sp.day)+", those that report a version")
	answer.Complete = answer.Complete && current
	return answer, nil
}
