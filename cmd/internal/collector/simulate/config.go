package simulate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// A Config describes a fleet. Zero fields have defaults.
type Config struct {
	// Seed makes the fleet: equal configurations make equal reports.
	Seed uint64
	// App is the key of the app that reports; "demo" by default.
	App string
	// Installations is how many are born over all days, 1,000 by default.
	// It includes the special ones of Shares, but not the forgeries.
	Installations int
	// Days is how many days the fleet lives, 90 by default, and Last the
	// last of them, today in UTC by default.
	Days int
	Last collector.Day
	// Shares is how many of the installations are special. Nil means
	// shares as those of real fleets.
	Shares *Shares
	// Forged is how many IDs somebody makes up. Each reports once, in the
	// last quarter of the days.
	Forged int
	// ExcludeDevelopment has to be that of the app; the truth follows it.
	ExcludeDevelopment bool
}

// Shares are parts of the installations, together at most 1.
type Shares struct {
	// Once are IDs that report on one day only: build servers.
	Once float64
	// Memory are installations whose ID is never persisted and changes
	// with each restart. Late are those whose ID is persisted only after
	// some days.
	Memory, Late float64
	// Clones are IDs that two different machines use.
	Clones float64
	// Development are installations that run development versions.
	Development float64
}

// The bounds of a [Config].
const (
	MaxInstallations = 10_000_000 // one takes about 200 bytes
	MaxDays          = 3660
	MaxForged        = 10_000_000
)

func (c Config) complete() (Config, error) {
	c.App = cmp.Or(c.App, "demo")
	c.Installations = cmp.Or(c.Installations, 1000)
	c.Days = cmp.Or(c.Days, 90)
	c.Last = cmp.Or(c.Last, collector.DayOf(time.Now()))
	if c.Shares == nil {
		c.Shares = &Shares{Once: 0.08, Memory: 0.02, Late: 0.01, Clones: 0.005, Development: 0.02}
	}
	switch {
	case !report.ValidApp(c.App):
		return c, fmt.Errorf("app %q is not a valid key", c.App)
	case c.Installations < 0 || c.Installations > MaxInstallations:
		return c, fmt.Errorf("%d installations: not between 1 and %d", c.Installations, MaxInstallations)
	case c.Days < 0 || c.Days > MaxDays:
		return c, fmt.Errorf("%d days: not between 1 and %d", c.Days, MaxDays)
	case c.Forged < 0 || c.Forged > MaxForged:
		return c, fmt.Errorf("%d forged IDs: not between 0 and %d", c.Forged, MaxForged)
	}
	return c, c.Shares.check()
}

func (s *Shares) check() error {
	sum := 0.0
	for _, share := range []float64{s.Once, s.Memory, s.Late, s.Clones, s.Development} {
		if !(share >= 0) {
			return fmt.Errorf("share %v is negative", share)
		}
		sum += share
	}
	if sum > 1 {
		return fmt.Errorf("the shares of special installations add up to %v", sum)
	}
	return nil
}

// A release is one version. Day is counted from the fleet's first day. Only
// some installations adopt a pre-release. A launch brings many new ones.
type release struct {
	version     string
	day         int
	pre, launch bool
}

// newReleases returns a release about every 20 days, in their order. It begins
// before the first day, so that the first installations differ. Every third
// release is a launch, a week after its pre-release.
func newReleases(days int) []release {
	releases := []release{{version: "1.0.0", day: -60}, {version: "1.0.1", day: -30}}
	minor, patch := 1, 0
	for n, day := 0, 5; day < days; n, day = n+1, day+20 {
		if n%3 != 0 {
			patch++
			releases = append(releases, release{version: fmt.Sprintf("1.%d.%d", minor-1, patch), day: day})
			continue
		}
		version := fmt.Sprintf("1.%d.0", minor)
		releases = append(releases,
			release{version: version + "-rc.1", day: day - 7, pre: true}, release{version: version, day: day, launch: true})
		minor, patch = minor+1, 0
	}
	return releases
}
