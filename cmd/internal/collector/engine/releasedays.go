package engine

import (
	"cmp"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// ReleaseDays returns the days of releases, the earliest first. It includes a
// release if the maintainer set its day, or if it was first seen after the app's
// first day, is neither a pre-release nor a development version, and is not
// doubtful; see [figures.Release]. The public sees the declared ones.
func (e *Engine) ReleaseDays(app collector.AppNum, v figures.View) (days []figures.ReleaseDay, err error) {
	err = e.inspect(app, func(f *fleet) { days = f.releaseDays(v.Public) })
	slices.SortFunc(days, func(a, b figures.ReleaseDay) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Version, b.Version))
	})
	return days, err
}

func (f *fleet) releaseDays(public bool) (days []figures.ReleaseDay) {
	dim, best := f.dims.get(collector.DimVersion), rankNew
	for version := range f.releases {
		best = min(best, f.rank(version))
	}
	for version, release := range f.releases {
		switch {
		case release.Released != 0 && (!public || f.declared.has(collector.DimVersion, version)):
			days = append(days, figures.ReleaseDay{Version: version, Day: release.Released, Dated: true})
		case public, release.Released != 0, release.FirstSeen <= f.since(), figures.IsPreRelease(f.app.VersionOrder, version):
		case f.rank(version) <= best, release.Earned && (dim == nil || dim.byText[version] == nil || dim.byText[version].set.Count() == 0):
			days = append(days, figures.ReleaseDay{Version: version, Day: release.FirstSeen})
		}
	}
	return days
}
