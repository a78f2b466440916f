package report

import (
	"cmp"
	"strings"
)

// CompareVersions returns a negative number if version a is older than b, a
// positive one if it is newer, and 0 if neither. It does not allocate for
// normalized versions.
//
// A version is a list of numbers with dots between them, of any length and
// size; 1.2 and 1.2.0 are equal. Text after the numbers makes a pre-release,
// which is older than the release. Pre-releases have the order of semver.org
// (2.0.0, item 11): 1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-beta.2 < 1.0.0-beta.11
// < 1.0.0. The hyphen may be missing: 1.2.3rc1 is a pre-release too, but so is
// 1.2.3a. Text after a + is ignored. A text that does not begin with a number
// is older than every version; such texts have the order of their bytes.
func CompareVersions(a, b string) int {
	a, b = NormalizeVersion(a), NormalizeVersion(b)
	aNumbers, aPre := splitVersion(a)
	bNumbers, bPre := splitVersion(b)
	if aNumbers == "" || bNumbers == "" {
		if aNumbers == "" && bNumbers == "" {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(len(aNumbers), len(bNumbers))
	}
	if c := compareNumbers(aNumbers, bNumbers); c != 0 {
		return c
	}
	switch {
	case aPre == bPre:
		return 0
	case aPre == "":
		return 1
	case bPre == "":
		return -1
	}
	return comparePre(aPre, bPre)
}

// splitVersion returns the numbers with their dots, and what makes the version
// a pre-release. Without numbers it is no version.
func splitVersion(version string) (numbers, pre string) {
	version, _, _ = strings.Cut(version, "+")
	end := 0
	for i := 0; i < len(version) && isDigit(version[i]); i++ {
		for i < len(version) && isDigit(version[i]) {
			i++
		}
		end = i // a dot counts if a digit follows it
		if i == len(version) || version[i] != '.' {
			break
		}
	}
	return version[:end], strings.Trim(version[end:], "-._~ ")
}

// compareNumbers compares lists of numbers; missing ones are 0.
func compareNumbers(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareNumber(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// compareNumber compares texts of digits of any length. An empty one is 0.
func compareNumber(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// comparePre compares pre-releases by identifiers: numbers by value and before
// texts, texts by their bytes. If all are equal, the shorter one is older.
func comparePre(a, b string) int {
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		xNumber, yNumber := all(x, isDigit), all(y, isDigit)
		c := 0
		switch {
		case xNumber && yNumber:
			c = compareNumber(x, y)
		case xNumber:
			c = -1
		case yNumber:
			c = 1
		default:
			c = cmp.Compare(x, y)
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b)) // one of them is empty
}
