package figures

import (
	"cmp"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// NewestFirst returns a comparison that sorts an app's versions newest first,
// and [collector.Other] last.
func NewestFirst(order report.VersionOrder) func(a, b string) int {
	return func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == collector.Other:
			return 1
		case b == collector.Other:
			return -1
		}
		return cmp.Or(order.Compare(b, a), cmp.Compare(b, a))
	}
}

// IsPreRelease reports whether a version precedes the release it is named
// after, or is a development version.
func IsPreRelease(order report.VersionOrder, version string) bool {
	return report.IsDevelopment(version) || order.IsPreRelease(version)
}
