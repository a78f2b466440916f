// Package updates keeps what an installation has learnt of the releases of its
// program, and says which one it needs. It sends and stores nothing itself.
//
// A collector is not believed further than needed: what is kept has valid
// versions, known words, and URLs below an address that the program declares.
package updates

import (
	"strings"

	"github.com/rollcall-dev/rollcall/report"
)

// Known is what matters of the releases of a channel, whichever version runs
// now or after an upgrade. The zero value is nothing.
type Known struct {
	Order report.VersionOrder
	// Newest is the highest version, with a URL only if that may be shown.
	Newest report.Release
	// Recommended is the highest version that is recommended or fixes a
	// weakness, and Security the highest that fixes one; empty if none does.
	Recommended, Security string
}

// From returns what matters of the releases. It drops URLs that are not below
// the prefix.
func From(releases report.Releases, prefix string) Known {
	k := Known{Order: releases.Order}
	newer := func(version, than string) bool { return than == "" || k.Order.Compare(version, than) > 0 }
	for _, r := range releases.List {
		if newer(r.Version, k.Newest.Version) {
			k.Newest = r
		}
		if r.Severity != report.ReleaseOrdinary && newer(r.Version, k.Recommended) {
			k.Recommended = r.Version
		}
		if r.Severity == report.ReleaseSecurity && newer(r.Version, k.Security) {
			k.Security = r.Version
		}
	}
	if !below(k.Newest.URL, prefix) {
		k.Newest.URL = ""
	}
	return k
}

// For returns the newest release if it is newer than the running version, or
// else the zero value. Its severity is the greatest of all newer releases, so
// that a weakness counts which a release in between fixed.
func (k Known) For(running string) report.Release {
	newer := func(version string) bool { return version != "" && k.Order.Compare(version, running) > 0 }
	running = report.NormalizeVersion(running)
	if !report.ValidRelease(running) || !newer(k.Newest.Version) {
		return report.Release{}
	}
	r := k.Newest
	switch {
	case newer(k.Security):
		r.Severity = report.ReleaseSecurity
	case newer(k.Recommended):
		r.Severity = report.ReleaseRecommended
	default:
		r.Severity = report.ReleaseOrdinary
	}
	return r
}

// maxETag bounds an entity tag that is kept, in bytes.
const maxETag = 100

// ValidETag reports whether a text is an entity tag (RFC 9110, section 8.8.3)
// that is worth keeping.
func ValidETag(text string) bool {
	opaque := strings.TrimPrefix(text, "W/")
	if len(text) > maxETag || len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(opaque[1:len(opaque)-1], func(c rune) bool { return c <= ' ' || c == '"' || c > '~' })
}
