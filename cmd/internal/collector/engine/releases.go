package engine

import (
	"cmp"
	"maps"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/bits"
)

// maxReleases bounds the releases that are remembered. Those in the table of
// versions are never forgotten.
const maxReleases = 10_000

// goneReleases returns the releases that are to be forgotten: versions that have
// lost their place on the day that they were first seen, so no total names them.
// If there are too many others, those without a place are too: first those that
// no established installation ever ran, and then the oldest.
func (f *fleet) goneReleases() []string {
	var gone []string
	for _, version := range f.dims.gone {
		release, ok := f.releases[version]
		if ok && !release.Earned && release.Released == 0 && release.FirstSeen == f.today && !f.dims.has(collector.DimVersion, version) {
			gone = append(gone, version)
		}
	}
	if over := len(f.releases) - maxReleases; over > 0 {
		idle := slices.DeleteFunc(slices.Collect(maps.Keys(f.releases)), func(version string) bool {
			return f.dims.has(collector.DimVersion, version) || f.declared.has(collector.DimVersion, version)
		})
		slices.SortFunc(idle, func(a, b string) int {
			x, y := f.releases[a], f.releases[b]
			return cmp.Or(cmp.Compare(earnedRank(x), earnedRank(y)), cmp.Compare(x.FirstSeen, y.FirstSeen), cmp.Compare(a, b))
		})
		gone = append(gone, idle[:min(over, len(idle))]...)
	}
	slices.Sort(gone)
	return slices.Compact(gone)
}

func earnedRank(r releaseRecord) int {
	if r.Earned {
		return 1
	}
	return 0
}

func (f *fleet) releaseRemovals(gone []string) []collector.Record {
	records := make([]collector.Record, 0, len(gone))
	for _, version := range gone {
		records = append(records, collector.Record{RecordKey: f.recordKey(kindRelease, 0, version)})
	}
	return records
}

func (f *fleet) dropReleases(gone []string) {
	for _, version := range gone {
		delete(f.releases, version)
	}
}

// earnedReleases returns the releases that an established installation runs for
// the first time.
func (f *fleet) earnedReleases() map[string]releaseRecord {
	dim := f.dims.get(collector.DimVersion)
	if dim == nil {
		return nil
	}
	earned := make(map[string]releaseRecord)
	for version, release := range f.releases {
		if v := dim.byText[version]; v != nil && !release.Earned && f.earned(dim, v) {
			release.Earned = true
			earned[version] = release
		}
	}
	return earned
}

// seniors counts the installations of a set that have been known for long.
func (f *fleet) seniors(set *bits.Set) uint64 {
	return set.CountRange(0, uint32(f.numAt(f.today-seniority+1)))
}
