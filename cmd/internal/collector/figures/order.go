package figures

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/report"
)

// MaxTop bounds the values of a [Trend] and the curves of a [Survival].
const MaxTop = 20

// MaxPairs bounds the values of each side of a [CoOccurrence].
const MaxPairs = 12

const (
	// MaxReleases bounds the releases of an answer: the newest ones that are active.
	MaxReleases = 50
	// MaxAdoption bounds the releases whose adoption is followed, and AdoptionDays for how long.
	MaxAdoption  = 12
	AdoptionDays = 90
)

// CompareNewest orders versions, the newest first; Other, which is none, is last.
func CompareNewest(a, b string) int {
	if a == collector.Other || b == collector.Other {
		return cmp.Compare(boolInt(a == collector.Other), boolInt(b == collector.Other))
	}
	return cmp.Or(report.CompareVersions(b, a), cmp.Compare(b, a))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TopValues gives the most frequent values, and Other for the rest if there is one.
func TopValues(counts map[string]uint64, top int) []string {
	top = min(cmp.Or(top, 8), MaxTop)
	values := make([]string, 0, len(counts))
	for text := range counts {
		if text != collector.Other {
			values = append(values, text)
		}
	}
	slices.SortFunc(values, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return append(values[:min(len(values), max(top, 0))], collector.Other)
}

// IsPreRelease tells whether a version is older than the release that it is named after, or one of a developer.
func IsPreRelease(version string) bool {
	end := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	return report.IsDevelopment(version) || end > 0 && report.CompareVersions(version, strings.TrimRight(version[:end], ".")) < 0
}
