package figures

import (
	"cmp"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// CompareNewest orders versions newest first, and [collector.Other] last.
func CompareNewest(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == collector.Other:
		return 1
	case b == collector.Other:
		return -1
	}
	return cmp.Or(report.CompareVersions(b, a), cmp.Compare(b, a))
}

// IsPreRelease reports whether a version precedes the release it is named
// after, or is a development version.
func IsPreRelease(version string) bool {
	end := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	return report.IsDevelopment(version) ||
		end > 0 && report.CompareVersions(version, strings.TrimRight(version[:end], ".")) < 0
}
