package collector

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// A releaseRecord is what is kept of a version.
type releaseRecord struct {
	// FirstSeen is the day on which a report first had it, and Released what the maintainer says; 0 is nothing.
	FirstSeen Day `json:"first_seen"`
	Released  Day `json:"released,omitzero"`
}

func (r releaseRecord) day() Day { return cmp.Or(r.Released, r.FirstSeen) }

const (
	// MaxReleases bounds the releases of an answer: the newest ones that are active.
	MaxReleases = 50
	// MaxAdoption bounds the releases whose adoption is followed, and AdoptionDays for how long.
	MaxAdoption  = 12
	AdoptionDays = 90
)

// Versions says how releases are taken up in the range; for the public the moves are those of the longest of the windows 1,
// 7, 28 and 30 days that ends with it.
func (c *Collector) Versions(ctx context.Context, app AppNum, r Range, v View) (Versions, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Versions{}, err
	}
	if err := r.check(); err != nil {
		return Versions{}, err
	}
	f.mu.RLock()
	r = v.span(r, f.today)
	f.mu.RUnlock()
	s := v.seal()
	answer := Versions{Range: r, Releases: []Release{}, Moves: []Move{}}
	days, err := c.days(ctx, f, r, f.tally)
	if err != nil {
		return Versions{}, err
	}
	s.moves(&answer, days)
	f.mu.RLock()
	to := min(r.To, f.today)
	releases := make(map[string]releaseRecord, len(f.releases))
	maps.Copy(releases, f.releases)
	f.mu.RUnlock()
	sp, current, err := c.split(ctx, f, DimVersion, to, in28)
	if err != nil {
		return Versions{}, err
	}
	for version, n := range sp.counts {
		figure := s.count(n)
		if figure == nil || version == Other {
			continue
		}
		answer.Releases = append(answer.Releases, Release{
			Version: version, Pre: isPreRelease(version), Released: releases[version].day(), Active: figure, Adoption: []AdoptionPoint{},
		})
	}
	slices.SortFunc(answer.Releases, func(a, b Release) int { return compareNewest(a.Version, b.Version) })
	answer.Releases = answer.Releases[:min(len(answer.Releases), MaxReleases)]
	if err := c.adoption(ctx, f, s, answer.Releases, to); err != nil {
		return Versions{}, err
	}
	answer.Meta = c.metaOf(f, to, s, sp.reporting, "of the "+active28(to)+", those that report a version")
	answer.Complete = answer.Complete && current
	return answer, nil
}

// moves adds up the changes of version of some days.
func (s *seal) moves(answer *Versions, days []dayOf) {
	moves := make(map[string]uint64)
	var up, down uint64
	for _, d := range days {
		up += d.Counters.Upgrades
		down += d.Counters.Downgrades
		for move, n := range d.Counters.Moves {
			moves[move] += n
		}
	}
	answer.Upgrades, answer.Downgrades = s.count(up), s.count(down)
	for move, n := range moves {
		from, to, _ := strings.Cut(move, "\x00")
		if figure := s.count(n); figure != nil {
			answer.Moves = append(answer.Moves, Move{From: from, To: to, Count: figure, Up: report.CompareVersions(from, to) < 0})
		}
	}
	slices.SortFunc(answer.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(*b.Count, *a.Count), compareNewest(a.To, b.To), compareNewest(a.From, b.From))
	})
	answer.Moves = answer.Moves[:min(len(answer.Moves), MaxMoves)]
}

// isPreRelease tells whether a version is older than the release that it is named after, or one of a developer.
func isPreRelease(version string) bool {
	end := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	return report.IsDevelopment(version) || end > 0 && report.CompareVersions(version, strings.TrimRight(version[:end], ".")) < 0
}

// adoption says of the newest releases how many installations ran them or a newer version on the days after.
func (c *Collector) adoption(ctx context.Context, f *fleet, s *seal, releases []Release, to Day) error {
	first := to
	var followed []*Release
	for i := range releases {
		release := &releases[i]
		if release.Released == 0 || release.Pre || len(followed) == MaxAdoption {
			continue
		}
		followed = append(followed, release)
		first = min(first, release.Released)
	}
	if len(followed) == 0 {
		return nil
	}
	first = max(first, to-MaxRangeDays+1)
	days, splits, err := c.splitsOf(ctx, f, DimVersion, Range{From: first, To: to}, in1)
	if err != nil {
		return err
	}
	for _, d := range days {
		sp, ok := splits[d.day]
		if !ok {
			continue
		}
		of := s.countQuietly(sp.reporting)
		for _, release := range followed {
			after := int(d.day - release.Released)
			if after < 0 || after > AdoptionDays {
				continue
			}
			var n uint64
			for version, count := range sp.counts {
				if version != Other && report.CompareVersions(version, release.Version) >= 0 {
					n += count
				}
			}
			point := AdoptionPoint{Days: after, Active: s.count(n), Of: of}
			point.Share = share(point.Active, of)
			release.Adoption = append(release.Adoption, point)
			if release.HalfAfter == nil && point.Active != nil && of != nil && point.Share >= 0.5 {
				release.HalfAfter = &after
			}
		}
	}
	return nil
}

// SetRelease sets the day on which a version was released; 0 takes it back. The version is one that was seen.
func (c *Collector) SetRelease(ctx context.Context, app AppNum, version string, day Day) error {
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
		key := RecordKey{Kind: kindRelease, App: app, Name: version}
		if err := c.commit(ctx, &Batch{Records: []Record{jsonRecord(key, release)}}); err != nil {
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
func (c *Collector) Floor(ctx context.Context, app AppNum, to Day, v View) (Floor, error) {
	f, err := c.fleet(app)
	if err != nil {
		return Floor{}, err
	}
	sp, current, err := c.split(ctx, f, DimVersion, to, in28)
	switch {
	case err != nil:
		return Floor{}, err
	case !sp.found && current:
		return Floor{}, fmt.Errorf("%w: %s", ErrNoDay, to)
	}
	versions := make([]string, 0, len(sp.counts))
	for version := range sp.counts {
		if version != Other {
			versions = append(versions, version)
		}
	}
	slices.SortFunc(versions, compareNewest)
	s := v.seal()
	answer := Floor{To: sp.day, Steps: []FloorStep{}}
	of := s.countQuietly(sp.reporting)
	var kept uint64
	for _, version := range versions {
		kept += sp.counts[version]
		if s.countQuietly(sp.counts[version]) == nil {
			s.hidden++ // the version of few is not named; the next step has them in it
			continue
		}
		step := FloorStep{Version: version, Kept: s.count(kept)}
		step.Share = share(step.Kept, of)
		answer.Steps = append(answer.Steps, step)
	}
	answer.Meta = c.metaOf(f, sp.day, s, sp.reporting, "of the "+active28(sp.day)+", those that report a version")
	answer.Complete = answer.Complete && current
	return answer, nil
}
